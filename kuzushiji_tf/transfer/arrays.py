"""The functions of `keras.ops` that a chain in use takes, for NumPy arrays: its use needs no Keras and no TensorFlow.

What is written over an array namespace, `ops`, takes this one or `keras.ops`: the lines that train are those in use.
"""

import numpy as np
from numpy import concatenate, cumsum, exp, expand_dims, log, reshape, split, sqrt, square, sum, tanh
from scipy.special import log_softmax, logsumexp, softmax

__all__ = [
    "cast",
    "concatenate",
    "cumsum",
    "exp",
    "expand_dims",
    "log",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "reshape",
    "softmax",
    "split",
    "sqrt",
    "square",
    "sum",
    "tanh",
    "top_k",
]


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return the values in another type."""
    return values.astype(dtype)


def one_hot(indices: np.ndarray, count: int, dtype: str = "float32") -> np.ndarray:
    """Return `[..., count]`: 1 at each index, 0 elsewhere."""
    return (np.expand_dims(indices, -1) == np.arange(count)).astype(dtype)


def top_k(values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `k` greatest of values `[..., n]`, greatest first (of equal ones the first), and where they are."""
    indices = np.argsort(-values, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(values, indices, axis=-1), indices
