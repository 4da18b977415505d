"""Ink as strokes: checking, resampling, fitting into a box, and fast antialiased rasterization."""

from collections.abc import Iterable

import numpy as np

from kuzushiji_tf.errors import UserError

Strokes = list[np.ndarray]  # float32 [points, 2] each, (x, y) with y down, in the order of writing

MARGIN = 1 / 16  # left free on each side of a normalized image, fraction of its side
PIXELS_AT_ONCE = 1 << 16  # window pixels rasterized together: small enough for a core's cache


def as_strokes(value: Iterable, where: str = "strokes") -> Strokes:
    """Return nested lists of points, as they come from JSON, as `Strokes`.

    Raises:
        UserError: there is no point, or something is not a pair of finite numbers; `where` begins the sentence.
    """
    try:
        strokes = [np.asarray(stroke, np.float32) for stroke in value]
    except (TypeError, ValueError):
        raise UserError(f"{where}: each stroke must be a list of [x, y] pairs of numbers.") from None
    strokes = [stroke for stroke in strokes if stroke.size]
    if not strokes:
        raise UserError(f"{where}: there is no point in it; draw at least one.")
    for stroke in strokes:
        if stroke.ndim != 2 or stroke.shape[1] != 2 or not np.isfinite(stroke).all():
            raise UserError(f"{where}: each stroke must be a list of [x, y] pairs of finite numbers.")
    return strokes


def resample(stroke: np.ndarray, count: int) -> np.ndarray:
    """Return `count` points equally spaced along a stroke, its two ends kept; float32 `[count, 2]`."""
    distance = arc_length(stroke)
    at = np.linspace(0.0, distance[-1], count)
    return np.stack([np.interp(at, distance, stroke[:, axis]) for axis in (0, 1)], axis=1).astype(np.float32)


def arc_length(stroke: np.ndarray) -> np.ndarray:
    """Return the distance travelled along a stroke up to each of its points; float64 `[points]`, from 0."""
    steps = np.linalg.norm(np.diff(stroke.astype(np.float64), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def normalize(strokes: Strokes, margin: float = MARGIN) -> Strokes:
    """Return the strokes scaled and centered in the unit box: aspect kept, `margin` left free on each side."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 1e-6)
    scale = (1 - 2 * margin) / side
    return [(0.5 + (stroke - (low + high) / 2) * scale).astype(np.float32) for stroke in strokes]


def render(strokes: Strokes, image_size: int, stroke_width: float) -> np.ndarray:
    """Draw strokes with a round pen, white on black.

    Args:
        strokes: in the unit box: (0, 0) is the top left corner of the image, (1, 1) the bottom right one.
        image_size: height and width in pixels.
        stroke_width: in pixels.

    Returns:
        uint8 `[image_size, image_size]`.
    """
    segments = to_segments(strokes, longest=4 / image_size)[np.newaxis] * np.float32(image_size)
    half_widths = np.full(segments.shape[:2], stroke_width / 2, np.float32)
    ink = rasterize(segments, half_widths, np.ones(1, np.float32), image_size)
    return np.rint(ink[0] * 255).astype(np.uint8)


def to_segments(strokes: Strokes, longest: float) -> np.ndarray:
    """Return strokes cut into segments no longer than `longest`; float32 `[segments, 2 (start, end), 2 (x, y)]`.

    A stroke of one point becomes one segment of length 0: a dot.
    """
    parts = []
    for stroke in strokes:
        if len(stroke) == 1:
            stroke = np.repeat(stroke, 2, axis=0)
        steps = np.linalg.norm(np.diff(stroke, axis=0), axis=1)
        pieces = np.maximum(np.ceil(steps / longest), 1).astype(int)
        knots = np.concatenate([[0], np.cumsum(pieces)])
        points = [np.interp(np.arange(knots[-1] + 1), knots, stroke[:, axis]) for axis in (0, 1)]
        points = np.stack(points, axis=1).astype(np.float32)
        parts.append(np.stack([points[:-1], points[1:]], axis=1))
    return np.concatenate(parts)


def rasterize(segments: np.ndarray, half_widths: np.ndarray, softness: np.ndarray, image_size: int) -> np.ndarray:
    """Return the ink of many characters at once: at each pixel, how near its center is to the nearest segment.

    Each segment is drawn in a small square window around it, so that the cost grows with the length of the ink and
    not with the area of the image.

    Args:
        segments: float32 `[n, s, 2 (start, end), 2 (x, y)]`, in pixels.
        half_widths: float32 `[n, s]`, of the pen, in pixels; a segment of half width 0 is not drawn.
        softness: float32 `[n]`, over how many pixels ink fades out at its edge; 1 is plain antialiasing.
        image_size: height and width in pixels.

    Returns:
        float32 `[n, image_size, image_size]`, 0..1.
    """
    count = len(segments)
    image, segment = np.nonzero(half_widths > 0)
    segments, half_widths, softness = segments[image, segment], half_widths[image, segment], softness[image]
    reach = (half_widths + softness / 2)[:, np.newaxis]
    first = np.floor(np.minimum(segments[:, 0], segments[:, 1]) - reach).astype(np.int64)
    extent = (np.ceil(np.maximum(segments[:, 0], segments[:, 1]) + reach).astype(np.int64) - first).max(
        axis=1, initial=0
    )
    windows = (extent + 1) // 2 * 2  # few different sizes, each one batch of work
    border = int(windows.max(initial=0))  # around the canvas, so that no window needs clipping
    first = np.clip(first, -border, image_size)
    side = image_size + 2 * border
    canvas = np.zeros(count * side * side, np.float32)
    corners = (image * side + first[:, 1] + border) * side + first[:, 0] + border
    for size in np.unique(windows):
        chosen = np.flatnonzero(windows == size)
        offsets = np.arange(size)[:, np.newaxis] * side + np.arange(size)
        step = max(1, PIXELS_AT_ONCE // (size * size))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            ink = _window_ink(segments[rows] - first[rows, np.newaxis], half_widths[rows], softness[rows], size)
            np.maximum.at(canvas, (corners[rows, np.newaxis, np.newaxis] + offsets).ravel(), ink.ravel())
    inside = slice(border, border + image_size)
    return canvas.reshape(count, side, side)[:, inside, inside]


def _window_ink(segments: np.ndarray, half_widths: np.ndarray, softness: np.ndarray, size: int) -> np.ndarray:
    """Return the ink of each segment in its own window; segments `[m, 2, 2]` in pixels from the window's corner."""
    start = segments[:, 0]
    along = segments[:, 1] - start
    squared_length = np.maximum((along * along).sum(axis=1), 1e-9)
    centers = np.arange(size, dtype=np.float32) + np.float32(0.5)
    across_x = (centers - start[:, :1]).astype(np.float32)[:, np.newaxis, :]
    across_y = (centers - start[:, 1:]).astype(np.float32)[:, :, np.newaxis]
    along_x, along_y = along.astype(np.float32)[:, :, np.newaxis, np.newaxis].swapaxes(0, 1)
    unit = (1 / squared_length).astype(np.float32)[:, np.newaxis, np.newaxis]
    position = across_x * (along_x * unit) + across_y * (along_y * unit)
    np.clip(position, 0, 1, out=position)
    distance = np.square(across_x - position * along_x)
    distance += np.square(across_y - position * along_y)
    np.sqrt(distance, out=distance)
    slope = (1 / softness).astype(np.float32)[:, np.newaxis, np.newaxis]
    distance *= -slope
    distance += slope * half_widths[:, np.newaxis, np.newaxis] + np.float32(0.5)
    return np.clip(distance, 0, 1, out=distance)
