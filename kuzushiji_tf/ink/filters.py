"""Filters over small windows of a picture, in NumPy: the largest, smallest or mean value around each pixel."""

import numpy as np


def extreme(values: np.ndarray, window: int, function: np.ufunc, axes: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """Return the largest or smallest value of the window around each pixel of `[h, w]`.

    Args:
        values: the edge's pixels count as if they went on beyond it.
        window: pixels along each axis, an odd number.
        function: `np.maximum` or `np.minimum`.
        axes: along which the window extends.
    """
    for axis in axes:
        values = np.moveaxis(_beyond_edges(values, window // 2, axis), axis, 0)
        span, count = 1, len(values) - window + 1
        while 2 * span <= window:  # each value stands for `span` of them
            values = function(values[:-span], values[span:])
            span *= 2
        values = np.moveaxis(function(values[:count], values[window - span : window - span + count]), 0, axis)
    return values


def mean(values: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of the window (an odd number of pixels along each axis) around each pixel of `[h, w]`."""
    for axis in (0, 1):
        sums = np.cumsum(np.moveaxis(_beyond_edges(values, window // 2, axis), axis, 0), axis=0, dtype=np.float64)
        sums[window:] -= sums[:-window].copy()
        values = np.moveaxis(sums[window - 1 :] / window, 0, axis).astype(np.float32)
    return values


def _beyond_edges(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    return np.pad(values, [(reach, reach) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
