"""Several devices train what one device trains."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from kuzushiji_tf.models.loading import load_keras
from kuzushiji_tf.training.distribution import device_name

pytestmark = pytest.mark.timeout(900)  # processes that train a dozen networks

TRAIN = """
import json, multiprocessing, sys
from pathlib import Path
import keras
import tensorflow as tf
from keras import layers
from kuzushiji_tf.config import Distillation, TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import building, register_model
from kuzushiji_tf.training import runs as training
from kuzushiji_tf.training.distribution import form_team
from tests.making import random_dataset

training.load_dataset = lambda *_: random_dataset(200, learnable=True)
root = Path(sys.argv[1])

# Dropout draws another mask on each replica, so the comparison is made on models without it.
def plain(image, classes, seeds, architecture):
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer=seeds.he_normal(), name="mixable_1")(image)
    return building.classify(layers.Flatten()(x), classes, seeds, architecture)

def normed(image, classes, seeds, architecture):
    x = building.norm_relu(building.convolution(8, 3, 2, seeds)(image))
    return building.classify(layers.Flatten()(x), classes, seeds, architecture)

register_model("plain", plain)
register_model("normed", normed)

def run(name, devices, strategy="auto", **settings):
    defaults = {"model": "plain", "batch_size": 32, "validation_fraction": 0.2}
    config = TrainingConfig(dataset="kmnist", epochs=3, learning_rate=0.02, **defaults | settings)
    lines = []
    training.train(config, root / name, devices=devices, strategy=strategy, report=lines.append)
    return lines[0]

def train_on(count):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * max(count, 2)
    )
    devices = [f"CPU:{number}" for number in range(count)]
    run(f"none-{count}", devices)
    run(f"normed-{count}", devices, model="normed", synchronize=True)
    if count < 3:
        run(f"manifold-{count}", devices, mixing="manifold")
    if count in (1, 3):
        run(f"student-{count}", devices, distillation=Distillation(teacher=str(root / "none-1")))
    if count == 1:
        said = {"first_line": run("named", ["CPU:1"], deterministic=True)}
        with form_team("one", ["CPU:1"]).strategy.scope():
            said["variable"] = keras.Variable(0.0).value.device
        try:
            tf.random.uniform(())  # without a seed, which this mode refuses
        except RuntimeError:
            said["is_determined"] = True
        (root / "said.json").write_text(json.dumps(said))
    refused = {"unknown": (["GPU:1"], "auto", {}), "few": (devices, "auto", {"batch_size": 2}),
               "several": (devices, "one", {}), "alone": (devices, "multiworker", {}),
               "unvalidated": (devices, "auto", {"validation_fraction": 0.011})}
    for name, (chosen, strategy, settings) in refused.items() if count == 3 else ():
        try:
            run(name, chosen, strategy, **settings)
        except UserError as error:
            (root / f"{name}.txt").write_text(str(error))

# One strategy a process; each is a fork of this one, since importing TensorFlow takes longer than all of their work.
for count in map(int, sys.argv[2:]):
    process = multiprocessing.get_context("fork").Process(target=train_on, args=(count,))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
"""
COUNTED = ("loss", "accuracy", "precision", "recall")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder of runs on one device and on several; the students' teacher is one of the former."""
    root = tmp_path_factory.mktemp("distribution")
    train_in(root, 1, 2, 3)
    return root


@pytest.fixture(scope="module")
def wide_root(root):
    """The same folder, with runs on more devices."""
    train_in(root, 4, 7)
    return root


def train_in(root, *counts):
    command = [sys.executable, "-c", TRAIN, str(root), *map(str, counts)]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]


def history(folder):
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)


@pytest.mark.parametrize("name", ["none", "normed"])
@pytest.mark.parametrize("count", [2, 3])
def test_mirrored_devices_have_the_losses_and_metrics_of_one(root, name, count):
    """A batch has 32 images, the last one of the validation 8, which 3 does not divide."""
    assert_same(root, f"{name}-1", f"{name}-{count}", 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "normed"])
@pytest.mark.parametrize("count", [4, 7])
def test_many_mirrored_devices_have_the_losses_and_metrics_of_one(wide_root, name, count):
    assert_same(wide_root, f"{name}-1", f"{name}-{count}", 0.5)


def test_mixed_pairs_stay_together_on_two_devices(root):
    assert_same(root, "manifold-1", "manifold-2", 0.8)


def test_a_teachers_batches_need_not_divide(root):
    assert_same(root, "student-1", "student-3", 0.8)


def assert_same(root, one, several, learned):
    one, several = history(root / one), history(root / several)
    assert one["loss"][-1] < learned * one["loss"][0]
    for figure in (*COUNTED, *(f"val_{figure}" for figure in COUNTED)):
        np.testing.assert_allclose(several[figure], one[figure], rtol=1e-5, atol=1e-5, err_msg=figure)


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_kept_of_a_synchronized_model_is_not_synchronized(root, count):
    kept = load_keras(root / f"normed-{count}" / "final.keras")
    (layer,) = [layer for layer in kept.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert layer.synchronized is False


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("few", "2 images, and 3 devices"),
        ("several", "--strategy one"),
        ("alone", "TF_CONFIG"),
        ("unvalidated", "2 validation images"),
    ],
)
def test_what_devices_cannot_share_is_refused_before_anything_is_written(root, name, said):
    assert said in (root / f"{name}.txt").read_text()
    assert not (root / name).exists()


def test_a_deterministic_run_is_one(root):
    assert json.loads((root / "said.json").read_text()).get("is_determined")


def test_a_device_that_is_named_computes_and_the_first_line_says_so(root):
    said = json.loads((root / "said.json").read_text())
    assert said["variable"].endswith("CPU:1")
    assert "CPU:1 (" in said["first_line"]
    np.testing.assert_array_equal(history(root / "named")["loss"], history(root / "none-1")["loss"])


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(root):
    refusal = (root / "unknown.txt").read_text()
    assert "GPU:1" in refusal and "CPU:0, CPU:1, CPU:2" in refusal
    assert not (root / "unknown").exists()


def test_this_machine_has_a_name():
    count, name = device_name().split(" x ", 1)
    assert int(count) >= 1 and name
