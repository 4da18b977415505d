"""The leaderboard: what is trained, resumed and left alone, and that rows come from the runs' own files."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import leaderboard
import numpy as np
import pytest
from leaderboard import Flags, main, trained
from leaderboard_recipes import Training, read_recipe

from kuzushiji_tf.config import TrainingConfig, load_recipe
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation import evaluating as evaluation
from kuzushiji_tf.exporting import folders as exporting
from kuzushiji_tf.files import content_sha256, write_json
from kuzushiji_tf.models.complexity import multiply_accumulates
from kuzushiji_tf.training import ensembles as ensemble
from kuzushiji_tf.workdirs import WorkDirectory
from tests.tiny import tiny_model, write_run

pytest_plugins = ["tests.exported"]
HISTORY = "epoch,loss,accuracy,learning_rate,images_per_second,seconds\n1,2,0.5,0.1,100,90\n2,1,0.8,0,100,60\n"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('dataset = "kmnist"\nepochs = 2\n[leaderboard]\npublished = 0.5\n')
    return read_recipe(path)


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
    workdir = trained(Training(recipe, 7), tmp_path / "runs", tmp_path)
    assert workdir.path == tmp_path / "runs" / "short-seed7"
    (command,) = commands
    assert command[2:] == [
        *("kuzushiji_tf", "train", "--workdir", str(workdir.path), "--recipe", str(recipe.path), "--seed", "7"),
        *("--data-dir", str(tmp_path)),
    ]


def test_an_unfinished_run_is_resumed_and_a_finished_one_left_alone(recipe, commands, tmp_path):
    config = TrainingConfig(dataset="kmnist", epochs=2, seed=3)
    workdir = started(tmp_path / "short-seed3", config)
    trained(Training(recipe, 3), tmp_path, None)
    assert "--overwrite" in commands[-1]  # there is no epoch to go on from
    workdir.checkpoints.mkdir()
    (workdir.checkpoints / "epoch-1.state").touch()
    trained(Training(recipe, 3), tmp_path, None)
    assert commands[-1][4:] == ["--workdir", str(workdir.path), "--resume"]
    started(workdir.path, config, result={})
    trained(Training(recipe, 3), tmp_path, None)
    assert len(commands) == 2


def test_a_run_with_other_settings_is_refused(recipe, commands, tmp_path):
    started(tmp_path / "short-seed3", TrainingConfig(dataset="kmnist", epochs=9, seed=3))
    with pytest.raises(UserError, match="other settings"):
        trained(Training(recipe, 3), tmp_path, None)
    assert not commands


@pytest.fixture
def runs(learned, tmp_path, monkeypatch):
    """Two finished runs that differ in the seed; small images stand in the place of Kuzushiji-MNIST."""
    dataset, model = learned
    for module in (evaluation, exporting):
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
    assert main(flags) == 0
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
    for module, verb in ((evaluation, "evaluate"), (exporting, "export")):
        monkeypatch.setattr(module, verb, lambda *_, **__: pytest.fail("done twice"))
    assert main(flags) == 0
    assert rows_in(output)["tiny"] == row


def test_what_fails_is_named_and_the_rest_counts(runs, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise UserError("int8 is beyond its bound")

    monkeypatch.setattr(exporting, "export", refuse)
    started(tmp_path / "begun", TrainingConfig())
    flags = Flags(collect=(tmp_path / "begun", tmp_path / "none", *runs), output=tmp_path / "docs")
    assert main(flags) == 2
    (row,) = rows_in(tmp_path / "docs").values()
    assert (row["recipe"], row["seeds"], row["int8_accuracy"]) == ("tiny", "1 2", "")
    assert float(row["accuracy"]) > 0.9 and int(row["macs"]) > 0
    printed = capsys.readouterr().out
    assert "beyond its bound" in printed
    unfinished, missing = json.loads(printed.splitlines()[-1])["failed"]
    assert "not finished" in unfinished and "none" in missing


@pytest.fixture
def workshop(learned, tmp_path, monkeypatch):
    """A project with two recipes and their ensemble; trainings are stubs. Returns the folders that were trained."""
    dataset, model = learned
    ensembles = tmp_path / "recipes" / "ensembles"
    ensembles.mkdir(parents=True)
    for name, epochs in (("one", 3), ("two", 9)):
        (ensembles.parent / f"{name}.toml").write_text(f'dataset = "kmnist"\nseed = 1\nepochs = {epochs}\n')
    (ensembles / "both.toml").write_text('members = ["one", "two"]\n[leaderboard]\npublished = 0.989\n')
    seen = []

    def train(command):
        flags = dict(zip(command[4::2], command[5::2], strict=True))
        config = load_recipe(flags["--recipe"])
        settings = {"epochs": config.epochs, "seed": int(flags["--seed"])}
        workdir = write_run(Path(flags["--workdir"]), model, dataset, **settings)
        result = {"parameters": 1, "minutes": 2.0, "device": "1 x machine"}
        write_json(workdir.config_file, {**workdir.description, "result": result})
        seen.append(workdir.path.name)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(leaderboard, "ROOT", tmp_path)
    monkeypatch.setattr(leaderboard.subprocess, "run", train)
    monkeypatch.setattr(evaluation, "load_dataset", lambda name, split, options: replace(dataset, split=split))
    monkeypatch.setattr(leaderboard, "_figures_of_graph", lambda workdir, data_dir: {"macs": 1})
    return seen


def flags_of(tmp_path, *names: str, **more) -> Flags:
    recipes = tuple(tmp_path / "recipes" / f"{name}.toml" for name in names)
    return Flags(recipes, runs=tmp_path / "runs", output=tmp_path / "docs", **more)


def test_an_ensembles_members_are_trained_once_and_joined_in_a_row_of_its_name(
    learned, workshop, tmp_path, monkeypatch
):
    flags = flags_of(tmp_path, "two", "ensembles/both")
    assert main(flags) == 0
    assert workshop == ["two-seed1", "one-seed1"]
    rows = rows_in(tmp_path / "docs")
    assert set(rows) == {"two", "both"}
    row = rows["both"]
    assert (row["model"], row["seeds"], row["device"]) == ("preact_resnet20+preact_resnet20", "1", "1 x machine")
    assert (row["minutes"], row["epochs"], row["published"]) == ("4.00", "", "0.989")
    assert int(row["parameters"]) == 2 * learned[1].count_params()
    assert row["accuracy"] == rows["two"]["accuracy"]  # the members are one model
    # What is there already is not done again.
    with monkeypatch.context() as patch:
        patch.setattr(ensemble, "join_runs", lambda *_, **__: pytest.fail("joined twice"))
        patch.setattr(evaluation, "evaluate", lambda *_, **__: pytest.fail("evaluated twice"))
        assert main(flags_of(tmp_path, "ensembles/both")) == 0
        assert main(Flags(collect=(tmp_path / "runs" / "both",), output=tmp_path / "docs")) == 0
    assert len(workshop) == 2 and rows_in(tmp_path / "docs")["both"] == row


def test_an_ensemble_is_joined_and_measured_again_when_a_member_has_changed(workshop, tmp_path):
    assert main(flags_of(tmp_path, "ensembles/both")) == 0
    assert float(rows_in(tmp_path / "docs")["both"]["accuracy"]) > 0.9
    files = [tmp_path / "runs" / name / "final.keras" for name in workshop]
    for seed, file in enumerate(files):
        tiny_model(10, seed=seed).save(file)  # which knows nothing
    assert main(flags_of(tmp_path, "ensembles/both")) == 0
    assert len(workshop) == 2
    members = WorkDirectory(tmp_path / "runs" / "both").description["ensemble"]["members"]
    assert [member["sha256"] for member in members] == [content_sha256(file) for file in files]
    assert float(rows_in(tmp_path / "docs")["both"]["accuracy"]) < 0.6


def test_a_collected_run_with_the_settings_and_the_seed_stands_for_a_training(learned, workshop, tmp_path):
    dataset, model = learned
    mine = write_run(tmp_path / "mine", model, dataset, epochs=9, seed=2)
    write_json(mine.config_file, {**mine.description, "result": {"parameters": 1}})
    unfinished = started(tmp_path / "begun", TrainingConfig(dataset="kmnist", epochs=3, seed=2))
    collect = (mine.path, unfinished.path, tmp_path / "none")
    assert main(flags_of(tmp_path, "ensembles/both", seeds=(2, 3), collect=collect)) == 2
    assert workshop == ["one-seed2", "one-seed3", "two-seed3"]
    members = WorkDirectory(tmp_path / "runs" / "both-seed2").description["ensemble"]["members"]
    assert [member["path"] for member in members] == [str(tmp_path / "runs" / "one-seed2"), str(mine.path)]
    rows = rows_in(tmp_path / "docs")
    assert {name: row["seeds"] for name, row in rows.items()} == {"both": "2 3", "two": "2"}


def test_an_ensemble_without_one_of_its_members_is_named_and_the_rest_counts(workshop, tmp_path, monkeypatch, capsys):
    train = leaderboard.subprocess.run

    def fail_for_two(command):
        return SimpleNamespace(returncode=1) if "two-seed1" in command[5] else train(command)

    monkeypatch.setattr(leaderboard.subprocess, "run", fail_for_two)
    assert main(flags_of(tmp_path, "one", "two", "ensembles/both")) == 2
    assert set(rows_in(tmp_path / "docs")) == {"one"}
    training, joining = json.loads(capsys.readouterr().out.splitlines()[-1])["failed"]
    assert "two.toml" in training and "exit code 1" in training
    assert "both.toml" in joining and "two-seed1" in joining


def test_a_wrong_ensemble_is_refused_before_anything_is_trained(workshop, tmp_path):
    (tmp_path / "recipes" / "ensembles" / "both.toml").write_text('members = ["one", "three"]\n')
    with pytest.raises(UserError, match=r"both\.toml: There is no recipe named 'three'"):
        main(flags_of(tmp_path, "ensembles/both"))
    assert not workshop


def test_an_ensemble_is_named_after_its_members(tmp_path):
    entry = {"weights": "equal", "members": [{"model": "vgg"}, {"model": "resnet18"}]}
    config = TrainingConfig(model="ensemble")
    assert leaderboard._model(started(tmp_path / "a", config, ensemble=entry)) == "vgg+resnet18"
    entry["weights"] = "validation"
    assert leaderboard._model(started(tmp_path / "b", config, ensemble=entry)) == "vgg+resnet18, weighted"


def test_without_anything_to_do_the_flags_are_named(tmp_path):
    with pytest.raises(UserError, match="--collect"):
        main(Flags(output=tmp_path))
