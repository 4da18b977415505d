"""One sitting: several steps at once change nothing but how often the devices report."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training import fitting
from kuzushiji_tf.training import runs as training
from tests.making import random_dataset

CONFIG = TrainingConfig(
    dataset="kmnist",
    model="simple_cnn",
    epochs=2,
    batch_size=25,
    epoch_images=200,
    validation_fraction=0.3,
    learning_rate=0.01,
)


@pytest.fixture(autouse=True)
def small_learnable_data(monkeypatch):
    monkeypatch.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True))


class Counted:
    """Stands for tqdm's bar."""

    def __init__(self, seen, total, **_):
        self.n, self._seen, self._total = 0, seen, total

    def update(self, count):
        self.n += count

    def set_postfix(self, figures):
        self._seen.append(self.n)

    def close(self):
        assert self.n == self._total


def test_several_steps_at_once_train_what_one_at_a_time_trains(monkeypatch, tmp_path):
    shown = []
    one = training.train(CONFIG, tmp_path / "one")
    bar = lambda total, **settings: Counted(shown, total, **settings)  # noqa: E731 -- it has to bear tqdm's attribute
    bar.write = lambda line: None
    monkeypatch.setattr("kuzushiji_tf.training.callbacks.tqdm", bar)
    four = training.train(replace(CONFIG, steps_per_execution=4), tmp_path / "four")
    some, others = (keras.models.load_model(run.final).get_weights() for run in (one, four))
    for weights, again in zip(some, others, strict=True):
        np.testing.assert_allclose(again, weights, atol=1e-6)
    assert shown == [4, 4]  # once an epoch of eight steps, after the first four


def test_several_steps_at_once_stop_at_ctrl_c_and_go_on_where_they_were(monkeypatch, tmp_path):
    config = replace(CONFIG, steps_per_execution=4)

    class Press(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "Progress", lambda *_: Press())
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "stopped")
    resumed = training.train(config, tmp_path / "stopped", resume=True)
    whole = training.train(config, tmp_path / "whole")
    some, others = (keras.models.load_model(run.final).get_weights() for run in (resumed, whole))
    assert all(np.array_equal(weights, again) for weights, again in zip(some, others, strict=True))


def test_a_loss_that_is_no_number_ends_several_steps_at_once_too(tmp_path):
    config = replace(CONFIG, steps_per_execution=2, learning_rate=1e20, warmup_epochs=0.0, schedule="constant")
    with pytest.raises(UserError, match="epoch 1, by step"):
        training.train(replace(config, epoch_images=25 * 120), tmp_path / "run")
