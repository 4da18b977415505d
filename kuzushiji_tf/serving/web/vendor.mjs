// Copies the parts of LiteRT.js that the page loads from node_modules/ to vendor/, compressed beside each file.
import {mkdir, readFile, rm, writeFile} from "node:fs/promises";
import {brotliCompressSync, constants, gzipSync} from "node:zlib";

const FROM = new URL("node_modules/@litertjs/", import.meta.url);
const TO = new URL("vendor/", import.meta.url);

// The page picks one of the two by what the browser can do: relaxed SIMD, or plain SIMD for older phones.
const VARIANTS = ["litert_wasm_internal", "litert_wasm_compat_internal"];
const FILES = {
  "core/dist/index.js": "litert.js",
  "wasm-utils/dist/index.js": "wasm-utils.js",
  ...Object.fromEntries(
    VARIANTS.flatMap((name) => [".js", ".wasm"].map((suffix) => [`core/wasm/${name}${suffix}`, name + suffix])),
  ),
};

/** Returns a module that a browser can load as it is: relative imports, and no source map, which is not served. */
function forBrowsers(source) {
  return source.replaceAll('"@litertjs/wasm-utils"', '"./wasm-utils.js"').replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
}

await rm(TO, {recursive: true, force: true});
await mkdir(TO);
const sizes = {};
for (const [source, name] of Object.entries(FILES)) {
  let content = await readFile(new URL(source, FROM));
  if (name.endsWith(".js")) content = Buffer.from(forBrowsers(content.toString("utf8")));
  const gzip = gzipSync(content, {level: 9});
  const brotli = brotliCompressSync(content, {
    params: {[constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: content.length},
  });
  await writeFile(new URL(name, TO), content);
  await writeFile(new URL(`${name}.gz`, TO), gzip);
  await writeFile(new URL(`${name}.br`, TO), brotli);
  sizes[name] = {bytes: content.length, gzip: gzip.length, brotli: brotli.length};
}
await writeFile(new URL("sizes.json", TO), `${JSON.stringify(sizes, null, 2)}\n`);
console.log(`vendor/: ${Object.keys(sizes).length} files, each with .gz and .br`);
