"""More epochs for a finished run: what they equal, and that what it had ended with stands until they are there."""

import csv
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from kuzushiji_tf.cli import main
from kuzushiji_tf.cli.train import default_flags
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import content_sha256, write_json
from kuzushiji_tf.training import runs
from kuzushiji_tf.workdirs import WorkDirectory
from tests.making import random_dataset

DATA = random_dataset(100, learnable=True)
CONFIG = TrainingConfig(
    dataset="kmnist",
    model="simple_cnn",
    epochs=1,
    batch_size=20,
    validation_fraction=0.2,
    optimizer="adamw",
    learning_rate=2e-3,
    schedule="constant",
    ema_decay=0.8,
)


class Stop(keras.callbacks.Callback):
    """Behaves as Ctrl-C in the second step of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._now, batch) == (self._epoch, 1):
            raise KeyboardInterrupt


def weights(workdir):
    return keras.models.load_model(workdir.final, compile=False).get_weights()


def history(workdir):
    with open(workdir.history_file, encoding="utf-8", newline="") as stream:
        timed = ("images_per_second", "seconds")
        return [{name: value for name, value in row.items() if name not in timed} for row in csv.DictReader(stream)]


def equal(some, others):
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """A run of three epochs; not to be changed."""
    return runs.train(replace(CONFIG, epochs=3), tmp_path_factory.mktemp("longer") / "run", dataset=DATA)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return runs.train(CONFIG, tmp_path_factory.mktemp("original") / "run", dataset=DATA)


@pytest.fixture
def run(original, tmp_path):
    """A run of one epoch."""
    return WorkDirectory(shutil.copytree(original.path, tmp_path / "run"))


def test_an_extended_run_equals_one_that_was_that_long_from_the_beginning(run, longer):
    extended = runs.train(CONFIG, run.path, dataset=DATA, extend=2)
    assert equal(weights(extended), weights(longer)) and history(extended) == history(longer)
    assert extended.config == longer.config and extended.description["result"]["last_epoch"]["epoch"] == 3


def test_a_cosine_is_that_of_all_epochs_together(tmp_path):
    config = replace(CONFIG, schedule="cosine", warmup_epochs=0.0)
    run = runs.train(config, tmp_path / "run", dataset=DATA)
    assert float(history(run)[0]["learning_rate"]) == 0
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(float(note.model.optimizer.learning_rate))
    )
    rows = history(runs.train(config, run.path, dataset=DATA, extend=1, callbacks=[note]))
    assert seen == pytest.approx([config.learning_rate / 2])  # in the middle of two epochs
    assert float(rows[1]["learning_rate"]) == 0


def test_what_a_run_had_ended_with_stands_until_an_extension_is_done_which_can_be_resumed(run, longer):
    final, result = content_sha256(run.final), run.description["result"]
    with pytest.raises(KeyboardInterrupt, match="--resume --workdir"):
        runs.train(CONFIG, run.path, dataset=DATA, extend=2, callbacks=[Stop(2)])
    assert (content_sha256(run.final), run.description["result"], run.config) == (final, result, CONFIG)
    with pytest.raises(UserError, match="not finished"):
        runs.train(CONFIG, run.path, dataset=DATA, extend=2)
    resumed = runs.train(CONFIG, run.path, dataset=DATA, resume=True)
    assert equal(weights(resumed), weights(longer)) and resumed.config.epochs == 3
    with pytest.raises(UserError, match="nothing to resume"):
        runs.train(resumed.config, run.path, dataset=DATA, resume=True)


def test_what_cannot_be_extended_says_why(tmp_path):
    stopping = replace(CONFIG, epochs=9, early_stopping_patience=1, learning_rate=1e-9, ema_decay=0.0)
    run = runs.train(stopping, tmp_path / "run", dataset=DATA)
    before = run.config_file.read_bytes()
    with pytest.raises(UserError, match="Early stopping"):
        runs.train(stopping, run.path, dataset=DATA, extend=2)
    with pytest.raises(UserError, match="settings"):
        runs.train(replace(stopping, batch_size=10), run.path, dataset=DATA, extend=2)
    for wrong in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match="choose one"):
            runs.train(stopping, run.path, dataset=DATA, extend=2, **wrong)
    with pytest.raises(UserError, match="extend is -1"):
        runs.train(stopping, run.path, dataset=DATA, extend=-1)
    assert run.config_file.read_bytes() == before
    neighbors = TrainingConfig(dataset="kmnist", model="nearest_neighbors", validation_fraction=0.0)
    found = runs.train(neighbors, tmp_path / "neighbors", dataset=DATA)
    with pytest.raises(MissingFileError, match="checkpoint"):
        runs.train(neighbors, found.path, dataset=DATA, extend=1)
    with pytest.raises(MissingFileError, match="nowhere"):
        runs.train(CONFIG, tmp_path / "nowhere", dataset=DATA, extend=1)


def test_the_command_takes_the_settings_of_the_run(original, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "load_dataset", lambda *_: DATA)
    run = WorkDirectory(shutil.copytree(original.path, tmp_path / "runs" / "one"))
    description = run.description
    del description["data"]["given"]
    write_json(run.config_file, description)
    assert default_flags(["--extend", "1"]).config == CONFIG
    assert main(["train", "--extend", "1"]) == 0
    assert run.config.epochs == 2
    assert main(["train", "--extend", "1", "--batch-size", "7"]) == 2
    assert "settings" in capsys.readouterr().err
    assert main(["train", "--extend", "1", "--recipe", "kana.toml"]) == 2
