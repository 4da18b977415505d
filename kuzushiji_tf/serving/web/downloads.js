// Fetching with a count of bytes, and what must stay on the device for the next, offline, visit.

const needed = new Set();
let onProgress = () => {};
let expected = 0;
let received = 0;

/** Calls `listener(received, expected)`, in bytes as they are unpacked, while anything is being fetched. */
export function watchDownloads(listener) {
  onProgress = listener;
}

/** Remembers that a file is needed offline. */
export function need(path) {
  needed.add(new URL(path, location.href).href);
}

/**
 * Fetches a file of this site, counting its bytes.
 *
 * @param {string} path relative to the page
 * @param {number} bytes its size unpacked, 0 where it is not known
 * @returns {Promise<Response>} whose body has still to be read
 * @throws {Error} the server has no such file, or cannot be reached
 */
export async function fetchCounted(path, bytes = 0) {
  need(path);
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  if (bytes) count(response.clone(), bytes);
  return response;
}

async function count(response, bytes) {
  expected += bytes;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    received += part.value.length;
    onProgress(received, expected);
  }
}

/** Installs the service worker and hands it the files in use; resolves to true once they will be there offline. */
export async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register("sw.js");
    const {active} = await navigator.serviceWorker.ready;
    const {port1, port2} = new MessageChannel();
    const answered = new Promise((resolve) => (port1.onmessage = ({data}) => resolve(data === "kept")));
    active.postMessage({keep: [...needed]}, [port2]);
    return await answered;
  } catch {
    return false; // served without a service worker (or over plain http): the page works, online
  }
}
