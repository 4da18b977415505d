"""A recognizer and the examples of the documentation need `ai-edge-litert` and NumPy, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.snippets import ROOT, code_block

PACKAGES = ("ai-edge-litert", "numpy")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of a virtual environment that holds `PACKAGES`, as pinned, and what they themselves ask for."""
    folder = tmp_path_factory.mktemp("environment")
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith(PACKAGES)]
    assert len(pins) == len(PACKAGES)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *pins], check=True)
    return folder / "bin" / "python"


def _run(python: Path, program: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", program], cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_runs_where_neither_tensorflow_nor_keras_nor_pillow_is(python):
    program = (
        "import importlib.util as u\nprint([name for name in ('tensorflow', 'keras', 'PIL') if u.find_spec(name)])"
    )
    assert _run(python, program) == "[]\n"
    lines = _run(python, code_block("docs/mobile.md", "python", "Interpreter")).splitlines()
    assert lines[0].startswith("こ ")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "saved_models").glob("*/model.json")))
def test_every_shipped_recognizer_loads_and_answers(python, name):
    program = f"""
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter("saved_models/{name}/model-int8.tflite")
interpreter.allocate_tensors()
image, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
interpreter.set_tensor(image["index"], np.zeros(image["shape"], np.float32))
interpreter.invoke()
probabilities = interpreter.get_tensor(answer["index"])
labels = open("saved_models/{name}/labels.txt", encoding="utf-8").read().splitlines()
print(probabilities.shape == (1, len(labels)), abs(float(probabilities.sum()) - 1) < 0.01)
"""
    assert _run(python, program) == "True True\n"
