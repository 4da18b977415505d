"""What happens during a run besides learning and saving: history, pictures for TensorBoard, a progress line."""

# ruff: noqa: ARG002 -- Keras calls these methods with all their arguments, `logs` by name.

import csv
import io
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.reports import confusion_image, image_grid
from kuzushiji_tf.files import write_text
from kuzushiji_tf.training.checkpoints import last_checkpoint

FIGURES = ("loss", "accuracy", "precision", "recall")  # of a recognizer's run
_NAN_CHECK_STEPS = 50


class SpeedMeter(keras.callbacks.Callback):
    """Adds `learning_rate`, `images_per_second` and `seconds` (without validation) to each epoch's logs.

    Must stand before the callbacks that read them.

    Attributes:
        seconds: those of the epoch under way, of an earlier sitting too.
    """

    FIGURES = ("learning_rate", "images_per_second", "seconds")

    def __init__(self, images_per_epoch: int):
        super().__init__()
        self._images = images_per_epoch
        self.seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._last = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.seconds, self._last = self.seconds + now - self._last, now

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        logs["images_per_second"] = self._images / self.seconds
        logs["seconds"] = self.seconds
        self.seconds = 0.0


class History(keras.callbacks.Callback):
    """Keeps `history.csv`: one row an epoch, the whole file rewritten atomically each time.

    Its columns are the epoch, those of the figures that are known, in training and in validation, and what the
    `SpeedMeter` adds. A resumed run takes its rows from the checkpoint, whatever has become of the file.

    Args:
        path: of the file; None: the chief of several machines writes it.
        figures: names of the loss and the metrics.
    """

    def __init__(self, path: Path | None, figures: Sequence[str] = FIGURES):
        super().__init__()
        self._path = path
        self._columns = (*figures, *(f"val_{name}" for name in figures), *SpeedMeter.FIGURES)
        self.rows: list[dict] = []

    def on_epoch_end(self, epoch, logs=None):
        row = {name: f"{logs[name]:.6g}" for name in self._columns if name in logs}
        self.rows.append({"epoch": epoch + 1, **row})
        self._write()

    def on_train_end(self, logs=None):
        if self.rows:  # and perhaps no epoch was left to be trained in this sitting
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.rows[-1], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self._path, text.getvalue())


class StopOnNan(keras.callbacks.Callback):
    """Ends a run whose loss is no longer a number, with a sentence that says what to change and what is kept.

    Must stand before the callbacks that save anything.

    Args:
        checkpoints: where the checkpoints are.
        advice: what to change.
    """

    def __init__(self, checkpoints: Path, advice: str):
        super().__init__()
        self._checkpoints = checkpoints
        self._advice = advice

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self._next:  # several steps may be taken at once
            self._next = batch + _NAN_CHECK_STEPS
            self._check(logs["loss"], "loss", f"step {batch + 1}")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._next = epoch + 1, 0

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs["loss"], "loss", "its last step")
        self._check(logs.get("val_loss", 0.0), "validation loss", "its end")

    def _check(self, value: float, name: str, place: str) -> None:
        if not math.isfinite(float(value)):
            raise UserError(
                f"The {name} became {float(value)} in epoch {self._epoch}, by {place}: {self._advice} "
                f"({last_checkpoint(self._checkpoints)})."
            )


class Pictures(keras.callbacks.Callback):
    """Writes to TensorBoard: a batch of augmented inputs at the start, the validation confusion matrix at the end."""

    def __init__(
        self,
        folder: Path,
        recognizer: keras.Model,
        batch: tuple,
        validation: tf.data.Dataset | None,
        labels: Labels,
    ):
        super().__init__()
        self._recognizer = recognizer
        self._writer = tf.summary.create_file_writer(str(folder / "pictures"))
        self._batch = batch
        self._validation = validation
        self._labels = labels

    def on_train_begin(self, logs=None):
        inputs, targets = self._batch
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        images = np.clip(images[:64, :, :, 0], 0, 255).astype(np.uint8)
        titles = [self._labels[index] for index in np.argmax(targets[:64], axis=1)]
        self._write("augmented inputs", image_grid(images, titles), 0)

    def on_train_end(self, logs=None):
        if self._validation is None:
            return
        matrix = np.zeros((len(self._labels),) * 2, np.int32)
        for images, targets in self._validation:
            predicted = np.argmax(self._recognizer(images, training=False), axis=1)
            np.add.at(matrix, (np.argmax(targets, axis=1), predicted), 1)
        self._write("validation confusion", confusion_image(matrix, self._labels), self.params["epochs"])

    def _write(self, name: str, picture: np.ndarray, step: int) -> None:
        with self._writer.as_default():
            tf.summary.image(name, picture[None], step=step)
        self._writer.flush()


class Progress(keras.callbacks.Callback):
    """A progress bar on a terminal, and one line an epoch anywhere.

    Args:
        epochs: of the whole run.
        steps: of an epoch.
        figures: names of what is shown of the logs.
        title: begins each line.
    """

    def __init__(self, epochs: int, steps: int, figures: Sequence[str] = ("loss", "accuracy"), title: str = "epoch"):
        super().__init__()
        self._epochs = epochs
        self._steps = steps
        self._figures = figures
        self._title = title

    def on_epoch_begin(self, epoch, logs=None):
        title, self._next = f"{self._title} {epoch + 1}/{self._epochs}", 0
        self._bar = tqdm(total=self._steps, desc=title, unit="step", leave=False, disable=None)

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(batch + 1 - self._bar.n)
        if batch >= self._next:
            self._next = batch + _NAN_CHECK_STEPS
            self._bar.set_postfix({name: f"{float(logs[name]):.4f}" for name in self._figures})

    def on_epoch_end(self, epoch, logs=None):
        self._bar.close()
        validation = f"  validation: {self._shown(logs, 'val_')}" if "val_loss" in logs else ""
        tqdm.write(
            f"{self._title} {epoch + 1}/{self._epochs}  {self._shown(logs)}{validation}"
            f"  {logs['images_per_second']:.0f} images/s  {logs['seconds']:.0f} s"
        )
        sys.stdout.flush()  # whoever reads a log file wants to see it now

    def _shown(self, logs: dict[str, float], prefix: str = "") -> str:
        return " ".join(f"{name} {logs[prefix + name]:.4f}" for name in self._figures)
