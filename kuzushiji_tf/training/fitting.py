"""One sitting of a training: Keras's `fit` with the callbacks of every training, from where the last sitting ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import is_disk_full
from kuzushiji_tf.runtime import Interrupts
from kuzushiji_tf.training.callbacks import FIGURES, History, Progress, SpeedMeter, StopOnNan
from kuzushiji_tf.training.checkpoints import BEGINNING, Restored, last_checkpoint
from kuzushiji_tf.training.distribution import device_name
from kuzushiji_tf.training.saving import Checkpoint
from kuzushiji_tf.training.sharing import build_metrics
from kuzushiji_tf.workdirs import CHECKPOINT_MINUTES, TrainingFolder


@dataclass(frozen=True)
class Sitting:
    """What one call of `fit` needs to know besides the compiled model and its batches.

    Attributes:
        folder: takes the history, the checkpoints and TensorBoard's files.
        plan: the order of what is trained on.
        epochs: of the whole training.
        restored: where the last sitting ended, if there was one.
        checkpoint_minutes: after which the state is saved in the middle of an epoch; 0: it is not; None: not even where
            it is stopped there.
        stateful: callbacks whose state belongs to the training.
        others: further callbacks.
        figures: names of the loss and the metrics.
        shown: those of them that the progress line shows.
        title: begins that line.
        advice: what to change where the loss becomes NaN.
        devices: that train, as `distribution.choose_devices` takes them.
        validation_steps: of batches that several devices share; None: as many as there are.
        writes: whether this machine does; of several that train together one alone does.
    """

    folder: TrainingFolder
    plan: EpochPlan
    epochs: int
    restored: Restored = BEGINNING
    checkpoint_minutes: float | None = CHECKPOINT_MINUTES
    stateful: Sequence[keras.callbacks.Callback] = ()
    others: Sequence[keras.callbacks.Callback] = ()
    figures: Sequence[str] = FIGURES
    shown: Sequence[str] = ("loss", "accuracy")
    title: str = "epoch"
    advice: str = "lower --learning-rate, or use --precision float32"
    devices: Sequence[str] | None = None
    validation_steps: int | None = None
    writes: bool = True

    def fit(self, model: keras.Model, batches: tf.data.Dataset, validation: tf.data.Dataset | None) -> dict[str, Any]:
        """Train a compiled model on endless batches, which begin where the last sitting ended.

        Returns:
            For the result: `minutes` of training steps, in all sittings; `device`; and the figures of `last_epoch`.

        Raises:
            UserError: the loss became NaN, or the disk is full.
            KeyboardInterrupt: Ctrl-C or, as `Terminated`, SIGTERM; the last step is in a checkpoint.
        """
        history = History(self.folder.history_file if self.writes else None, self.figures)
        try:
            self._fit(model, batches, validation, history)
        except Exception as error:
            if not is_disk_full(error):
                raise
            raise UserError(
                f"The disk of {self.folder.path} is full: free some space and continue with --resume "
                f"({last_checkpoint(self.folder.checkpoints)})."
            ) from error
        return {
            "minutes": sum(float(row["seconds"]) for row in history.rows) / 60,
            "device": device_name(self.devices),
            "last_epoch": {name: float(value) for name, value in history.rows[-1].items()},
        }

    def _fit(
        self, model: keras.Model, batches: tf.data.Dataset, validation: tf.data.Dataset | None, history: History
    ) -> None:
        steps, place = self.plan.steps_per_epoch, self.restored.place
        meter = SpeedMeter(steps * self.plan.step_size)
        stateful = [meter, *self.stateful, history]
        # An early stop that was restored has been decided already.
        has_stopped = any(state.get("stopped_epoch") for state in self.restored.callbacks or [])
        if place.step:
            build_metrics(model, batches)
        checkpoints = self.folder.checkpoints if self.writes else None
        showing: list[keras.callbacks.Callback] = []
        if self.writes:
            tensorboard = keras.callbacks.TensorBoard(self.folder.tensorboard, write_graph=False)
            showing = [tensorboard, *self.others, Progress(self.epochs, steps, self.shown, self.title)]
        with Interrupts(patient=True) as interrupts:
            model.fit(
                batches,
                epochs=place.epoch if has_stopped else self.epochs,
                initial_epoch=place.epoch,
                steps_per_epoch=steps,
                validation_data=validation,
                validation_steps=self.validation_steps,
                verbose=0,
                shuffle=False,
                callbacks=[
                    StopOnNan(self.folder.checkpoints, self.advice),
                    *stateful,
                    Checkpoint(checkpoints, stateful, self.restored, self.checkpoint_minutes, interrupts),
                    *showing,
                ],
            )
