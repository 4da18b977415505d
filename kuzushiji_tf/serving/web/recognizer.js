// A `.tflite` recognizer in the browser, run by LiteRT.js.

import {fetchCounted, need} from "./downloads.js";
import {drawInk} from "./ink.js";

const VENDOR = "vendor/";

let runtime = null; // LiteRT.js loads once a page

/** Loads LiteRT.js; its WebAssembly comes in two builds, and the browser's abilities decide which is fetched. */
async function loadRuntime() {
  const [litert, sizes] = await Promise.all([
    import("./vendor/litert.js"),
    fetchCounted(`${VENDOR}sizes.json`).then((response) => response.json()),
  ]);
  const variant = (await litert.supportsFeature("relaxedSimd")) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  const wasm = `${variant}.wasm`;
  need(`${VENDOR}${variant}.js`);
  const source = fetchCounted(VENDOR + wasm, sizes[wasm].bytes);
  // Emscripten's hook: the file is fetched here, where its bytes can be counted, and compiled while it arrives.
  const failed = new Promise((_, reject) => {
    globalThis.Module = {
      instantiateWasm(imports, done) {
        source
          .then((response) => compile(response, imports))
          .then(({instance, module}) => done(instance, module), reject);
        return {};
      },
    };
  });
  await Promise.race([litert.loadLiteRt(VENDOR), failed]);
  return litert;
}

async function compile(response, imports) {
  if (response.headers.get("Content-Type")?.startsWith("application/wasm")) {
    return WebAssembly.instantiateStreaming(response, imports);
  }
  return WebAssembly.instantiate(await response.arrayBuffer(), imports);
}

export async function prepareRuntime() {
  runtime ??= loadRuntime();
  try {
    return await runtime;
  } catch (error) {
    runtime = null;
    throw error;
  }
}

/** Returns whether LiteRT.js has been loaded, or is being. */
export const runtimeIsThere = () => runtime !== null;

/** One model: strokes in, a probability for each class out. */
export class Recognizer {
  /** Loads `models/<name>/`; `entry` is its line in `models/index.json`. */
  static async load(entry) {
    const folder = `models/${entry.name}/`;
    const [litert, file, classes, card] = await Promise.all([
      prepareRuntime(),
      fetchCounted(`${folder}model-int8.tflite`, entry.bytes).then((response) => response.arrayBuffer()),
      fetchCounted(`${folder}classes.json`).then((response) => response.json()),
      fetchCounted(`${folder}model.json`).then((response) => response.json()),
    ]);
    const model = await litert.loadAndCompile(new Uint8Array(file), {accelerator: "wasm"});
    return new Recognizer(litert, model, classes, card);
  }

  constructor(litert, model, classes, card) {
    this.litert = litert;
    this.model = model;
    this.classes = classes;
    this.card = card;
    this.size = card.input.shape[1];
  }

  /** Returns the probabilities of a drawing; strokes are lists of `[x, y]` in any unit, y down. */
  async recognize(strokes) {
    return this.run(drawInk(strokes, this.size));
  }

  /** Returns the probabilities of an image: `size * size` values 0..255, white ink on black. */
  async run(image) {
    const input = new this.litert.Tensor(image, [1, this.size, this.size, 1]); // tensors live outside JavaScript's
    const outputs = await this.model.run(input); // memory: each is deleted by hand
    try {
      return Float32Array.from(await outputs[0].data());
    } finally {
      input.delete();
      for (const output of outputs) output.delete();
    }
  }

  delete() {
    this.model.delete();
  }
}
