"""What a decoder of drawings sees around its pen: windows on an image, as DRAW reads (Gregor et al. 2015, 3.2).

There are two images, `CANVAS` pixels wide: the one that z stands for, and what of its ink is not yet drawn.
"""

from typing import Any

import keras
from keras import layers, ops

from kuzushiji_tf.transfer.sequences import ORIGIN

# What a decoder was trained with: another number here is another decoder.
CANVAS = 32
WINDOWS = ((9, 1.0), (9, 2.0), (9, 4.0))  # of each window: points on a side, and pixels from one to the next
SEEN = 2 * sum(points**2 for points, _ in WINDOWS)

_STAMPS = 16  # that a line is drawn with
_REACH = 2.0  # pixels from a stamp's center to where it has faded


@keras.saving.register_keras_serializable("kuzushiji_tf")
class Glimpse(layers.Layer):
    """What is seen from each position, and what was drawn on the way there.

    Inputs:

    - `canvas` `[batch, CANVAS, CANVAS]`, ink in 0..1;
    - `drawn`, the same, before the first of the steps;
    - `offsets` `[batch, t, 2]` (x, y) to each position from the one before, and
    - `positions` `[batch, t, 2]`, counted from the center;
    - `pen` `[batch, t]`: 1 where it was down on the way to a position, 0 where it was lifted, -1 where nothing was
      drawn yet, not even a point.

    Outputs: what is seen `[batch, t, SEEN]`, through each of `WINDOWS` on the canvas, then on its ink that is not
    drawn, and `drawn` after the last step. A point of a window is the mean of what is around it, weighted by a triangle
    as wide as the points are apart; bilinear interpolation where that is one pixel. What lies off the canvas is 0.

    Args:
        scale: of offsets and positions, in sides of the canvas.
    """

    def __init__(self, scale: float, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, canvas: Any, drawn: Any, offsets: Any, positions: Any, pen: Any) -> tuple[Any, Any]:
        """Return what is seen, and what is drawn in the end."""
        centers = (ORIGIN + self.scale * positions) * CANVAS - 0.5
        lines = self.scale * CANVAS * offsets * ops.relu(pen)[..., None]
        stamps = ops.where(pen[..., None, None] < 0, 0.0, _draw_lines(centers, lines))
        drawn = ops.minimum(drawn[:, None] + ops.cumsum(stamps, axis=1), 1.0)
        images = canvas[:, None], canvas[:, None] * (1 - drawn)
        seen = [_window(image, centers, *window) for image in images for window in WINDOWS]
        return ops.concatenate(seen, axis=-1), drawn[:, -1]

    # Keras goes by the names of these arguments.
    def compute_output_shape(self, canvas_shape, drawn_shape, offsets_shape, positions_shape, pen_shape):  # noqa: ARG002
        """Return the shapes of both."""
        return (*positions_shape[:2], SEEN), drawn_shape

    def get_config(self):
        """Return what the layer is made from."""
        return super().get_config() | {"scale": self.scale}


def _draw_lines(ends: Any, lines: Any) -> Any:
    """Return an image `[batch, t, CANVAS, CANVAS]` of each line that leads to an end; both in pixels."""
    along = ops.arange(_STAMPS, dtype="float32") / _STAMPS
    hats = _hats(ends[..., None] - along * lines[..., None], _REACH)
    return ops.minimum(ops.matmul(ops.swapaxes(hats[:, :, 1], 2, 3), hats[:, :, 0]), 1.0)


def _window(images: Any, centers: Any, points: int, spacing: float) -> Any:
    """Return a window on each image `[batch, t or 1, CANVAS, CANVAS]`: `[batch, t, points * points]`, row by row."""
    apart = spacing * (ops.arange(points, dtype="float32") - points // 2)
    weights = _hats(centers[..., None] + apart, spacing) / spacing
    window = ops.matmul(ops.matmul(weights[:, :, 1], images), ops.swapaxes(weights[:, :, 0], 2, 3))
    return ops.reshape(window, (-1, ops.shape(centers)[1], points * points))


def _hats(positions: Any, reach: float) -> Any:
    """Return for each place along a side `[...]`, in pixels, 1 there, falling to 0 at the reach: `[..., CANVAS]`."""
    return ops.relu(1 - ops.abs(positions[..., None] - ops.arange(CANVAS, dtype="float32")) / reach)
