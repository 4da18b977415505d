// Keeps the page working offline. The site builder fills in FILES: each file of the site and the hash of its content.

const FILES = {};
const SHELL = [];
const CACHE = "kuzushiji-tf";

const root = new URL("./", self.location).href;

/** Returns the site's path of a URL, or null where this worker has no say. */
function pathOf(url) {
  const plain = url.split(/[?#]/, 1)[0];
  if (!plain.startsWith(root)) return null;
  const path = decodeURI(plain.slice(root.length)) || "index.html";
  return Object.hasOwn(FILES, path) ? path : null;
}

/** Names a file together with its content: a changed file is another entry, so only what changed is fetched again. */
function keyOf(path) {
  return `${root}${path}?content=${FILES[path]}`;
}

async function fetchAndKeep(path) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(keyOf(path));
  if (kept) return kept;
  // no-cache asks the server whether the browser's own copy still holds: no second download, and nothing stale.
  const response = await fetch(root + path, {cache: "no-cache"});
  if (response.ok) await cache.put(keyOf(path), response.clone());
  return response;
}

async function keepAll(paths) {
  const responses = await Promise.all(paths.map(fetchAndKeep));
  const missing = responses.find((response) => !response.ok);
  if (missing) throw new Error(`${missing.url}: ${missing.status}`);
}

async function dropOthers() {
  const cache = await caches.open(CACHE);
  const current = new Set(Object.keys(FILES).map((path) => encodeURI(keyOf(path))));
  const entries = await cache.keys();
  await Promise.all(entries.filter(({url}) => !current.has(url)).map((entry) => cache.delete(entry)));
  await self.clients.claim();
}

self.addEventListener("install", (event) => event.waitUntil(keepAll(SHELL)));
self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));

self.addEventListener("fetch", (event) => {
  const path = event.request.method === "GET" ? pathOf(event.request.url) : null;
  if (path) event.respondWith(fetchAndKeep(path));
});

self.addEventListener("message", (event) => {
  const paths = event.data.keep.map(pathOf);
  const kept = paths.includes(null) ? Promise.reject(new Error("not of this site")) : keepAll(paths);
  event.waitUntil(
    kept.then(
      () => event.ports[0].postMessage("kept"),
      () => event.ports[0].postMessage("failed"),
    ),
  );
});
