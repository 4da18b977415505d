"""The command `evaluate`: what it evaluates on, where it writes, what it prints."""

import json
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.cli import evaluate as command
from kuzushiji_tf.cli import main
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.evaluation import evaluating
from kuzushiji_tf.files import write_json
from kuzushiji_tf.recognition.predictors import Predictor

LABELS = Labels(tuple("あいう"))


@pytest.fixture
def loaded(monkeypatch) -> list:
    """Replace recognizer and data sets by toys without TensorFlow; lists each data set asked for."""
    asked = []

    def load_predictor(path, file=None, labels=None):
        def run(images):
            return np.eye(3, dtype=np.float32)[images[:, 0, 0]]

        return Predictor(Path(path) / (file or "final"), labels or LABELS, (8, 8), "none", run)

    def load_dataset(name, split, options):
        asked.append((name, split, options))
        if name == "tomoe" and not options.data_dir:
            raise MissingFileError("There is no tomoe.jsonl.gz.")
        labels = np.array([0, 1, 2, 3], np.int32)
        images = np.broadcast_to(np.array([0, 1, 1, 0], np.uint8)[:, None, None], (4, 8, 8))
        ink = "synthetic" if name == "kana" else "scanned"
        return CharacterDataset(name, split, images, labels, Labels(tuple("あいうえ")), "CC0", "nobody", ink=ink)

    monkeypatch.setattr(command, "load_predictor", load_predictor)
    monkeypatch.setattr(evaluating, "load_dataset", load_dataset)
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)
    return asked


@pytest.fixture
def workdir(tmp_path) -> Path:
    path = tmp_path / "runs" / "first"
    config = TrainingConfig(dataset="kmnist", per_class=7, seed=3)
    write_json(path / "config.json", {"config": config.to_dict(), "versions": {}, "data": {}})
    (path / "history.csv").write_text("epoch,loss,accuracy,learning_rate\n1,1.5,0.5,0.1\n")
    (path / "final.keras").touch()
    return path


def _exported(folder: Path, **more) -> Path:
    write_json(folder / "model.json", {"files": {}, "input": {"shape": [1, 8, 8, 1], "normalization": "none"}, **more})
    return folder


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_json_holds_the_scores(loaded, workdir, capsys):
    assert main(["evaluate", str(workdir), "--json"]) == 0
    scores = _json(capsys)
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["balanced_accuracy"] == pytest.approx(2 / 3)
    assert scores["top5_accuracy"] == 1.0
    assert (scores["count"], scores["left_out"]) == (3, 1)
    assert all(isinstance(value, int | float | str) for value in scores.values())


def test_people_are_told_the_scores_the_worst_classes_and_what_to_do_next(loaded, workdir, capsys):
    assert main(["evaluate", str(workdir)]) == 0
    printed = capsys.readouterr().out
    for words in ("66.67%", "no class for: え)", "う taken for い (1)", f"python export.py {workdir}"):
        assert words in printed
    assert str(workdir / "evaluation" / "kmnist-test") in printed
    assert "synthetic" not in printed


def test_a_run_without_a_network_is_not_said_to_be_exportable(loaded, workdir, capsys):
    (workdir / "final.keras").unlink()
    assert main(["evaluate", str(workdir)]) == 0
    assert "export.py" not in capsys.readouterr().out


def test_a_run_is_evaluated_on_its_own_data_set_with_its_own_settings(loaded, workdir):
    main(["evaluate", str(workdir)])
    (name, split, options) = loaded[0]
    assert (name, split, options.per_class, options.seed, options.image_size) == ("kmnist", "test", 7, 3, None)
    names = {path.name for path in (workdir / "evaluation" / "kmnist-test").iterdir()}
    assert {"metrics.json", "learning_curves.png", "confused_pairs.png"} <= names


def test_the_last_run_is_the_default(loaded, workdir, monkeypatch, capsys):
    monkeypatch.chdir(workdir.parent.parent)
    assert main(["evaluate"]) == 0
    assert "runs/first" in capsys.readouterr().out


def test_another_file_split_and_folder_can_be_asked_for(loaded, workdir, tmp_path):
    main(["evaluate", str(workdir), "--file", "best", "--split", "train", "--output", str(tmp_path / "out")])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["model"] == str(workdir / "best")
    assert metrics["split"] == "train"
    assert not (workdir / "evaluation").exists()


@pytest.mark.parametrize(("dataset", "split"), [("mine/hands.npz", "all"), ("mine/hands", "test"), ("k49", "test")])
def test_all_of_an_npz_file_is_evaluated_and_of_others_the_test_split(loaded, workdir, dataset, split):
    main(["evaluate", str(workdir), "--dataset", dataset, "--output", str(workdir / "out")])
    assert loaded[0][:2] == (dataset, split)


@pytest.mark.parametrize(("flags", "size"), [([], 8), (["--image-size", "20"], 20)])
def test_strokes_are_drawn_at_the_models_size_unless_another_is_asked_for(loaded, workdir, flags, size):
    main(["evaluate", str(workdir), "--dataset", "katakana", *flags])
    assert (loaded[0][2].image_size or loaded[0][2].stroke_size) == size


def test_an_exported_folder_is_evaluated_on_what_it_was_trained_on_and_not_littered(loaded, tmp_path, capsys):
    folder = _exported(tmp_path / "kmnist", recipe=TrainingConfig(dataset="kmnist").to_dict())
    assert main(["evaluate", str(folder), "--file", "int8"]) == 0
    assert loaded[0][0] == "kmnist"
    assert [path.name for path in folder.iterdir()] == ["model.json"]
    assert "python -m kuzushiji_tf predict" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_without_a_recipe_the_data_set_must_be_named(loaded, tmp_path, capsys, kind):
    target = tmp_path / "model.keras" if kind == "file" else _exported(tmp_path / "foreign")
    if kind == "file":
        target.touch()
    assert main(["evaluate", str(target)]) == 2
    assert "--dataset" in capsys.readouterr().err
    assert main(["evaluate", str(target), "--dataset", "k49"]) == 0
    assert [path.name for path in tmp_path.iterdir() if path != target] == []


def test_a_synthetic_figure_is_called_so(loaded, workdir, capsys):
    assert main(["evaluate", str(workdir), "--dataset", "kana", "--json"]) == 0
    printed = capsys.readouterr()
    assert "4-55 points" in printed.err.replace("\n", " ")
    assert "tomoe/" in printed.err and "KUZUSHIJI_DATA" in printed.err
    assert "tomoe_accuracy" not in json.loads(printed.out)


def test_beside_a_synthetic_figure_stands_that_of_real_pen_strokes(loaded, workdir, tmp_path, capsys):
    assert main(["evaluate", str(workdir), "--dataset", "kana", "--data-dir", str(tmp_path), "--json"]) == 0
    scores = _json(capsys)
    assert scores["tomoe_accuracy"] == pytest.approx(2 / 3)
    assert scores["tomoe_left_out"] == 1
    assert [name for name, *_ in loaded] == ["kana", "tomoe"]
    assert (workdir / "evaluation" / "tomoe-test" / "metrics.json").exists()


def test_the_real_pen_figures_go_beside_the_others(loaded, workdir, tmp_path):
    flags = ["--dataset", "kana", "--data-dir", str(tmp_path), "--output", str(tmp_path / "out")]
    for _ in range(2):  # the second takes the place of the first
        assert main(["evaluate", str(workdir), *flags]) == 0
    scored = {path.relative_to(tmp_path) for path in tmp_path.rglob("metrics.json")}
    assert scored == {Path("out/metrics.json"), Path("out-tomoe/metrics.json")}


def test_a_labels_file_names_the_classes(loaded, workdir, tmp_path, capsys):
    Labels(tuple("あえお")).write(tmp_path / "labels.txt")
    assert main(["evaluate", str(workdir), "--labels", str(tmp_path / "labels.txt"), "--json"]) == 0
    assert _json(capsys)["count"] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/none", "--dataset", "k49"], "none"),
        (["{tmp}", "--data-dir", "{tmp}/none", "--dataset", "k49"], "none"),
        (["{tmp}", "--dataset", "k49", "--labels", "{tmp}/none"], "none"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(tmp_path, capsys, arguments, sentence):
    assert main(["evaluate", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert sentence in error


def test_a_trained_model_is_evaluated_on_real_pen_strokes(tmp_path, data_dir, capsys):
    import keras

    image = keras.Input((16, 16, 1), name="image")
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image)))
    keras.Model(image, logits).save(tmp_path / "model.keras")
    LABELS.write(tmp_path / "labels.txt")
    flags = ["--dataset", "tomoe", "--data-dir", str(data_dir), "--output", str(tmp_path / "out"), "--json"]
    assert main(["evaluate", str(tmp_path / "model.keras"), *flags]) == 0
    scores = _json(capsys)
    assert scores["count"] >= 3
    assert scores["left_out"] > 2900
    assert (tmp_path / "out" / "worst_mistakes.png").exists()
