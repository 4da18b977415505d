"""Writing with a trained Sketch-RNN decoder: one row of stroke-5 after another until the drawing ends."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, softmax

from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer.arrays import one_hot
from kuzushiji_tf.transfer.sequences import END, START, to_stroke3
from kuzushiji_tf.transfer.steps import split_parameters

_LEAST = 2.0**-25  # stands for a uniform number of 0, which has no normal quantile
_AT_ONCE = 1024  # drawings written together, so that memory is bounded

# A part of a chain, from named arrays `[n, ...]` to named arrays: a Keras model, or a signature of a SavedModel.
Network = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Writer:
    """A trained decoder of drawings.

    Attributes:
        start, step: a chain's, or the models of `sketch.build_start` and `sketch.build_step` where drawings are written
            without ink in sight: `start` is given z alone.
        longest: a drawing that has not ended after so many points ends there.
        scale: by which the training data's offsets were divided (`sequences.SequenceTable`).
    """

    start: Network
    step: Network
    longest: int
    scale: float


def draw_noise(seed: int, items: int, steps: int) -> np.ndarray:
    """Return what `generate` samples with, float32 `[items, steps, 4]`: two uniforms, two standard normals.

    An item's numbers in a step depend on (seed, item, step) alone, however many items and steps there are.
    """
    noise = np.empty((items, steps, 4), np.float32)
    for item in range(items):
        noise[item] = np.random.default_rng((seed, item)).random((steps, 4), np.float32)
    noise[..., 2:] = ndtri(np.maximum(noise[..., 2:].astype(np.float64), _LEAST))
    return noise


def generate(writer: Writer, z: np.ndarray, noise: np.ndarray, temperature: float) -> list[np.ndarray]:
    """Write one drawing for each latent vector.

    Args:
        z: float32 `[n, latent]`.
        noise: of `draw_noise`, at least `[n, writer.longest, 4]`.
        temperature: 1 samples what the decoder predicts, less is more certain, 0 takes the likeliest row each time.

    Returns:
        stroke-3 of each drawing, float32 `[points, 3]`, points 0..`writer.longest`.

    Raises:
        UserError: the temperature is not 0 or more, or the noise is too little.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"The temperature is {temperature}; it must be a number from 0 up.")
    if len(noise) < len(z) or noise.shape[1] < writer.longest:
        raise UserError(
            f"Noise for {len(noise)} drawings of {noise.shape[1]} points is too little for {len(z)} of up to "
            f"{writer.longest}: draw more."
        )
    drawings: list[np.ndarray] = []
    noise = noise[: len(z), : writer.longest]
    for part in in_lots(len(z), _AT_ONCE):
        rows = _write(writer, np.asarray(z[part], np.float32), noise[part], temperature)
        drawings += [to_stroke3(drawing, writer.scale) for drawing in rows]
    return drawings


def sample_rows(parameters: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
    """Return the next row of stroke-5, `[batch, 5]`, of each step's parameters `[batch, 3 + 6 * mixtures]`.

    Args:
        noise: float32 `[batch, 4]`, as `draw_noise` makes it.
        temperature: divides all logits and multiplies the variances (Ha and Eck 2017, equation 8); the authors' code
            multiplies the scales by its square instead. At 0 the row is the likeliest pen state and the mean of the
            component with the greatest weight.
    """
    predicted = split_parameters(parameters)
    pen = _choose(predicted.pen_logits, noise[:, 1], temperature)
    chosen = _choose(predicted.log_weights, noise[:, 0], temperature)
    mean_x, mean_y, log_scale_x, log_scale_y, correlation = ((chosen * part).sum(axis=-1) for part in predicted[2:])
    spread = math.sqrt(temperature)
    along = noise[:, 2]
    across = correlation * along + np.sqrt((1 - correlation) * (1 + correlation)) * noise[:, 3]
    offsets = [mean_x + spread * np.exp(log_scale_x) * along, mean_y + spread * np.exp(log_scale_y) * across]
    return np.concatenate([np.stack(offsets, axis=-1), pen], axis=-1)


def _choose(logits: np.ndarray, uniforms: np.ndarray, temperature: float) -> np.ndarray:
    """Return one choice for each row of logits `[batch, n]`, one-hot."""
    if temperature:
        # The greatest becomes 0, so that no temperature makes it infinite.
        chances = softmax((logits - logits.max(axis=-1, keepdims=True)) / temperature, axis=-1)
        cumulative = np.cumsum(chances, axis=-1)
        # Uniforms are below 1: what is chosen has a chance above 0, however the sum was rounded.
        passed = uniforms[:, np.newaxis] * cumulative[:, -1:] >= cumulative[:, :-1]
        chosen = passed.sum(axis=-1)
    else:
        chosen = logits.argmax(axis=-1)
    return one_hot(chosen, logits.shape[-1])


def _write(writer: Writer, z: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
    """Return drawings as stroke-5, `[n, longest + 1, 5]`, closed and padded with `END`."""
    count, longest = noise.shape[:2]
    rows = np.tile(np.array(END, np.float32), (count, longest + 1, 1))
    writing = np.arange(count)  # the drawings that have not ended; no work is done for the others
    previous = np.tile(np.array(START, np.float32), (count, 1))
    state = _call(writer.start, {"z": z})  # of the drawings that have not ended; some of it no step changes
    for place in range(longest):
        outputs = _call(writer.step, {"z": z[writing], "previous": previous, **state})
        previous = sample_rows(outputs.pop("parameters"), noise[writing, place], temperature)
        going = previous[:, -1] == 0
        writing, previous = writing[going], previous[going]
        state = {name: value[going] for name, value in (state | outputs).items()}
        if not len(writing):
            break
        rows[writing, place] = previous
    return rows


def _call(network: Network, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in network(inputs).items()}
