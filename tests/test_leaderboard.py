"""The leaderboard: what is trained, resumed and left alone, and that rows come from the runs' own files."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import leaderboard
from benchmarks.leaderboard import Flags, main, trained
from kuzushiji_tf import evaluation, exporting
from kuzushiji_tf.complexity import multiply_accumulates
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import registry
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.workdirs import WorkDirectory
from tests.tiny import write_run

pytest_plugins = ["tests.exported"]
HISTORY = "epoch,loss,accuracy,learning_rate,images_per_second,seconds\n1,2,0.5,0.1,100,90\n2,1,0.8,0,100,60\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('# published: 0.5 (somebody)\ndataset = "kmnist"\nepochs = 2\n')
    return path


@pytest.fixture
def commands(monkeypatch):
    """Record the training commands instead of running them; each ends well."""
    seen = []
    monkeypatch.setattr(
        leaderboard.subprocess, "run", lambda command: seen.append(command) or SimpleNamespace(returncode=0)
    )
    return seen


def started(path, config: TrainingConfig, **more) -> WorkDirectory:
    write_json(path / "config.json", {"config": config.to_dict(), "versions": {}, "data": {}, **more})
    return WorkDirectory(path)


def test_a_new_run_is_started_with_its_seed(recipe, commands, tmp_path):
    workdir = trained(recipe, 7, tmp_path / "runs", tmp_path)
    assert workdir.path == tmp_path / "runs" / "short-seed7"
    (command,) = commands
    assert command[2:] == [
        *("kuzushiji_tf", "train", "--workdir", str(workdir.path), "--recipe", str(recipe), "--seed", "7"),
        *("--data-dir", str(tmp_path)),
    ]


def test_an_unfinished_run_is_resumed_and_a_finished_one_left_alone(recipe, commands, tmp_path):
    config = TrainingConfig(dataset="kmnist", epochs=2, seed=3)
    workdir = started(tmp_path / "short-seed3", config)
    trained(recipe, 3, tmp_path, None)
    assert "--overwrite" in commands[-1]  # there is no epoch to go on from
    workdir.checkpoint.parent.mkdir()
    workdir.checkpoint.touch()
    trained(recipe, 3, tmp_path, None)
    assert commands[-1][4:] == ["--workdir", str(workdir.path), "--resume"]
    started(workdir.path, config, result={})
    trained(recipe, 3, tmp_path, None)
    assert len(commands) == 2


def test_a_run_of_other_knobs_is_refused(recipe, commands, tmp_path):
    started(tmp_path / "short-seed3", TrainingConfig(dataset="kmnist", epochs=9, seed=3))
    with pytest.raises(UserError, match="other knobs"):
        trained(recipe, 3, tmp_path, None)
    assert not commands


@pytest.fixture
def runs(learned, tmp_path, monkeypatch):
    """Two finished runs that differ in the seed; small images stand in the place of Kuzushiji-MNIST."""
    dataset, model = learned
    for module in (registry, exporting):
        monkeypatch.setattr(module, "load_dataset", lambda name, split, options: replace(dataset, split=split))
    paths = []
    for seed in (1, 2):
        workdir = write_run(tmp_path / "runs" / f"tiny-seed{seed}", model, dataset, seed=seed)
        (workdir.path / "history.csv").write_text(HISTORY)
        result = {"parameters": model.count_params(), "minutes": 2.5, "last_epoch": {"epoch": 2.0}}
        result["device"] = "1 x machine"
        write_json(workdir.config_file, {**workdir.description, "result": result})
        paths.append(workdir.path)
    return paths


def rows_in(folder):
    with open(folder / "results.csv", encoding="utf-8", newline="") as stream:
        return {row["recipe"]: row for row in csv.DictReader(stream)}


def test_finished_runs_are_evaluated_exported_and_become_a_row(learned, runs, tmp_path, monkeypatch, capsys):
    dataset, model = learned
    output = tmp_path / "docs"
    flags = Flags(collect=(runs[0],), output=output)
    assert main(flags, ["--collect", "runs"]) == 0
    (row,) = rows_in(output).values()
    assert (row["recipe"], row["dataset"], row["seeds"], row["device"]) == ("tiny", "kmnist", "1", "1 x machine")
    assert (row["parameters"], row["epochs"]) == (str(model.count_params()), "2")
    assert float(row["minutes"]) == 2.5
    assert int(row["macs"]) == multiply_accumulates(model)
    right = np.mean(model.predict(dataset.images[..., None], verbose=0).argmax(axis=1) == dataset.labels)
    assert float(row["accuracy"]) == pytest.approx(right, abs=1e-6)
    card = json.loads((runs[0] / "export" / "model.json").read_text(encoding="utf-8"))
    assert int(row["int8_bytes"]) == card["files"]["model-int8.tflite"]["bytes"]
    assert float(row["int8_accuracy"]) > 0.9 and float(row["float32_latency_ms"]) > 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["failed"] == [] and last["rows"]["tiny"]["accuracy"] == float(row["accuracy"])
    # What is there already is not done again.
    for module, verb in ((evaluation, "evaluate"), (exporting, "export_run")):
        monkeypatch.setattr(module, verb, lambda *_, **__: pytest.fail("done twice"))
    assert main(flags, ["--collect", "runs"]) == 0
    assert rows_in(output)["tiny"] == row


def test_what_fails_is_named_and_the_rest_counts(runs, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise UserError("int8 is beyond its bound")

    monkeypatch.setattr(exporting, "export_run", refuse)
    started(tmp_path / "begun", TrainingConfig())
    flags = Flags(collect=(tmp_path / "begun", tmp_path / "none", *runs), output=tmp_path / "docs")
    assert main(flags, []) == 2
    (row,) = rows_in(tmp_path / "docs").values()
    assert (row["recipe"], row["seeds"], row["int8_accuracy"]) == ("tiny", "1 2", "")
    assert float(row["accuracy"]) > 0.9 and int(row["macs"]) > 0
    printed = capsys.readouterr().out
    assert "beyond its bound" in printed
    unfinished, missing = json.loads(printed.splitlines()[-1])["failed"]
    assert "not finished" in unfinished and "no work directory" in missing


def test_an_ensemble_is_named_after_its_members(tmp_path):
    entry = {"weights": "equal", "members": [{"model": "vgg"}, {"model": "resnet18"}]}
    config = TrainingConfig(model="ensemble")
    assert leaderboard._model(started(tmp_path / "a", config, ensemble=entry)) == "vgg+resnet18"
    entry["weights"] = "validation"
    assert leaderboard._model(started(tmp_path / "b", config, ensemble=entry)) == "vgg+resnet18, weighted"


def test_without_anything_to_do_the_flags_are_named(tmp_path):
    with pytest.raises(UserError, match="--collect"):
        main(Flags(output=tmp_path), [])
