"""Several devices train what one device trains."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kuzushiji_tf.training.distribution import device_name

pytestmark = pytest.mark.timeout(400)  # two processes that train three networks each

TRAIN = """
import json, sys
from pathlib import Path
import tensorflow as tf
from kuzushiji_tf.training import runs as training
from kuzushiji_tf.config import Distillation, TrainingConfig
from tests.making import random_dataset

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
training.load_dataset = lambda *_: random_dataset(200, learnable=True)
# Dropout draws another mask on each replica, so the comparison is made on a model without it (and without BatchNorm,
# whose statistics are each replica's own).
import keras
from keras import layers
from kuzushiji_tf.models import building, register_model

def plain(image, classes, seeds, architecture):
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer=seeds.he_normal(), name="mixable_1")(image)
    return building.classify(layers.Flatten()(x), classes, seeds, architecture)

register_model("plain", plain)
folder, teacher = Path(sys.argv[1]), sys.argv[2]
for name, settings in (
    ("none", {}),
    ("manifold", {"mixing": "manifold"}),
    ("student", {"distillation": Distillation(teacher=teacher)}),
):
    config = TrainingConfig(dataset="kmnist", model="plain", epochs=3, batch_size=32, validation_fraction=0.2,
                            learning_rate=0.02, **settings)
    training.train(config, folder / name, devices=json.loads(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The runs of one device, and those of two; the students' teacher is one of the former."""
    root = tmp_path_factory.mktemp("distribution")
    for name, devices in (("one", ["CPU:0"]), ("two", ["CPU:0", "CPU:1"])):
        command = [sys.executable, "-c", TRAIN, str(root / name), str(root / "one" / "none"), json.dumps(devices)]
        finished = subprocess.run(command, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr[-3000:]
    return root / "one", root / "two"


def losses(folder):
    rows = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    return rows["loss"], rows["val_loss"]


@pytest.mark.parametrize("mixing", ["none", "manifold"])
def test_two_mirrored_devices_have_the_losses_of_one(folders, mixing):
    (loss, validation_loss), (mirrored_loss, mirrored_validation_loss) = (losses(folder / mixing) for folder in folders)
    assert loss[-1] < (0.5 if mixing == "none" else 0.8) * loss[0]
    np.testing.assert_allclose(mirrored_loss, loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mirrored_validation_loss, validation_loss, rtol=1e-5, atol=1e-5)


def test_two_mirrored_devices_learn_from_a_teacher_as_one_does(folders):
    (loss, _), (mirrored_loss, _) = (losses(folder / "student") for folder in folders)
    assert loss[-1] < 0.8 * loss[0]
    np.testing.assert_allclose(mirrored_loss, loss, rtol=1e-5, atol=1e-5)


def test_this_machine_has_a_name():
    count, name = device_name().split(" x ", 1)
    assert int(count) >= 1 and name
