"""Losses that Keras does not have."""

import keras
from keras import ops

from kuzushiji_tf.models.capsnet import LOGIT_SCALE


@keras.saving.register_keras_serializable(package="kuzushiji_tf")
class MarginLoss(keras.losses.Loss):
    """The capsule network's loss: a present class should be longer than 0.9, an absent one shorter than 0.1.

    `y_true` is one-hot or soft `[batch, classes]`; `y_pred` holds the logits of `capsnet`, `LOGIT_SCALE` times the
    lengths. Absent classes count half, so that they do not shrink all capsules at first (Sabour et al. 2017,
    equation 4).
    """

    def __init__(self, present: float = 0.9, absent: float = 0.1, absent_weight: float = 0.5, **settings):
        super().__init__(**({"name": "margin_loss"} | settings))
        self.present, self.absent, self.absent_weight = present, absent, absent_weight

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Return the loss of each image, `[batch]`."""
        lengths = y_pred / LOGIT_SCALE
        too_short = ops.square(ops.maximum(0.0, self.present - lengths))
        too_long = ops.square(ops.maximum(0.0, lengths - self.absent))
        return ops.sum(y_true * too_short + self.absent_weight * (1 - y_true) * too_long, axis=-1)

    def get_config(self) -> dict:
        """Return what the loss is made from."""
        own = {"present": self.present, "absent": self.absent, "absent_weight": self.absent_weight}
        return super().get_config() | own
