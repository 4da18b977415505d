"""A model of one's own trains, is scored and exported as any other: registered by a program, or by a package."""

import importlib
import json
import tomllib
from pathlib import Path

import pytest

from kuzushiji_tf.cli import main
from kuzushiji_tf.models import registry
from kuzushiji_tf.recognition.pretrained import list_models, pretrained_names
from kuzushiji_tf.workdirs import WorkDirectory

pytest_plugins = ["tests.exported"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "mixer_model"


@pytest.fixture
def example(monkeypatch):
    """The example's module; what it registers is forgotten after the test."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.delenv(
        "KUZUSHIJI_DATA", raising=False
    )  # people's strokes, which take seconds to draw, say no more here
    return importlib.import_module("mixer_model")


def test_the_example_trains_and_exports_a_model_that_its_program_registers(example, tmp_path, capsys, only_float32):
    example.main(tmp_path / "run")
    run = WorkDirectory(tmp_path / "run")
    assert run.config.model == "mixer" and "mixer" in list_models()
    card = json.loads((run.export / "model.json").read_text(encoding="utf-8"))
    assert card["files"]["model-float32.tflite"]["max_difference"] < 5e-5
    assert float(capsys.readouterr().out.split("test images: ")[1].split("%")[0]) > 70


def test_a_package_brings_the_example_to_commands_and_recipes(example, tmp_path, monkeypatch, capsys):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    group = "kuzushiji_tf.models"
    lines = "".join(f"{name} = {value}\n" for name, value in project["entry-points"][group].items())
    installed = tmp_path / "mixer_model-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mixer_model\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = tmp_path / "mixer.toml"
    recipe.write_text(
        'classes = "あいう"\nper_class = 8\nimage_size = 16\nmodel = "mixer"\nepochs = 1\nbatch_size = 8\n'
    )
    arguments = ["train", "--recipe", str(recipe), "--workdir", str(tmp_path / "run")]
    assert main([*arguments, "--width", "0.5"]) == 0
    run = WorkDirectory(tmp_path / "run")
    assert (run.config.model, run.config.architecture.width) == ("mixer", 0.5) and run.final.exists()
    capsys.readouterr()
    assert main([*arguments, "--overwrite", "--depth", "2"]) == 2
    assert "architecture.depth" in capsys.readouterr().err


def test_models_that_are_trained_already_are_listed_apart():
    assert list_models(pretrained=True) == pretrained_names()
    assert {"vgg", "efficientnet_b7"} <= set(list_models())
