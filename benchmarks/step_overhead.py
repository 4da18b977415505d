"""What this project's loop costs beside plain `model.fit` on arrays in memory: the same model, one run, in turns.

    python benchmarks/step_overhead.py

An epoch of `training.runs.train`, with its pipeline and its callbacks (history, checkpoint, TensorBoard), takes turns
with an epoch of `fit` over as many batches of float32 images and one-hot labels in memory; the first of each compiles
and does not count. Validation is left out of both. Last line: JSON with `overhead` and `overhead_augmented`: our
seconds / those of `fit`, less one, without augmentation and with it (`fit` never has any), each the median of the
repeats.
"""

# ruff: noqa: ARG002 -- Keras calls a callback's methods with all their arguments, `logs` by name.

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tyro

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.config import ImageAugmentation, TrainingConfig
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.training.compiling import compiled_models
from kuzushiji_tf.training.runs import train

SETTLE = 1.0  # seconds in which our pipeline fills its buffers, so that it does not do so in the time of `fit`
AUGMENTATION = ImageAugmentation(
    rotation_range=10,
    width_shift_range=3,
    height_shift_range=3,
    shear_range=10,
    zoom_range=0.12,
    elastic=0.08,
    cutout=14,
)


@dataclass(frozen=True)
class Flags:
    """What is trained, and for how long."""

    dataset: str = "kmnist"  # a registered data set
    model: str = "preact_resnet20"  # a registered model
    batch_size: int = 128
    steps: int = 200  # of an epoch; the few batches that are ready before it begins do not weigh then
    repeats: int = 5  # epochs of each that count
    precision: str = "float32"  # of the layers' arithmetic: float32, bfloat16 or float16
    data_dir: Path | None = None  # where the data set's files are


class InTurns(keras.callbacks.Callback):
    """Runs an epoch of the plain loop before each of ours, and notes both times.

    It stands behind the callbacks of a training but for the progress line, so that what it sees begin and end encloses
    all that they do.
    """

    def __init__(self, plain_epoch: Callable[[], object]):
        super().__init__()
        self._plain_epoch = plain_epoch
        self.seconds: list[tuple[float, float]] = []

    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(SETTLE)
        start = time.perf_counter()
        self._plain_epoch()
        self._start = time.perf_counter()
        self._plain_seconds = self._start - start

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append((self._plain_seconds, time.perf_counter() - self._start))


def overhead(config: TrainingConfig, flags: Flags) -> float:
    """Train once, print each repeat and return the median share of time that our loop takes more."""
    data = load_dataset(config.dataset, "train", options_of_run(config, flags.data_dir))
    rows = np.arange(config.epoch_images) % len(data)
    images = data.images[rows, ..., None].astype(np.float32)
    targets = np.eye(len(data.classes), dtype=np.float32)[data.labels[rows]]
    plan = EpochPlan(len(images), config.batch_size, config.seed)
    _, plain = compiled_models(config, data.image_size, len(data.classes), plan)
    turns = InTurns(lambda: plain.fit(images, targets, config.batch_size, verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", data_dir=flags.data_dir, callbacks=[turns])
    counted = turns.seconds[1:]
    for theirs, ours in counted:
        print(f"  fit {theirs:8.3f} s   ours {ours:8.3f} s   {ours / theirs - 1:+.1%}", flush=True)
    return statistics.median(ours / theirs - 1 for theirs, ours in counted)


def main(flags: Flags) -> None:
    """Measure with and without augmentation; print the tables and, as the last line, the JSON object."""
    keras.utils.set_random_seed(0)  # of what `fit` shuffles
    config = TrainingConfig(
        dataset=flags.dataset,
        model=flags.model,
        batch_size=flags.batch_size,
        epochs=1 + flags.repeats,
        epoch_images=flags.steps * flags.batch_size,
        validation_fraction=0.0,
        precision=flags.precision,
    )
    result = {}
    for key, augmentation in (("overhead", ImageAugmentation()), ("overhead_augmented", AUGMENTATION)):
        print(f"{key}: {flags.model}, {flags.steps} steps of {flags.batch_size} images of {flags.dataset}", flush=True)
        result[key] = round(overhead(replace(config, augmentation=augmentation), flags), 4)
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
