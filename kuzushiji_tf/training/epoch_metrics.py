"""Macro precision and recall of an epoch, from three vectors of counts: thousands of classes cost next to nothing."""

from typing import Any

import keras
from keras import ops


class _MacroScore(keras.metrics.Metric):
    """Counts, for each class, the images of it, those taken for it, and those rightly so.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        self.tested, self.predicted, self.right = (
            self.add_weight(shape=(classes,), initializer="zeros", name=part)
            for part in ("tested", "predicted", "right")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch: targets and logits (or probabilities), `[batch, classes]`.

        A target that is a mixture of classes counts as its largest part.
        """
        true, predicted = ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)
        weights = ops.ones_like(true, self.dtype) if sample_weight is None else ops.cast(sample_weight, self.dtype)
        right = ops.where(ops.equal(true, predicted), weights, ops.zeros_like(weights))
        for counts, values, classes in (
            (self.tested, weights, true),
            (self.predicted, weights, predicted),
            (self.right, right, true),
        ):
            counts.assign(counts + ops.segment_sum(values, classes, self.classes))

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes, "name": self.name, "dtype": self.dtype}

    def _mean(self, counts: Any) -> Any:
        """Return the mean of right / counts over the classes that have images; nothing of nothing is 0."""
        tested = ops.cast(self.tested > 0, self.dtype)
        shares = self.right / ops.maximum(counts, 1)
        return ops.sum(shares * tested) / ops.maximum(ops.sum(tested), 1)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class MacroPrecision(_MacroScore):
    """Mean precision of the classes that had images; one that was never predicted counts as 0."""

    def result(self) -> Any:
        return self._mean(self.predicted)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class MacroRecall(_MacroScore):
    """Mean recall of the classes that had images: the balanced accuracy."""

    def result(self) -> Any:
        return self._mean(self.tested)
