"""What docs/mobile.md shows in Python and JavaScript runs, and reads what was drawn; the rest names real files."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.recognition import cards
from tests.snippets import ROOT, code_block, code_blocks

DOCUMENT = "docs/mobile.md"
KANA = ROOT / "saved_models" / "kana"
WEB = ROOT / "kuzushiji_tf" / "serving" / "web"
LITERT = WEB / "node_modules" / "@litertjs" / "core"
STROKES = [[[20, 20], [50, 14], [80, 22]], [[18, 70], [50, 84], [88, 76]]]  # こ


def _run(program: str, folder: Path) -> str:
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_python_example_reads_what_was_drawn():
    lines = _run(code_block(DOCUMENT, "python", "Interpreter"), ROOT).splitlines()
    assert len(lines) == 5
    character, probability = lines[0].split()
    assert character == "こ"
    assert float(probability.rstrip("%")) > 50


def test_the_python_example_reads_the_card_inside_a_file(tmp_path):
    folder = tmp_path / "saved_models" / "kana"
    shutil.copytree(KANA, folder)
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    cards.embed(folder / "model-int8.tflite", Labels.read(folder / "labels.txt"), card)
    assert _run(code_block(DOCUMENT, "python", "ZipFile"), tmp_path) == "71 [1, 32, 32, 1] CC BY-SA 3.0\n"


@pytest.mark.skipif(shutil.which("node") is None or not LITERT.exists(), reason="needs Node, and npm ci in serving/web")
def test_the_javascript_example_reads_what_was_drawn_as_python_does_whatever_the_line_ends(tmp_path):
    for name, target in {"wasm": LITERT / "wasm", "node_modules": WEB / "node_modules"}.items():
        (tmp_path / name).symlink_to(target)
    kept = shutil.ignore_patterns("saved_model", "*.keras", "*float*")
    labels = shutil.copytree(KANA, tmp_path / "models" / "kana", ignore=kept) / "labels.txt"
    labels.write_bytes(labels.read_bytes().replace(b"\n", b"\r\n"))
    shutil.copy(WEB / "ink.js", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "recognize.js").write_text(code_block(DOCUMENT, "js", "loadLiteRt"), encoding="utf-8")
    (tmp_path / "main.mjs").write_text(
        'import {recognize} from "./recognize.js";\n'
        f"console.log(JSON.stringify(await recognize({json.dumps(STROKES)}, 71)));\n"
    )
    done = subprocess.run(
        ["node", "--import", str(ROOT / "tests" / "litert_in_node.mjs"), "main.mjs"],
        cwd=tmp_path,
        env=os.environ | {"SITE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = {entry["character"]: entry["probability"] for entry in json.loads(done.stdout.splitlines()[-1])}
    program = code_block(DOCUMENT, "python", "Interpreter") + f"\nprint(dict(recognize({STROKES}, 71)))\n"
    expected = ast.literal_eval(_run(program, ROOT).splitlines()[-1])
    assert next(iter(found)) == next(iter(expected)) == "こ"
    assert max(abs(found[character] - expected[character]) for character in expected) < 0.02


def test_every_language_has_one_example_that_says_whether_it_was_run():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    for language in ("python", "js", "kotlin", "swift", "dart", "c"):
        for block in code_blocks(DOCUMENT, language):
            after = text.partition(block)[2].removeprefix("```").lstrip()
            assert after.startswith(("(Run here", "(Not run here")), block
    assert [len(code_blocks(DOCUMENT, language)) for language in ("kotlin", "swift", "dart", "c")] == [1, 1, 1, 1]


def test_the_licence_lines_repeat_the_credits_of_the_cards():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    for path in sorted((ROOT / "saved_models").glob("*/model.json")):
        training = json.loads(path.read_text(encoding="utf-8"))["training"]
        (line,) = [line for line in text.splitlines() if line.startswith("|") and f"`{path.parent.name}`" in line]
        assert training["licence"] in line
        # Files that a recipe names under `forms` stand in docs/licences.md.
        credits_ = [part for part in training["credit"].split("; ") if not part.startswith(("forms of", "images of"))]
        assert credits_ and all(credit in line for credit in credits_)
