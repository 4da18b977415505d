"""Ink as strokes: checking, cleaning, fitting into a box, and fast antialiased rasterization; see docs/ink.md."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kuzushiji_tf.errors import UserError

Strokes = list[np.ndarray]  # float32 [points, 2] each, (x, y) with y down, in the order of writing

MARGIN = 1 / 16  # left free on each side of a normalized image, fraction of its side
PEN_WIDTH = 3 / 64  # of the pen that draws a person's strokes, fraction of the image's side
STEP = 1 / 64  # nearer points are one point, and smoothing works on points so far apart; of the box's longer side
PASSES = 4  # of smoothing, each a quarter, a half and a quarter of three points
LEAST_SIDE = 1e-6  # a smaller box is one point
MOST_STROKES = 128  # of one character; the most intricate kanji have 84
MOST_POINTS = 50_000  # of one character: 50 seconds of a pen that reports 1,000 points a second
MOST_LENGTH = 500  # of all strokes together, in longer sides of their box
FARTHEST = 1e9  # from 0: the largest coordinate
PIXELS_AT_ONCE = 1 << 16  # window pixels rasterized together: small enough for a core's cache


def as_strokes(value: Iterable[Any], where: str = "strokes", characters: int = 1) -> Strokes:
    """Return nested lists of points [x, y] or [x, y, t], as they come from JSON, as `Strokes`; t is left out.

    Args:
        value: the lists.
        where: begins the sentence of an error.
        characters: how many may have been drawn.

    Raises:
        UserError: there is no point, or something is not a point of finite numbers, or there are more than
            `MOST_STROKES` strokes or `MOST_POINTS` points a character, or one lies beyond `FARTHEST`.
    """
    return [stroke.astype(np.float32) for stroke in _checked(value, where, characters)]


def prepare(value: Iterable[Any], where: str = "strokes") -> Strokes:
    """Return strokes cleaned of what devices add: repeated points, uneven spacing and jitter.

    However densely a device reports its points, the same movement comes out as nearly the same strokes. Ends stay
    where they are; a right-angled corner moves inwards by 1/80 of the box.

    Args:
        value: as `as_strokes` takes it, in any unit.
        where: begins the sentence of an error.

    Returns:
        The strokes around (0, 0), the longer side of their box 1, their points `STEP` apart; a dot is one point.

    Raises:
        UserError: as `as_strokes`, or the strokes are together more than `MOST_LENGTH` times as long as their box.
    """
    strokes = _checked(value, where)
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max((high - low).max(), LEAST_SIDE)
    strokes = [_without_repeats((stroke - (low + high) / 2) / side) for stroke in strokes]
    lengths = [arc_length(stroke)[-1] for stroke in strokes]
    if sum(lengths) > MOST_LENGTH:
        raise UserError(
            f"{where}: the strokes are {sum(lengths):,.0f} times as long as their box, more than the "
            f"{MOST_LENGTH} allowed; draw one character."
        )
    counts = [int(np.ceil(length / STEP)) + 1 for length in lengths]
    return [_smooth(resample(stroke, count)) for stroke, count in zip(strokes, counts, strict=True)]


def _checked(value: Iterable[Any], where: str, characters: int = 1) -> list[np.ndarray]:
    """Return float64 `[points, 2]` for each stroke that has a point."""
    most_strokes, most_points = characters * MOST_STROKES, characters * MOST_POINTS
    try:
        strokes = [stroke if isinstance(stroke, np.ndarray) else list(stroke) for stroke in value]
        strokes = [stroke for stroke in strokes if len(stroke)]
        count = sum(map(len, strokes))
        if len(strokes) > most_strokes or count > most_points:
            what = "one character" if characters == 1 else f"at most {characters} characters"
            raise UserError(
                f"{where}: {len(strokes):,} strokes of {count:,} points are more than the {most_strokes:,} strokes or "
                f"{most_points:,} points allowed; draw {what}."
            )
        arrays = [np.asarray(stroke) for stroke in strokes]
    except UserError:
        raise
    except (TypeError, ValueError):
        raise UserError(f"{where}: each stroke must be a list of [x, y] or [x, y, t] numbers.") from None
    if not arrays:
        raise UserError(f"{where}: there is no point in it; draw at least one.")
    for array in arrays:
        is_points = array.dtype.kind in "iuf" and array.ndim == 2 and array.shape[1] in (2, 3)
        if not is_points or not np.isfinite(array[:, :2]).all():
            raise UserError(f"{where}: each stroke must be a list of [x, y] or [x, y, t] of finite numbers.")
        if np.abs(array[:, :2].astype(np.float64)).max() > FARTHEST:
            raise UserError(f"{where}: a point lies beyond {FARTHEST:,.0f}; use smaller units.")
    return [array[:, :2].astype(np.float64) for array in arrays]


def _without_repeats(stroke: np.ndarray) -> np.ndarray:
    """Return a stroke without the points that are nearer than `STEP` to the one kept before; the last one stays."""
    kept = [0]
    points = stroke.tolist()
    for index, (x, y) in enumerate(points):
        x_kept, y_kept = points[kept[-1]]
        if (x - x_kept) ** 2 + (y - y_kept) ** 2 >= STEP**2:
            kept.append(index)
    if len(kept) > 1:
        kept[-1] = len(stroke) - 1
    return stroke[kept]


def _smooth(stroke: np.ndarray) -> np.ndarray:
    """Return a stroke of evenly spaced points, each but the ends a weighted mean of it and its neighbors."""
    for _ in range(PASSES):
        stroke[1:-1] = (stroke[:-2] + 2 * stroke[1:-1] + stroke[2:]) / 4
    return stroke


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
    side = max(float((high - low).max()), LEAST_SIDE)
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
        along = [np.interp(np.arange(knots[-1] + 1), knots, stroke[:, axis]) for axis in (0, 1)]
        points = np.stack(along, axis=1).astype(np.float32)
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
