"""`train --dry-run`: what a training would be, as it then is; and that nothing is written."""

from dataclasses import replace

import pytest

from kuzushiji_tf.cli import main
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model
from kuzushiji_tf.training import rehearsal
from tests.making import random_dataset

DATA = random_dataset(250)
CONFIG = TrainingConfig(dataset="kmnist", model="simple_cnn", epochs=3, batch_size=25, validation_fraction=0.2)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsal, "load_dataset", lambda *_: DATA)
    yield
    assert list(tmp_path.iterdir()) == []


def test_parameters_steps_and_memory_are_those_of_the_training():
    run, network = rehearsal.rehearse(replace(CONFIG, optimizer="adamw", ema_decay=0.9))
    assert [len(rows) for rows in run.rows] == [200, 50]
    count = build_model("simple_cnn", 12, 10).count_params()
    assert network.steps_per_epoch == 8
    assert (network.parameters, network.trained, network.frozen, network.layers) == (count, count, 0, 3)
    assert network.memory["images"] == 2 * DATA.images.nbytes
    held = 5 * 4 * count  # with the gradients, two moments and the average
    assert held <= network.memory["weights"] < held * 1.01
    first, second = 10 * 10 * 32, 8 * 8 * 64
    least = 25 * 4 * (144 * 2 + first + second + second // 4)
    assert least < network.memory["step"] < least * 1.5
    (half,) = (rehearsal.rehearse(replace(CONFIG, precision="bfloat16"))[1].memory["step"],)
    assert half == network.memory["step"] / 2


def test_the_command_says_it_and_writes_nothing(capsys):
    flags = ["--dataset", "kmnist", "--model", "simple_cnn", "--batch-size", "25", "--validation-fraction", "0.2"]
    assert main(["train", *flags, "--epochs", "2", "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for fact in ("250 images of 12 x 12 pixels, 10 classes", "200 to train on, 50 to validate on", "16 in 2 epochs"):
        assert fact in said
    assert "simple_cnn" in said and "MB" in said
    assert main(["train", "--dataset", "kmnist", "--model", "nearest_neighbors", "--dry-run"]) == 0
    assert "no steps" in capsys.readouterr().out


def test_what_a_training_refuses_is_refused(capsys):
    with pytest.raises(UserError, match="initial_weights"):
        rehearsal.rehearse(replace(CONFIG, freeze=("*",)))
    with pytest.raises(UserError, match="did you mean"):
        rehearsal.rehearse(replace(CONFIG, model="simple_cn"))
    assert main(["train", "--resume", "--dry-run"]) == 2
    capsys.readouterr()
