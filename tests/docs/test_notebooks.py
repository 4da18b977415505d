"""The notebooks of `examples/` are kept as they ran, and run again."""

import os
from pathlib import Path

import nbformat
import pytest

from tests.snippets import ROOT

NOTEBOOKS = {"kmnist": True, "your_own_characters": False}  # whether it needs the real data
LONGEST = 900  # seconds a cell may take


def _read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)


def _texts(cell: nbformat.NotebookNode) -> list[str]:
    return [output["text"] for output in cell["outputs"] if output["output_type"] == "stream"]


def test_every_notebook_is_tested():
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_the_outputs_of_one_run_from_top_to_bottom(name):
    notebook = _read(name)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells[1:]), "each cell but the imports shows something"
    kinds = {output["output_type"] for cell in cells for output in cell.outputs}
    assert "error" not in kinds and "display_data" in kinds
    assert "/tmp/" not in nbformat.writes(notebook) and str(Path.home()) not in nbformat.writes(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, tmp_path, request, monkeypatch):
    from nbclient import NotebookClient

    if NOTEBOOKS[name]:
        request.getfixturevalue("data_dir")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    notebook = _read(name)
    NotebookClient(notebook, timeout=LONGEST, resources={"metadata": {"path": tmp_path}}).execute()
    said = [text for cell in notebook.cells if cell.cell_type == "code" for text in _texts(cell)]
    assert any("model-int8.tflite" in text for text in said)
    assert not any("absl" in text or "INFO:tensorflow" in text for text in said), "TensorFlow's notes are no output"
