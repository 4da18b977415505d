"""Several devices train what one device trains."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kuzushiji_tf.training.distribution import device_name

pytestmark = pytest.mark.timeout(400)  # a process that trains nine networks

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
from kuzushiji_tf.training.distribution import make_strategy
from tests.making import random_dataset

training.load_dataset = lambda *_: random_dataset(200, learnable=True)
root = Path(sys.argv[1])

# Dropout draws another mask on each replica, so the comparison is made on a model without it (and without BatchNorm,
# whose statistics are each replica's own).
def plain(image, classes, seeds, architecture):
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer=seeds.he_normal(), name="mixable_1")(image)
    return building.classify(layers.Flatten()(x), classes, seeds, architecture)

register_model("plain", plain)

def run(name, devices, **settings):
    config = TrainingConfig(dataset="kmnist", model="plain", epochs=3, batch_size=32, validation_fraction=0.2,
                            learning_rate=0.02, **settings)
    lines = []
    training.train(config, root / name, devices=devices, report=lines.append)
    return lines[0]

def train_on(count):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * max(count, 2)
    )
    devices = [f"CPU:{number}" for number in range(count)]
    run(f"none-{count}", devices)
    student = {"distillation": Distillation(teacher=str(root / "none-1"))}
    if count < 3:
        run(f"manifold-{count}", devices, mixing="manifold")
        run(f"student-{count}", devices, **student)
    if count == 1:
        said = {"first_line": run("named", ["CPU:1"])}
        with make_strategy(["CPU:1"]).scope():
            said["variable"] = keras.Variable(0.0).value.device
        (root / "said.json").write_text(json.dumps(said))
    for name, chosen in (("uneven", devices), ("unknown", ["GPU:1"])):
        if count == 3:
            try:
                run(name, chosen, **student)
            except UserError as error:
                (root / f"{name}.txt").write_text(str(error))

# One strategy a process; each is a fork of this one, since importing TensorFlow takes longer than all of their work.
for count in (1, 2, 3, 7):
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
    finished = subprocess.run([sys.executable, "-c", TRAIN, str(root)], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return root


def history(folder):
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)


@pytest.mark.parametrize(
    ("name", "count"), [("none", 2), ("none", 3), ("none", 7), ("manifold", 2), ("student", 2)], ids=str
)
def test_mirrored_devices_have_the_losses_and_metrics_of_one(root, name, count):
    """On 3 and 7 no batch divides, and the last one of the validation, of 8 images, has none for some of 7."""
    one, several = history(root / f"{name}-1"), history(root / f"{name}-{count}")
    assert one["loss"][-1] < (0.5 if name == "none" else 0.8) * one["loss"][0]
    for figure in (*COUNTED, *(f"val_{figure}" for figure in COUNTED)):
        np.testing.assert_allclose(several[figure], one[figure], rtol=1e-5, atol=1e-5, err_msg=figure)


def test_a_teacher_needs_batches_that_divide(root):
    assert "multiple of 3" in (root / "uneven.txt").read_text()


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
