"""Every command and snippet of README and docs runs here, or the page says which test runs it or why none does.

A comment in the line before a block says so: `not run: REASON`, `run by PATH`, or one or both of `slow` and
`needs data` for a block that runs here. A block without a comment runs in the default suite.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.models import registry
from tests.snippets import ROOT, Block, all_blocks

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
LINKED = ("train.py", "evaluate.py", "export.py", "recipes", "saved_models", "benchmarks", "examples")
STROKES = {
    "い": [[[20, 20], [25, 80], [40, 70]], [[70, 25], [85, 60]]],
    "二": [[[30, 30], [70, 30]], [[15, 80], [85, 80]]],
}
HERE = {"slow", "needs data"}


def _runs_here(block: Block) -> bool:
    return set(filter(None, block.note.split(", "))) <= HERE


def _words(commands: str, of_test: bool) -> list[str]:
    """Return the programs, files and flags that a file which runs the commands has to name; no test installs."""
    lines = [line for line in re.split(r"&&|\n", commands) if not (of_test and line.strip().startswith("pip install"))]
    return [word for line in lines for word in re.findall(r"[a-z][\w.-]+", line) if word != "python"]


BLOCKS = [block for page in PAGES for block in all_blocks(page)]
RUN = [
    pytest.param(block, id=f"{block.document}:{block.line}", marks=[pytest.mark.slow] * ("slow" in block.note))
    for block in BLOCKS
    if _runs_here(block)
]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A checkout as a reader has it, with the files that the pages name: `photo.png`, `kanji.png` and `letters/`."""
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    for character, strokes in STROKES.items():
        (letters := tmp_path / "letters" / character).mkdir(parents=True)
        for number in range(24):
            moved = [[[x + number % 5 * y / 20, y] for x, y in stroke] for stroke in strokes]
            Image.fromarray(255 - draw_ink(moved, 64 + number)).save(letters / f"{number}.png")
    (letters / "0.png").rename(tmp_path / "photo.png")
    (letters / "1.png").rename(tmp_path / "kanji.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))  # what a page registers is forgotten
    return tmp_path


@pytest.mark.parametrize("block", RUN)
def test_a_block_of_the_documentation_runs(block, folder, request):
    if "needs data" in block.note:
        request.getfixturevalue("data_dir")
    if block.language == "python":
        exec(compile(block.code, f"{block.document}:{block.line}", "exec"), {"__name__": "__main__"})
        return
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.document}:{block.line}")
def test_a_block_that_does_not_run_here_says_where_it_does_or_why_not(block):
    if _runs_here(block):
        assert block.language in ("sh", "python")
        return
    kind, _, rest = block.note.partition(":" if block.note.startswith("not run") else " by ")
    assert kind in ("not run", "run", "Run here", "Not run here"), block.note
    if kind == "run":
        said = (ROOT / rest).read_text(encoding="utf-8")
        assert [word for word in _words(block.code, of_test=rest.endswith(".py")) if word not in said] == [], rest
    elif kind == "not run":
        assert len(rest) > 10, "it says why"


def test_the_readmes_two_commands_are_those_that_a_newcomer_types():
    commands = [block.code for block in all_blocks("README.md") if block.language == "sh"]
    assert "pip install -r requirements.txt && python train.py && python evaluate.py && python export.py\n" in commands
    assert "pip install -r requirements-dev.txt && python -m pytest\n" in commands
