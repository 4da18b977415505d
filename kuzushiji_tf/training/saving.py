"""What of a run is saved as it goes: the state to continue from, the best weights; and which weights are validated."""

# ruff: noqa: ARG002 -- Keras calls these methods with all their arguments, `logs` by name.

import math
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kuzushiji_tf.runtime import Interrupts
from kuzushiji_tf.training.checkpoints import (
    Place,
    Restored,
    assign_metrics,
    metric_values,
    save_checkpoint,
    save_for_use,
)


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole run at its start, after every epoch, in the middle of one now and then, and where it is stopped.

    A run that starts in the middle of an epoch passes over the steps that are done, so that all who count see them.

    Args:
        folder: of the checkpoints; None: the chief of several machines saves them.
        stateful: the callbacks whose state belongs to the run; they stand before this one.
        restored: where the run goes on; Keras's callbacks and metrics reset themselves when `fit` and its epochs begin,
            so what they held is put back after that.
        minutes: since it last saved, after which it saves in the middle of an epoch; 0: it does not; None: not even
            where it is stopped there, since each of several machines has sums of its own.
        interrupts: of a block around `fit`, in which they wait.
    """

    def __init__(
        self,
        folder: Path | None,
        stateful: Sequence[keras.callbacks.Callback],
        restored: Restored,
        minutes: float | None,
        interrupts: Interrupts,
    ):
        super().__init__()
        self._folder = folder
        self._stateful = stateful
        self._restored = restored
        self._within_epochs = minutes is not None
        self._seconds = 60 * minutes if minutes else math.inf
        self._interrupts = interrupts
        self._steps_done = restored.place.step  # of the epoch that begins

    def on_train_begin(self, logs=None):
        self._saved_at = time.monotonic()
        if self._restored.callbacks is None:
            self._save(Place(0))
            return
        for callback, state in zip(self._stateful, self._restored.callbacks, strict=True):
            vars(callback).update(state)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._steps_done:
            assign_metrics(self.model, self._restored.metrics)
            self._train, figures = self.model.train_function, self.model.get_metrics_result()
            self.model.train_function = lambda _: figures

    def on_train_batch_end(self, batch, logs=None):
        place = Place(self._epoch, batch + 1)
        if place.step >= self.params["steps"]:
            self._trained = place, metric_values(self.model)
        if self._steps_done:
            if place.step >= self._steps_done:
                self._steps_done, self.model.train_function = 0, self._train
        elif self._is_due() and math.isfinite(float(logs["loss"])):  # if not, `StopOnNan` ends the run in a few steps
            self._save(place, metric_values(self.model))
        self._interrupts.check()

    def on_test_batch_end(self, batch, logs=None):
        if not self._interrupts.has_come:
            return
        for callback in self._stateful:
            callback.on_test_end()  # which puts the weights back that are averaged for validation
        if self._within_epochs:
            self._save(*self._trained)
        self._interrupts.check()

    def on_epoch_end(self, epoch, logs=None):
        self._save(Place(epoch + 1))

    def _is_due(self) -> bool:
        if not self._within_epochs:
            return False
        return self._interrupts.has_come or time.monotonic() - self._saved_at >= self._seconds

    def _save(self, place: Place, metrics: Sequence[Sequence[np.ndarray]] = ()) -> None:
        if self._folder is not None:
            save_checkpoint(self.model, self._folder, place, self._stateful, metrics)
        self._saved_at = time.monotonic()


class ValidateAverages(keras.callbacks.Callback):
    """Validates the moving averages of the weights that the optimizer keeps.

    Keras's `SwapEMAWeights` adds and subtracts, so that the weights that come back are rounded.
    """

    def on_test_begin(self, logs=None):
        self._swap()

    def on_test_end(self, logs=None):
        self._swap()

    def _swap(self) -> None:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        averages = optimizer._model_variables_moving_average
        for variable, average in zip(optimizer._trainable_variables, averages, strict=True):
            value = keras.ops.convert_to_numpy(variable)
            variable.assign(average)
            average.assign(value)


class SaveBest(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the highest validation accuracy (the lowest loss decides between equals).

    Args:
        path: where; None: the chief of several machines keeps them.
        recognizer: whose weights.
    """

    def __init__(self, path: Path | None, recognizer: keras.Model):
        super().__init__()
        self._path = path
        self._recognizer = recognizer
        self.best = [-math.inf, -math.inf]

    def on_epoch_end(self, epoch, logs=None):
        score = [logs["val_accuracy"], -logs["val_loss"]]
        if score > self.best:
            self.best = score
            if self._path is not None:
                save_for_use(self._recognizer, self.model.optimizer, self._path)
