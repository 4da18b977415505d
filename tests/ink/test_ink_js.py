"""The page's port of the ink draws what Python draws; both are held to the same vectors."""

import base64
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import kuzushiji_tf
from kuzushiji_tf.ink.normalization import draw_ink
from tests.make_ink_vectors import PATH

INK_JS = Path(kuzushiji_tf.__file__).parent / "serving" / "web" / "ink.js"
VECTORS = json.loads(PATH.read_text(encoding="utf-8"))["vectors"]
PROGRAM = """
import { readFileSync } from "node:fs";
const ink = await import(process.argv[1]);
const { vectors } = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const draw = (vector) => {
  const image = ink.drawInk(vector.strokes, vector.image_size);
  if (!(image instanceof Float32Array) || !image.every(Number.isInteger)) throw new Error(vector.name);
  return Buffer.from(Uint8Array.from(image)).toString("base64");
};
console.log(JSON.stringify(vectors.map(draw)));
"""
REFUSED = """
const ink = await import(process.argv[1]);
const bad = [[], [[]], [[[1, NaN]]], [[[Infinity, 1]]], [[[1]]], [[["1", 2]]], [[[null, 2]]]];
const sentence = (draw) => {
  try { draw(); return "drawn"; } catch (error) { return `${error.name}: ${error.message}`; }
};
const all = [(strokes) => ink.drawInk(strokes, 32), (strokes) => ink.drawStrokes(strokes, 32, 1.5)];
console.log(JSON.stringify(all.flatMap((draw) => bad.map((strokes) => sentence(() => draw(strokes))))));
"""


def node(program: str, *arguments: str) -> list[str]:
    if not shutil.which("node"):
        pytest.skip("node is not installed: the JavaScript port of the ink cannot run")
    command = ["node", "--input-type=module", "--eval", program, INK_JS.as_uri(), *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@cache
def drawn_by_javascript() -> list[str]:
    return node(PROGRAM, str(PATH))


def as_image(text: str, size: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(size, size).astype(int)


@pytest.mark.parametrize("row", range(len(VECTORS)), ids=lambda row: VECTORS[row]["name"])
def test_javascript_draws_the_vectors(row):
    vector = VECTORS[row]
    size = vector["image_size"]
    difference = np.abs(as_image(drawn_by_javascript()[row], size) - as_image(vector["image"], size))
    assert difference.mean() <= 0.02 and difference.max() <= 2, "only rounding; docs/ink.md allows ports a mean of 2"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_python_draws_the_vectors(vector):
    size = vector["image_size"]
    difference = np.abs(draw_ink(vector["strokes"], size).astype(int) - as_image(vector["image"], size))
    assert difference.max() <= 1


def test_the_vectors_show_ink_of_many_kinds():
    images = [as_image(vector["image"], vector["image_size"]) for vector in VECTORS]
    assert len(VECTORS) >= 40 and {32, 64} <= {vector["image_size"] for vector in VECTORS}
    assert all(image.max() > 200 for image in images)
    assert len({image.tobytes() for image in images}) >= 40, "dots are alike"


def test_javascript_refuses_what_is_no_ink():
    sentences = node(REFUSED)
    assert len(sentences) == 14
    assert all(sentence.startswith("RangeError: ") and sentence.endswith(".") for sentence in sentences)
