"""A run on several devices, stopped within an epoch, goes on with what each of them had counted."""

import json
import subprocess
import sys

import pytest

TRAIN = """
import csv, json, signal, sys
from pathlib import Path
import keras
import tensorflow as tf
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.training import fitting
from kuzushiji_tf.training import runs as training
from tests.making import random_dataset

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
training.load_dataset = lambda *_: random_dataset(200, learnable=True)
root = Path(sys.argv[1])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
config = TrainingConfig(dataset="kmnist", model="simple_cnn", epochs=2, batch_size=33, validation_fraction=0.2,
                        optimizer="adamw", learning_rate=5e-3, ema_decay=0.9)

class Stop(fitting.Progress):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2:
            signal.raise_signal(signal.SIGINT)

def run(name, **options):
    workdir = training.train(config, root / name, devices=["CPU:0", "CPU:1"], **options)
    with open(workdir.history_file, encoding="utf-8", newline="") as stream:
        timed = ("images_per_second", "seconds")
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(stream)]
    return rows, [array.tolist() for array in keras.models.load_model(workdir.final).get_weights()]

whole = run("whole")
progress, fitting.Progress, said = fitting.Progress, Stop, ""
try:
    run("stopped")
except KeyboardInterrupt as stop:
    said = str(stop)
fitting.Progress = progress
resumed = run("stopped", resume=True)
(root / "said.json").write_text(json.dumps([said, resumed[0] == whole[0], resumed[1] == whole[1]]))
"""


@pytest.mark.timeout(300)  # a process that trains three networks
def test_a_run_on_two_devices_goes_on_at_the_step_where_it_was_stopped(tmp_path):
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path)], check=True)
    said, same_history, same_weights = json.loads((tmp_path / "said.json").read_text())
    assert "of step 3 of epoch 1" in said
    assert same_history and same_weights
