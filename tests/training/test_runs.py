"""Training: what is left on disk, what a resumed run equals, what is refused."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.cli import main
from kuzushiji_tf.config import Distillation, ImageAugmentation, Neighbors, TrainingConfig
from kuzushiji_tf.datasets.drawn.others import with_others
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.evaluating import evaluate
from kuzushiji_tf.exporting.folders import export
from kuzushiji_tf.models.loading import load_keras
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training import callbacks, checkpoints, fitting, preparation, saving
from kuzushiji_tf.training import runs as training
from kuzushiji_tf.training.population import measure_population
from kuzushiji_tf.workdirs import WorkDirectory, find_last, reserved
from tests.making import CHARACTERS, random_dataset

QUICK = TrainingConfig(
    dataset="kmnist",
    model="simple_cnn",
    epochs=4,
    batch_size=25,
    validation_fraction=0.2,
    optimizer="adamw",
    learning_rate=5e-3,
    warmup_epochs=0.0,
    augmentation=ImageAugmentation(rotation_range=5),
)


@pytest.fixture(autouse=True)
def small_learnable_data(monkeypatch):
    monkeypatch.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True))


def weights(workdir):
    return keras.models.load_model(workdir.final).get_weights()


def history(workdir):
    with open(workdir.history_file, encoding="utf-8", newline="") as stream:
        timed = ("images_per_second", "seconds")
        return [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(stream)]


class StopAfter(keras.callbacks.Callback):
    """Behaves as Ctrl-C in the middle of an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._epoch == self._epochs and batch == 1:
            self.press()

    def press(self):
        raise KeyboardInterrupt


class Destroyed:
    def __init__(self, number):
        self._number = number

    def __del__(self):
        signal.raise_signal(self._number)


class SignalAfter(StopAfter):
    """Sends a signal; with `in_destructor` while one runs, of which Python drops what is raised."""

    def __init__(self, epochs, number, in_destructor):
        super().__init__(epochs)
        self._number = number
        self._in_destructor = in_destructor

    def press(self):
        if self._in_destructor:
            Destroyed(self._number)
        else:
            signal.raise_signal(self._number)


def interrupted(config, path, epochs):
    with pytest.raises(KeyboardInterrupt, match="--resume --workdir"):
        training.train(config, path, callbacks=[StopAfter(epochs)])
    return WorkDirectory(path) if path else find_last()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A run of one epoch, and one that was stopped in its second; not to be changed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True))
        folder = tmp_path_factory.mktemp("originals")
        finished = training.train(replace(QUICK, epochs=1), folder / "finished")
        return finished, interrupted(QUICK, folder / "stopped", epochs=1)


@pytest.fixture
def finished(originals, tmp_path):
    """A copy of the finished run, of one epoch."""
    return WorkDirectory(shutil.copytree(originals[0].path, tmp_path / "finished"))


@pytest.fixture
def stopped(originals, tmp_path):
    """A copy of the run that was stopped in its second epoch."""
    return WorkDirectory(shutil.copytree(originals[1].path, tmp_path / "stopped"))


def test_training_learns_and_leaves_a_complete_work_directory(tmp_path):
    workdir = training.train(QUICK, tmp_path / "run")
    for part in (workdir.history_file, workdir.labels_file, workdir.best, workdir.final):
        assert part.stat().st_size > 0
    assert workdir.has_checkpoint
    assert workdir.labels == CHARACTERS
    assert workdir.config == QUICK
    rows = history(workdir)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["val_accuracy"]) > 0.8
    assert workdir.description["data"]["content_hash"] == random_dataset(250, learnable=True).content_hash
    assert workdir.description["result"]["last_epoch"]["epoch"] == 4
    assert workdir.description["result"]["calibration"]["validation_images"] == 50
    assert list((workdir.tensorboard / "pictures").iterdir())


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path, finished):
    config = replace(QUICK, epochs=1)
    some, same = weights(finished), weights(training.train(config, tmp_path / "again"))
    other = weights(training.train(replace(config, seed=1), tmp_path / "other"))
    assert all(np.array_equal(x, y) for x, y in zip(some, same, strict=True))
    assert not np.array_equal(some[0], other[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "cosine"},
        {"schedule": "plateau", "plateau_patience": 1, "learning_rate": 0.03, "early_stopping_patience": 3},
        {"optimizer": "sgd", "learning_rate": 0.05, "ema_decay": 0.9},
        {"sampling": "square_root", "epoch_images": 75, "plain_epochs": 1},
        {"balance": 40, "epoch_images": 100},
        {"mixing": "manifold", "batch_size": 20, "ema_decay": 0.9},
        {"precision": "float16", "ema_decay": 0.9},
    ],
    ids=[
        "cosine",
        "plateau and early stopping",
        "ema",
        "square root and plain epochs",
        "balance",
        "manifold mixup",
        "float16",
    ],
)
def test_resumed_run_equals_uninterrupted_run(tmp_path, settings):
    """Dropout, augmentation, order, learning rate and the callbacks' patience all go on where they were."""
    config = replace(QUICK, **settings)
    whole = training.train(config, tmp_path / "whole")
    workdir = interrupted(config, tmp_path / "stopped", epochs=2)
    resumed = training.train(config, workdir.path, resume=True)
    assert history(resumed) == history(whole)
    assert all(np.array_equal(x, y) for x, y in zip(weights(resumed), weights(whole), strict=True))


class StopIn(keras.callbacks.Callback):
    """Sends a Ctrl-C in a step of the third epoch, or in its validation."""

    def __init__(self, where):
        super().__init__()
        self._where = where

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._press(batch == self._where)

    def on_test_batch_begin(self, batch, logs=None):
        self._press(self._where == "validation")

    def _press(self, here):
        if self._epoch == 2 and here:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "where, step, settings",
    [
        (0, 1, {"precision": "float16", "ema_decay": 0.9, "epoch_images": 100}),
        (2, 3, {"schedule": "plateau", "plateau_patience": 1, "learning_rate": 0.03, "early_stopping_patience": 3}),
        ("validation", 10, {"ema_decay": 0.9, "mixing": "input", "batch_size": 20}),
    ],
    ids=["first step", "middle", "validation"],
)
def test_a_run_stopped_within_an_epoch_goes_on_at_that_step(
    tmp_path, monkeypatch, ctrl_c_raises, where, step, settings
):
    config = replace(QUICK, epochs=3, **settings)
    whole = training.train(config, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(fitting, "Progress", lambda *_: StopIn(where))
        with pytest.raises(KeyboardInterrupt, match=f"of step {step} of epoch 3"):
            training.train(config, tmp_path / "stopped")
    resumed = training.train(config, tmp_path / "stopped", resume=True)
    assert history(resumed) == history(whole)
    assert all(np.array_equal(x, y) for x, y in zip(weights(resumed), weights(whole), strict=True))


def test_the_state_is_saved_in_the_middle_of_epochs_as_often_as_asked(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(saving, "save_checkpoint", lambda model, folder, place, *_: places.append(place))
    training.train(replace(QUICK, epochs=1), tmp_path / "always", checkpoint_minutes=1e-9)
    assert places == [(0, 0), *((0, step) for step in range(1, 9)), (1, 0)]
    places.clear()
    training.train(replace(QUICK, epochs=1), tmp_path / "never", checkpoint_minutes=0)
    assert places == [(0, 0), (1, 0)]


def test_a_resumed_epoch_counts_its_time_and_its_steps_from_its_beginning(tmp_path, monkeypatch, ctrl_c_raises):
    class Bar(StopIn):
        def __init__(self, where):
            super().__init__(where)
            self.steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            time.sleep(0.05)

    bars = [Bar(5), Bar(None)]
    config = replace(QUICK, epochs=3)
    with monkeypatch.context() as patched:
        patched.setattr(fitting, "Progress", lambda *_: bars[0])
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "run")
        patched.setattr(fitting, "Progress", lambda *_: bars[1])
        workdir = training.train(config, tmp_path / "run", resume=True)
    with open(workdir.history_file, encoding="utf-8", newline="") as stream:
        seconds = [float(row["seconds"]) for row in csv.DictReader(stream)]
    assert bars[1].steps == 8 and seconds[2] > 7 * 0.05
    assert workdir.description["result"]["minutes"] == pytest.approx(sum(seconds) / 60)


def test_a_run_resumed_from_the_older_checkpoint_equals_an_uninterrupted_one(tmp_path):
    whole = training.train(QUICK, tmp_path / "whole")
    workdir, said = interrupted(QUICK, tmp_path / "stopped", epochs=2), []
    workdir.history_file.write_text("")
    (workdir.checkpoints / "epoch-2.state").write_bytes(b"")
    resumed = training.train(QUICK, workdir.path, resume=True, report=said.append)
    assert "epoch-2.state is damaged" in said[0] and "epoch-1.state" in said[0]
    assert history(resumed) == history(whole)
    assert all(np.array_equal(x, y) for x, y in zip(weights(resumed), weights(whole), strict=True))


def test_resume_auto_starts_a_run_continues_it_and_leaves_it_when_it_is_finished(tmp_path, monkeypatch, capsys):
    config, path, said = replace(QUICK, epochs=2), tmp_path / "run", []
    whole = training.train(config, tmp_path / "whole", resume="auto")
    interrupted(config, path, epochs=1)
    resumed = training.train(config, path, resume="auto")
    assert history(resumed) == history(whole)
    before = resumed.final.read_bytes()
    assert training.train(config, path, resume="auto", report=said.append).path == path
    assert said == [f"The run in {path} is finished."] and resumed.final.read_bytes() == before
    assert main(["train", "--resume", "auto", "--workdir", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said[0]
    with pytest.raises(UserError, match="seed = 0, not 1"):
        training.train(replace(config, seed=1), path, resume="auto")


def test_resume_auto_begins_a_run_anew_that_died_before_its_first_checkpoint(stopped):
    shutil.rmtree(stopped.checkpoints)
    (stopped.path / ".config-12345678.tmp.json").touch()
    workdir = training.train(QUICK, stopped.path, resume="auto")
    assert workdir.description["result"]["last_epoch"]["epoch"] == 4


def test_images_that_are_not_square_are_refused_before_a_run_begins(tmp_path, monkeypatch):
    data = random_dataset(20)
    monkeypatch.setattr(training, "load_dataset", lambda *_: replace(data, images=data.images[:, 2:]))
    with pytest.raises(UserError, match="--image-size"):
        training.train(QUICK, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_notes_whole_paths_and_what_it_holds_out_and_says_that_it_learns_little(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    monkeypatch.setattr("kuzushiji_tf.batches.loading.load_dataset", lambda *_: random_dataset(20))
    said = []
    workdir = training.train(replace(QUICK, dataset="own", epochs=1), report=said.append)
    assert workdir.config.dataset == str(tmp_path / "own")
    assert workdir.data["test_content_hash"] == random_dataset(20).content_hash
    assert len(said) == 2 and "--batch-size 32" in said[1]


def test_a_run_learns_to_refuse_and_is_validated_on_characters_alone(tmp_path, monkeypatch):
    asked = []

    def load(name, split, options):
        asked.append(options.refuse)
        return with_others(random_dataset(400, learnable=True), options.refuse, options.seed)

    monkeypatch.setattr(training, "load_dataset", load)
    shown = []
    as_batches = preparation.as_tf_dataset
    monkeypatch.setattr(
        preparation,
        "as_tf_dataset",
        lambda data, *rest, **named: shown.append(data) or as_batches(data, *rest, **named),
    )
    workdir = training.train(replace(QUICK, refuse=0.2), tmp_path / "run")
    assert asked == [0.2] and workdir.labels.characters[-1] == UNKNOWN
    assert len(shown) == 1 and shown[0].is_character.all() and len(shown[0]) == 80
    refusal = workdir.description["result"]["refusal"]
    assert refusal["rejected"] > 0.8 and refusal["refused"] < 0.1


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True))
        return training.train(replace(QUICK, epochs=6), tmp_path_factory.mktemp("teacher") / "run")


def test_a_student_can_learn_from_its_teacher_what_the_labels_get_wrong(tmp_path, monkeypatch, teacher):
    data = random_dataset(250, learnable=True)
    wrong = replace(data, labels=(data.labels + 1) % len(CHARACTERS))
    monkeypatch.setattr(training, "load_dataset", lambda *_: wrong)
    distillation = Distillation(teacher=str(teacher.path), teacher_weight=1.0)
    workdir = training.train(replace(QUICK, epochs=12, distillation=distillation), tmp_path / "student")
    taught, told = (load_predictor(run.path).predict(data.images).argmax(axis=1) for run in (teacher, workdir))
    assert (taught == data.labels).mean() > 0.9 and (told == data.labels).mean() > 0.9
    assert load_keras(workdir.final).count_params() == load_keras(teacher.final).count_params()
    assert workdir.description["teacher"]["path"] == str(teacher.final)


def test_a_resumed_student_equals_an_uninterrupted_one_and_needs_the_same_teacher(tmp_path, teacher):
    copy = tmp_path / "teacher"
    shutil.copytree(teacher.path, copy)
    config = replace(QUICK, ema_decay=0.9, distillation=Distillation(teacher=str(copy)))
    whole = training.train(config, tmp_path / "whole")
    workdir = interrupted(config, tmp_path / "stopped", epochs=2)
    shutil.copyfile(whole.final, copy / "final.keras")
    with pytest.raises(UserError, match=r"teacher .* has changed"):
        training.train(config, workdir.path, resume=True)
    shutil.copyfile(teacher.final, copy / "final.keras")
    resumed = training.train(config, workdir.path, resume=True)
    assert history(resumed) == history(whole)
    assert all(np.array_equal(x, y) for x, y in zip(weights(resumed), weights(whole), strict=True))


def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch, teacher):
    def refusal(path):
        with pytest.raises(UserError) as caught:
            training.train(replace(QUICK, distillation=Distillation(teacher=str(path))), tmp_path / "run")
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    assert "missing" in refusal(tmp_path / "missing")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in CHARACTERS))
    assert "text.keras" in refusal(tmp_path / "text.keras")
    neighbors = replace(QUICK, model="nearest_neighbors", validation_fraction=0.0)
    assert "not a Keras model" in refusal(training.train(neighbors, tmp_path / "neighbors").path)
    monkeypatch.setattr(training, "load_dataset", lambda *_: random_dataset(250, size=16))
    assert "kmnist (images of 12x12 and 16x16 pixels)" in refusal(teacher.path)
    fewer = random_dataset(250)
    fewer = replace(fewer, labels=fewer.labels % 9, classes=Labels(tuple(CHARACTERS)[:9]))
    monkeypatch.setattr(training, "load_dataset", lambda *_: fewer)
    assert "kmnist (10 and 9 classes)" in refusal(teacher.path)


@pytest.mark.parametrize("epochs, place", [(0, "before the first epoch"), (1, "of epoch 1")])
def test_interrupted_run_leaves_a_usable_checkpoint(tmp_path, epochs, place):
    workdir = interrupted(QUICK, tmp_path / "run", epochs)
    assert place in checkpoints.last_checkpoint(workdir.checkpoints)
    assert "result" not in workdir.description


def test_exponential_moving_average_is_what_is_saved_and_validated(tmp_path):
    config = replace(QUICK, epochs=3, ema_decay=0.8)
    workdir = training.train(config, tmp_path / "run")
    _, last = checkpoints._read(workdir.checkpoints / "epoch-3.state")
    (average,) = (value for name, value in last.items() if name.endswith("/conv2d_kernel_average:1"))
    assert not np.allclose(weights(workdir)[0], last["conv2d/kernel:1"], atol=1e-6)
    np.testing.assert_allclose(weights(workdir)[0], average, atol=1e-6)


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    config = replace(QUICK, epochs=12, schedule="constant", learning_rate=0.3, early_stopping_patience=1)
    workdir = training.train(config, tmp_path / "run")
    assert len(history(workdir)) < 12
    assert workdir.final.read_bytes() == workdir.best.read_bytes()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_runs_are_saved_as_plain_float32(tmp_path, precision):
    workdir = training.train(replace(QUICK, epochs=1, precision=precision), tmp_path / "run")
    for file in (workdir.final, workdir.best):
        assert {layer.compute_dtype for layer in keras.models.load_model(file).layers} == {"float32"}


def test_a_loss_that_is_not_a_number_ends_the_run_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"The loss became nan in epoch 1, .*step.*--learning-rate.*epoch-0\.state"):
        training.train(replace(QUICK, learning_rate=1e20, schedule="constant"), tmp_path / "run")
    assert not WorkDirectory(tmp_path / "run").final.exists()


def test_a_validation_loss_that_is_not_a_number_ends_the_run_before_its_epoch_is_kept(tmp_path):
    check = callbacks.StopOnNan(tmp_path, "do less")
    check.on_epoch_begin(4)
    check.on_epoch_end(4, {"loss": 1.0})
    with pytest.raises(UserError, match=r"validation loss became nan in epoch 5, .*do less .*no checkpoint"):
        check.on_epoch_end(4, {"loss": 1.0, "val_loss": np.nan})


def test_a_full_disk_ends_the_run_in_one_sentence_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    save = saving.save_checkpoint

    def full_after_one_epoch(model, folder, place, *rest):
        if place.epoch == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "epoch-2.state")
        save(model, folder, place, *rest)

    monkeypatch.setattr(saving, "save_checkpoint", full_after_one_epoch)
    with pytest.raises(UserError, match=r"disk of .*run is full: .*--resume .*epoch-1\.state"):
        training.train(QUICK, tmp_path / "run")


@pytest.mark.parametrize(
    "wrong",
    [
        {"mixing": "input", "batch_size": 7},
        {"mixing": "manifold"},
        {"model": "nearest_neighbors", "neighbors": Neighbors(neighbors=1000)},
    ],
    ids=["batch size", "nothing to mix", "too many neighbors"],
)
def test_a_setting_that_cannot_be_costs_nothing(finished, tmp_path, wrong):
    def contents():
        return {file: file.read_bytes() for file in finished.path.rglob("*") if file.is_file()}

    config, before = replace(QUICK, **wrong), contents()
    with pytest.raises(UserError):
        training.train(config, finished.path, overwrite=True)
    assert contents() == before
    with pytest.raises(UserError):
        training.train(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_at_the_start_leaves_no_folder(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "labels.txt")

    monkeypatch.setattr(Labels, "write", full)
    with pytest.raises(OSError):
        training.train(QUICK, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_finished_run_is_not_overwritten_unless_asked(finished):
    config, workdir = replace(QUICK, epochs=1), finished
    before, learned = workdir.final.read_bytes(), weights(workdir)
    with pytest.raises(UserError, match="already holds a run"):
        training.train(config, workdir.path)
    with pytest.raises(UserError, match="is finished"):
        training.train(config, workdir.path, resume=True)
    assert workdir.final.read_bytes() == before
    training.train(replace(config, seed=9), workdir.path, overwrite=True)
    assert not np.array_equal(weights(workdir)[0], learned[0])


def test_foreign_files_are_refused_and_survive_even_overwriting(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(UserError, match="other files"):
        training.train(replace(QUICK, epochs=1), tmp_path)
    training.train(replace(QUICK, epochs=1), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize("name", ["config.json", "checkpoints/thesis.pt", "labels.txt"])
def test_foreign_files_with_a_runs_names_are_never_deleted(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError):
        training.train(replace(QUICK, epochs=1), tmp_path, overwrite=True)
    assert (tmp_path / name).read_text() == "{}"


def test_a_run_is_resumed_only_on_its_own_data(stopped, monkeypatch):
    monkeypatch.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True, seed=1))
    with pytest.raises(UserError, match="'kmnist' has changed"):
        training.train(QUICK, stopped.path, resume=True)


def test_a_run_killed_while_its_result_is_written_can_be_finished(tmp_path, monkeypatch):
    """Without validation, and after the last epoch: nothing is left to train, and the result still appears."""
    config = replace(QUICK, epochs=2, validation_fraction=0.0)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(preparation, "save_for_use", killed)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "run")
    workdir = training.train(config, tmp_path / "run", resume=True)
    assert workdir.final.exists()
    assert workdir.description["result"]["last_epoch"]["epoch"] == 2
    assert "val_loss" not in history(workdir)[0]


def test_without_a_folder_a_run_takes_the_next_free_one_and_the_last_one_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(QUICK, epochs=2)
    assert training.train(replace(config, epochs=1)).path == Path("runs/kmnist-simple_cnn-1")
    assert interrupted(config, None, epochs=1).path == Path("runs/kmnist-simple_cnn-2")
    assert training.train(config, resume=True).path == Path("runs/kmnist-simple_cnn-2")


def test_a_run_says_what_its_images_are(tmp_path, monkeypatch):
    drawn = replace(random_dataset(250, learnable=True), ink="synthetic", normalization="ink-box")
    monkeypatch.setattr(training, "load_dataset", lambda *_: drawn)
    workdir = training.train(TrainingConfig(dataset="mine", model="nearest_neighbors"), tmp_path / "run")
    assert (workdir.data["ink"], workdir.data["normalization"]) == ("synthetic", "ink-box")
    assert load_predictor(workdir.path).normalization == "ink-box"


def test_nearest_neighbors_are_a_run_like_any_other(tmp_path):
    config = TrainingConfig(dataset="kmnist", model="nearest_neighbors", validation_fraction=0.2)
    workdir = training.train(config, tmp_path / "run")
    dataset = random_dataset(250, learnable=True)
    assert workdir.description["result"]["parameters"] == 200 * (dataset.images[0].size + 1)
    probabilities = load_predictor(workdir.path).predict(dataset.images)
    assert np.mean(probabilities.argmax(axis=1) == dataset.labels) > 0.9
    network = training.train(replace(QUICK, epochs=1), workdir.path, overwrite=True)
    assert network.final.exists() and not network.neighbors.exists()


def test_a_work_directory_in_use_is_refused(tmp_path):
    claim = reserved(tmp_path / "run", QUICK, overwrite=False, resume=False)
    with claim, pytest.raises(UserError, match="in use"):
        training.train(QUICK, tmp_path / "run", overwrite=True)


def test_a_run_ends_with_the_statistics_of_its_population(tmp_path):
    quick = replace(QUICK, model="small_cnn", epochs=1)
    plain, measured = (
        load_keras(training.train(replace(quick, population_images=number), tmp_path / str(number)).final)
        for number in (0, 1000)  # more than there are: all
    )
    for before, after in zip(plain.trainable_variables, measured.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after)
    dataset = random_dataset(250, learnable=True)
    rows, _ = validation_rows(dataset, quick.validation_fraction, quick.seed)
    assert not np.allclose(plain.get_weights()[3], measured.get_weights()[3], rtol=0.01)
    measure_population(plain, dataset.images[rows])
    for before, after in zip(plain.get_weights(), measured.get_weights(), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-6)


def test_a_population_is_of_training_images_in_random_order(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(checkpoints, "measure_population", lambda model, images: seen.append(images))
    config = replace(QUICK, epochs=1, population_images=50)
    training.train(config, tmp_path / "run")
    images = random_dataset(250, learnable=True).images
    drawn = [int(np.flatnonzero((images == image).all(axis=(1, 2)))[0]) for image in seen[-1]]
    rows, _ = validation_rows(random_dataset(250, learnable=True), config.validation_fraction, config.seed)
    assert len(set(drawn)) == 50 and set(drawn) <= set(rows) and drawn != sorted(drawn)


def test_a_run_is_resumed_only_with_its_own_settings(stopped):
    with pytest.raises(UserError, match="batch_size = 25, not 40"):
        training.train(replace(QUICK, batch_size=40), stopped.path, resume=True)


def test_damaged_checkpoints_are_refused_in_one_sentence(stopped):
    for file in stopped.checkpoints.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"epoch-1\.state and .*epoch-0\.state are damaged"):
        training.train(QUICK, stopped.path, resume=True)


@pytest.fixture
def ctrl_c_raises():
    """Handle SIGINT as Python does at a terminal; a shell's background jobs are started with it ignored."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("in_destructor", [False, True], ids=["anywhere", "in a destructor"])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_a_training_in_order(tmp_path, monkeypatch, capsys, ctrl_c_raises, number, code, in_destructor):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(fitting, "Progress", lambda *_: SignalAfter(1, number, in_destructor))
    settings = ["--dataset", "kmnist", "--model", "simple_cnn", "--epochs", "4", "--batch-size", "25"]
    assert main(["train", *settings, "--workdir", str(tmp_path / "run")]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "of step 3 of epoch 2" in line and f"--resume --workdir {tmp_path / 'run'}" in line
    workdir = WorkDirectory(tmp_path / "run")
    assert len(history(workdir)) == 1
    assert sorted(file.name for file in workdir.checkpoints.iterdir()) == ["epoch-1-step-3.state", "epoch-1.state"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


RUN_AND_WAIT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
from tests.training import test_runs as t
t.training.load_dataset = lambda *_: t.random_dataset(250, learnable=True)
t.training.train(t.replace(t.QUICK, epochs=1000), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_killed_process_loses_at_most_one_epoch(tmp_path, number):
    process = subprocess.Popen([sys.executable, "-c", RUN_AND_WAIT, str(tmp_path / "run")], stderr=subprocess.DEVNULL)
    workdir = WorkDirectory(tmp_path / "run")
    deadline = time.monotonic() + 120
    while not (workdir.history_file.exists() and len(history(workdir)) >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.wait(60)
    done = len(history(workdir))
    epochs = max(checkpoints._read(file)[0].place.epoch for file in workdir.checkpoints.glob("epoch-*.state"))
    assert epochs in (done - 1, done, done + 1) and done >= 3
    assert json.loads(workdir.config_file.read_text())["config"]["epochs"] == 1000


def test_images_that_a_program_has_are_trained_on_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "load_dataset", None)  # asked for nothing
    given, seen = replace(random_dataset(100, learnable=True), name="mine"), []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["seconds"]))
    config = replace(QUICK, epochs=2)
    workdir = training.train(config, tmp_path / "run", dataset=given, callbacks=[note])
    assert len(seen) == 2 and workdir.config == replace(config, dataset="mine")
    assert workdir.description["data"] | {"name": "mine", "images": 100, "given": True} == workdir.description["data"]
    for use in (evaluate, export):
        with pytest.raises(UserError, match="given in Python"):
            use(workdir.path)
    assert evaluate(workdir.path, given)["accuracy"] > 0.2


def test_a_run_on_images_that_were_given_is_resumed_with_them_alone(tmp_path):
    given = random_dataset(100, learnable=True)
    with pytest.raises(KeyboardInterrupt):
        training.train(QUICK, tmp_path / "run", dataset=given, callbacks=[StopAfter(1)])
    with pytest.raises(UserError, match="given in Python"):
        training.train(QUICK, tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="has changed"):
        training.train(QUICK, tmp_path / "run", dataset=random_dataset(101), resume=True)
    resumed = training.train(QUICK, tmp_path / "run", dataset=given, resume=True)
    assert resumed.description["result"]["last_epoch"]["epoch"] == 4
