// Lets LiteRT.js run under Node: it expects a worker's importScripts, and fetches files of the site that it is on.
// Node loads this file first: node --import ./litert_in_node.mjs program.mjs; SITE names the folder that is the site.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";
import {runInThisContext} from "node:vm";

const ORIGIN = "http://site.test";

function contentOf(url) {
  return readFileSync(join(process.env.SITE, new URL(url, ORIGIN).pathname));
}

globalThis.self = globalThis;
globalThis.location = new URL(ORIGIN);
globalThis.fetch = async (url) => new Response(contentOf(url));
globalThis.importScripts = (url) => {
  globalThis.require = createRequire(import.meta.url); // what the WASM's own script asks Node for
  globalThis.__dirname = join(process.env.SITE, "wasm");
  globalThis.__filename = join(__dirname, "script.js");
  runInThisContext(contentOf(url).toString("utf8"));
};
