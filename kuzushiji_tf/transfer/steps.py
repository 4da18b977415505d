"""One step of the Sketch-RNN decoder as a vector of numbers, over NumPy arrays or the tensors of Keras.

It holds the logits of the three pen states, then of each component of a mixture of bivariate Gaussians over the next
offset its logit, the means of x and y, the logarithms of their scales, and what becomes their correlation; these last
are held within bounds. The layout is that of the authors' code. The functions take the tensors of Keras given
`keras.ops`.
"""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from kuzushiji_tf.transfer import arrays
from kuzushiji_tf.transfer.gaussians import bounded

PEN_STATES = 3  # down, lifted, the drawing has ended
LOG_SCALE_BOUND = 5.0  # scales stay within e^-5 .. e^5 of the offsets' standard deviation
CORRELATION_BOUND = 0.999  # a correlation of 1 has no density

_LOG_TWO_PI = float(np.log(2 * np.pi))


class Step(NamedTuple):
    """What a step predicts; `pen_logits` is `[..., 3]`, the others are `[..., mixtures]`."""

    pen_logits: Any
    log_weights: Any
    mean_x: Any
    mean_y: Any
    log_scale_x: Any
    log_scale_y: Any
    correlation: Any


def split_parameters(parameters: Any, ops: ModuleType = arrays) -> Step:
    """Return the parts of a decoder's output `[..., 3 + 6 * mixtures]`, in a numerically safe form."""
    logits, mean_x, mean_y, log_scale_x, log_scale_y, correlation = ops.split(parameters[..., PEN_STATES:], 6, axis=-1)
    return Step(
        parameters[..., :PEN_STATES],
        ops.log_softmax(logits, axis=-1),
        mean_x,
        mean_y,
        bounded(log_scale_x, LOG_SCALE_BOUND, ops),
        bounded(log_scale_y, LOG_SCALE_BOUND, ops),
        bounded(correlation, CORRELATION_BOUND, ops),
    )


def log_density(parameters: Any, offsets: Any, ops: ModuleType = arrays) -> Any:
    """Return the log density `[...]` of each step's mixture at an offset `[..., 2]` (Graves 2013, equation 24)."""
    step = split_parameters(parameters, ops)
    x = (offsets[..., 0:1] - step.mean_x) * ops.exp(-step.log_scale_x)
    y = (offsets[..., 1:2] - step.mean_y) * ops.exp(-step.log_scale_y)
    left = (1 - step.correlation) * (1 + step.correlation)  # of the variance of x once y is known
    distance = ops.square(x - step.correlation * y) / left + ops.square(y)
    log_volume = _LOG_TWO_PI + step.log_scale_x + step.log_scale_y + ops.log(left) / 2
    return ops.logsumexp(step.log_weights - log_volume - distance / 2, axis=-1)
