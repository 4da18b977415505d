"""What a decoder of drawings sees around its pen: windows on an image, as DRAW reads (Gregor et al. 2015, 3.2)."""

from typing import Any

import keras
from keras import layers, ops

from kuzushiji_tf.transfer.sequences import ORIGIN

CANVAS = 32  # pixels, height and width of what is looked at
WINDOWS = ((9, 1.0), (9, 3.0))  # of each window: points on a side, and pixels from one to the next
SEEN = sum(points**2 for points, _ in WINDOWS)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class Glimpse(layers.Layer):
    """Windows on a canvas, one of each of `WINDOWS` around every position; what lies off the canvas is 0.

    Inputs: the canvas, `[batch, CANVAS, CANVAS]`, and positions `[batch, t, 2]` (x, y), counted from the center.
    Output: `[batch, t, SEEN]`. A point's value is the mean of what is around it, weighted by a triangle as wide as the
    points are apart; bilinear interpolation where that is one pixel.

    Args:
        scale: of the positions, in sides of the canvas.
    """

    def __init__(self, scale: float, **knobs):
        super().__init__(**knobs)
        self.scale = scale

    def call(self, canvas: Any, positions: Any) -> Any:
        """Return what is seen."""
        centers = (ORIGIN + self.scale * positions) * CANVAS - 0.5
        return ops.concatenate([_window(canvas, centers, *window) for window in WINDOWS], axis=-1)

    def compute_output_shape(self, canvas_shape, positions_shape):
        """Return the shape of what is seen."""
        return (*positions_shape[:2], SEEN)

    def get_config(self):
        """Return what the layer is made from."""
        return super().get_config() | {"scale": self.scale}


def _window(canvas: Any, centers: Any, points: int, spacing: float) -> Any:
    """Return one window for each center `[batch, t, 2]`, in pixels: `[batch, t, points * points]`, row by row."""
    steps = ops.shape(centers)[1]
    apart = spacing * (ops.arange(points, dtype="float32") - points // 2)
    distances = ops.abs(centers[..., None, None] + apart[:, None] - ops.arange(CANVAS, dtype="float32"))
    weights = ops.relu(1 - distances / spacing) / spacing  # [batch, t, 2, points, CANVAS]
    of_rows = ops.reshape(weights[:, :, 1], (-1, steps * points, CANVAS))
    rows = ops.reshape(ops.matmul(of_rows, canvas), (-1, steps, points, CANVAS))
    window = ops.matmul(rows, ops.swapaxes(weights[:, :, 0], 2, 3))
    return ops.reshape(window, (-1, steps, points * points))
