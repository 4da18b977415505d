"""The one normalization of ink for training, images and the canvas: box centered, thin ink widened, full brightness.

`fit_image` and what it calls are written over an array namespace: `numpy` by default, or `keras.ops`, so that the very
same lines run inside an exported graph. Images may have any number of leading (batch) axes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from kuzushiji_tf.ink.strokes import MARGIN, PEN_WIDTH, Strokes, normalize, prepare, rasterize, to_segments

GRAY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
INK_THRESHOLD = 0.3  # of the brightest pixel: what counts as ink when its box is sought
LEAST_WIDTH = 1 / 20  # thinner ink is widened towards this, fraction of the image's side
FITTED_BRIGHTNESS = 128  # gray levels: one fit leaves the typical ink at least as bright, drawings in pencil nearly ...
FITTED_WIDTH = 0.9  # ... and strokes at least so wide, as a fraction of `LEAST_WIDTH`
EDGE = 1.5  # pixels over which resizing by a triangle filter makes ink fade out


def fit_image(image: Any, size: int, box: bool, ops: ModuleType = np) -> Any:
    """Return white ink on black, resized to a square by a triangle filter (antialiased when shrinking).

    Args:
        image: `[..., height, width]`, ink 255 on black 0, any size and any numeric type.
        size: height and width of the result in pixels.
        box: True finds the box of the ink, centers it and scales it (aspect kept, up or down) until its longer side
            leaves `MARGIN` free, then widens thin ink and brings it to full brightness; beyond the image all is black.
            An image that looks as this leaves it stays exactly as it is. False keeps the image as it is: the whole of
            it is resized, aspect kept, the shorter side padded with black on both ends.
        ops: `numpy` or `keras.ops`.

    Returns:
        float32 `[..., size, size]`, 0..255. A blank image stays black.
    """
    image = ops.array(image, dtype="float32")
    height, width = ops.shape(image)[-2], ops.shape(image)[-1]
    rows, columns = ops.arange(height, dtype="float32"), ops.arange(width, dtype="float32")
    if box:
        threshold = INK_THRESHOLD * ops.max(image, axis=(-2, -1), keepdims=True)
        is_ink = (image > threshold) & (image > 0)
        top, bottom = _extent(ops.any(is_ink, axis=-1), rows, ops)
        left, right = _extent(ops.any(is_ink, axis=-2), columns, ops)
        is_fitted = _is_fitted(image, (top, bottom, left, right), size, ops)
        row = ops.where(is_fitted, size / 2, (top + bottom) / 2)
        column = ops.where(is_fitted, size / 2, (left + right) / 2)
        side = ops.where(is_fitted, float(size), ops.maximum(bottom - top, right - left) / (1 - 2 * MARGIN))
    else:
        nothing = ops.sum(image, axis=(-2, -1)) * 0
        row, column = nothing + (ops.max(rows) + 1) / 2, nothing + (ops.max(columns) + 1) / 2
        side = 2 * ops.maximum(row, column)
    vertical = _interpolation(rows, row, side, size, ops)
    horizontal = _interpolation(columns, column, side, size, ops)
    if not box:
        vertical, horizontal = _within(vertical, ops), _within(horizontal, ops)
    fitted = ops.matmul(ops.matmul(vertical, image), ops.swapaxes(horizontal, -1, -2))
    return ops.where(is_fitted[..., None, None], fitted, finish_ink(fitted, ops)) if box else fitted


def finish_ink(image: Any, ops: ModuleType = np) -> Any:
    """Return the ink of fitted images `[..., size, size]` (size known) at full brightness, thin ink widened.

    Brightness: the typical ink becomes 255. Width: estimated as twice the amount of ink over the length of its
    outline; where it is below `LEAST_WIDTH`, the ink is mixed with itself grown by a pixel on all sides.
    """
    size = int(image.shape[-1])
    image = ops.minimum(image * (255 / ops.maximum(_typical(image, ops), 1.0)[..., None, None]), 255.0)
    for _ in range(_widenings(size)):
        share = ops.clip((LEAST_WIDTH * size - ink_width(image, ops)) / 2, 0.0, 1.0)
        image = ops.maximum(image, share[..., None, None] * _grown(image, ops))
    return image


def draw_ink(strokes: Iterable[Any], image_size: int) -> np.ndarray:
    """Draw the strokes of a person's device as a recognizer reads them: cleaned, with a pen of `PEN_WIDTH`.

    Args:
        strokes: nested lists of points [x, y] or [x, y, t], or arrays, in any unit, y down.
        image_size: height and width in pixels.

    Returns:
        uint8 `[image_size, image_size]`.

    Raises:
        UserError: as `strokes.prepare`.
    """
    return draw_strokes(prepare(strokes), image_size, PEN_WIDTH * image_size)


def draw_strokes(strokes: Strokes, image_size: int, stroke_width: float) -> np.ndarray:
    """Draw a character's strokes as `fit_image(box=True)` would show them.

    Args:
        strokes: in any unit, y down.
        image_size: height and width in pixels.
        stroke_width: in pixels of the result.

    Returns:
        uint8 `[image_size, image_size]`.
    """
    segments = to_segments(normalize(strokes), longest=4 / image_size)[np.newaxis]
    half_widths = np.full(segments.shape[:2], stroke_width / 2, np.float32)
    return draw_segments(segments, half_widths, image_size)[0]


@dataclass(frozen=True, eq=False)
class Inking:
    """How the ink of `n` drawings differs from that of clean ones.

    Attributes:
        softness: float32 `[n]`, over how many pixels ink fades out at its edge.
        level: float32 `[n]`, the ink's brightness, 0..1.
        placement: float32 `[n, 3]`, by how much to miss the center (x, y) and the size, fractions.
    """

    softness: np.ndarray
    level: np.ndarray
    placement: np.ndarray

    @classmethod
    def clean(cls, count: int) -> "Inking":
        """Return that of clean drawings: soft as resizing leaves edges, of full brightness, in the center."""
        return cls(np.full(count, EDGE, np.float32), np.ones(count, np.float32), np.zeros((count, 3), np.float32))


def draw_segments(
    segments: np.ndarray, half_widths: np.ndarray, image_size: int, inking: Inking | None = None
) -> np.ndarray:
    """Draw many characters as `fit_image(box=True)` would show them, without the detour over large images.

    Args:
        segments: float32 `[n, s, 2 (start, end), 2 (x, y)]`, in any unit.
        half_widths: float32 `[n, s]`, of the pen, in pixels of the result; 0: not drawn.
        image_size: height and width in pixels.
        inking: None means clean.

    Returns:
        uint8 `[n, image_size, image_size]`.
    """
    count = len(segments)
    drawn = (half_widths > 0)[:, :, np.newaxis]
    low, high = np.empty((2, count, 2), np.float32)
    for axis in (0, 1):
        low[:, axis] = np.where(drawn, segments[..., axis], np.inf).reshape(count, -1).min(axis=1)
        high[:, axis] = np.where(drawn, segments[..., axis], -np.inf).reshape(count, -1).max(axis=1)
    inking = inking or Inking.clean(count)
    placement = inking.placement
    room = image_size * (1 - 2 * MARGIN) * (1 + placement[:, 2]) - 2 * half_widths.max(axis=1)
    scale = (np.maximum(room, 0) / np.maximum((high - low).max(axis=1), 1e-6))[:, np.newaxis]
    offset = image_size * (0.5 + placement[:, :2]) - scale * (low + high) / 2
    fitted = segments * scale[:, np.newaxis, np.newaxis] + offset[:, np.newaxis, np.newaxis]
    ink = rasterize(fitted.astype(np.float32), half_widths, inking.softness, image_size)
    finished = finish_ink(ink * np.float32(255)) * inking.level[:, np.newaxis, np.newaxis]
    return np.rint(finished).astype(np.uint8)


def _extent(has_ink: Any, positions: Any, ops: ModuleType) -> tuple[Any, Any]:
    """Return where ink begins and ends along an axis (`has_ink` `[..., n]`); the whole axis if there is none."""
    count = ops.max(positions) + 1
    first = ops.min(ops.where(has_ink, positions, count), axis=-1)
    last = ops.max(ops.where(has_ink, positions + 1, 0.0), axis=-1)
    return ops.where(last > 0, first, 0.0), ops.where(last > 0, last, count)


def _is_fitted(image: Any, box: tuple[Any, Any, Any, Any], size: int, ops: ModuleType) -> Any:
    """Return whether images, their ink's box at `(top, bottom, left, right)`, look as `fit_image` leaves them.

    What a fit finds to be the box and what is then seen as the box of its result differ by a pixel or two: faint ends
    fade, and widened ink is larger by a pixel a widening.
    """
    top, bottom, left, right = box
    tolerance = 2 * _widenings(size)
    height, width = ops.shape(image)[-2], ops.shape(image)[-1]
    corner = image[..., :size, :size]  # the image itself where it has the size; elsewhere it does not matter
    return (
        (height == size)
        & (width == size)
        & (ops.abs(ops.maximum(bottom - top, right - left) - size * (1 - 2 * MARGIN)) <= tolerance)
        & (ops.abs(top + bottom - size) <= tolerance)
        & (ops.abs(left + right - size) <= tolerance)
        & (_typical(corner, ops) >= FITTED_BRIGHTNESS)
        & (ink_width(corner, ops) >= FITTED_WIDTH * LEAST_WIDTH * size)
    )


def _widenings(size: int) -> int:
    """Return how often thin ink is widened in an image of so many pixels."""
    return max(1, int(size / 48 + 0.5))


def _typical(image: Any, ops: ModuleType) -> Any:
    """Return the brightness of the typical ink of `[..., h, w]`: the mean of the pixels, weighted by their squares."""
    squares = image * image
    return ops.sum(squares * image, axis=(-2, -1)) / ops.maximum(ops.sum(squares, axis=(-2, -1)), 1.0)


def ink_width(image: Any, ops: ModuleType = np) -> Any:
    """Return how wide the strokes of `[..., h, w]` are in pixels: twice the amount of ink over its outline."""
    across = ops.abs(image[..., :-1, 1:] - image[..., :-1, :-1])
    down = ops.abs(image[..., 1:, :-1] - image[..., :-1, :-1])
    outline = ops.sum(ops.sqrt(across * across + down * down), axis=(-2, -1))
    return 2 * ops.sum(image, axis=(-2, -1)) / ops.maximum(outline, 1.0)


def _interpolation(positions: Any, center: Any, side: Any, size: int, ops: ModuleType) -> Any:
    """Return the weights `[..., size, n]` that resample `n` pixels around `center` to `size`; black goes on beyond."""
    scale = (side / size)[..., None, None]
    target = ops.arange(size, dtype="float32")[:, None] + 0.5 - size / 2
    source = target * scale + center[..., None, None]
    reach = ops.maximum(scale, 1.0)
    weights = ops.maximum(1 - ops.abs(positions + 0.5 - source) / reach, 0.0)
    after = source - 0.5 - ops.floor(source - 0.5)  # from the pixel before, as a fraction of a pixel
    return weights / (_side_sum(after, reach, ops) + _side_sum(1 - after, reach, ops))


def _side_sum(nearest: Any, reach: Any, ops: ModuleType) -> Any:
    """Return the sum of a triangle's weights on one side of its middle, at whole pixels from the nearest one on."""
    count = ops.floor(reach - nearest) + 1
    return count - (count * nearest + count * (count - 1) / 2) / reach


def _within(weights: Any, ops: ModuleType) -> Any:
    """Return the weights of a resampling as if nothing went on beyond the image, and 0 outside it."""
    share = ops.sum(weights, axis=-1, keepdims=True)
    return ops.where(share > 0.5001, weights / ops.maximum(share, 0.5), 0.0)


def _grown(image: Any, ops: ModuleType) -> Any:
    """Return the largest value among each pixel and its eight neighbors."""
    padding = [(0, 0)] * (len(image.shape) - 2)
    wide = ops.pad(image, [*padding, (0, 0), (1, 1)])
    image = ops.maximum(ops.maximum(wide[..., :-2], wide[..., 2:]), image)
    tall = ops.pad(image, [*padding, (1, 1), (0, 0)])
    return ops.maximum(ops.maximum(tall[..., :-2, :], tall[..., 2:, :]), image)
