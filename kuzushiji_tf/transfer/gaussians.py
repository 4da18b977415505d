"""Gaussians as vectors of numbers: the posterior that an encoder returns, and the mixture that the MDN returns.

A posterior is its means, then the logarithms of its variances. A mixture's parameters are the components' logits, their
means, and the logarithms of their scales, which `split_parameters` holds within bounds. The functions take NumPy
arrays; those with `ops` take the tensors of Keras as well, given `keras.ops`.
"""

from types import ModuleType
from typing import Any

import numpy as np

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer import arrays

LATENT = 64  # dimensions
LOG_SCALE_BOUND = 5.0  # a mixture's scales stay within e^-5 .. e^5, as a posterior's do

_LOG_TWO_PI = float(np.log(2 * np.pi))
_BLOCK = 2**22  # numbers of each of the handful of tables that `log_densities` holds at a time


def bounded(values: Any, bound: float, ops: ModuleType = arrays) -> Any:
    """Return values held within -bound .. bound: nearly themselves around 0, with a gradient everywhere."""
    return bound * ops.tanh(values / bound)


def split_posterior(posterior: Any) -> tuple[Any, Any]:
    """Return the mean and the log variance, `[batch, latent]` each, of an encoder's output."""
    latent = posterior.shape[-1] // 2
    return posterior[..., :latent], posterior[..., latent:]


def sample_posterior(posterior: Any, normals: Any, ops: ModuleType = arrays) -> Any:
    """Return latent vectors `[batch, latent]` made from an encoder's output and standard normals of that shape."""
    mean, log_variance = split_posterior(posterior)
    return mean + ops.exp(log_variance / 2) * normals


def kl_divergence(posterior: Any, ops: ModuleType = arrays) -> Any:
    """Return KL(posterior || standard normal) in nats, summed over the dimensions: `[batch]`.

    Kingma and Welling 2014, appendix B.
    """
    mean, log_variance = split_posterior(posterior)
    return ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=-1) / 2


def split_parameters(parameters: Any, latent: int, ops: ModuleType = arrays) -> tuple[Any, Any, Any]:
    """Return the parts of mixtures' parameters `[batch, components * (1 + 2 * latent)]`.

    Returns:
        log weights `[batch, components]`, means and log scales `[batch, components, latent]`.

    Raises:
        UserError: their number does not fit `latent` dimensions.
    """
    components, remainder = divmod(parameters.shape[-1], 1 + 2 * latent)
    if remainder or not components:
        raise UserError(
            f"{parameters.shape[-1]} numbers describe no mixture in {latent} dimensions, where each component takes "
            f"{1 + 2 * latent}: use a network that was built for {latent} latent dimensions."
        )
    border = components * (1 + latent)
    means = ops.reshape(parameters[..., components:border], (-1, components, latent))
    log_scales = ops.reshape(parameters[..., border:], (-1, components, latent))
    return ops.log_softmax(parameters[..., :components], axis=-1), means, bounded(log_scales, LOG_SCALE_BOUND, ops)


def log_density(parameters: Any, z: Any, ops: ModuleType = arrays) -> Any:
    """Return the log density `[batch]` of each mixture at its own point `[batch, latent]`; one mixture serves all."""
    mixture = split_parameters(parameters, z.shape[-1], ops)
    return ops.logsumexp(_log_joint(mixture, ops.expand_dims(z, 1), ops), axis=-1)[:, 0]


def log_densities(parameters: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the log density of each mixture `[batch, ...]` at every candidate `[n, latent]`: float32 `[batch, n]`.

    It takes little memory beside the result, however many there are.
    """
    candidates = np.asarray(candidates, np.float64)
    components = parameters.shape[-1] // (1 + 2 * candidates.shape[-1])
    rows = max(1, _BLOCK // max(1, components * len(candidates)))
    found = np.empty((len(parameters), len(candidates)), np.float32)
    for start in range(0, len(parameters), rows):
        found[start : start + rows] = _pairs(parameters[start : start + rows], candidates)
    return found


def draw_noise(seed: int, items: int, latent: int = LATENT) -> tuple[np.ndarray, np.ndarray]:
    """Return what `sample` samples with: uniforms float32 `[items]` and standard normals float32 `[items, latent]`.

    An item's numbers depend on (seed, item) alone, however many there are.
    """
    uniforms, normals = np.empty(items, np.float32), np.empty((items, latent), np.float32)
    for item in range(items):
        random = np.random.default_rng((seed, item))
        uniforms[item] = random.random(dtype=np.float32)
        normals[item] = random.standard_normal(latent, np.float32)
    return uniforms, normals


def sample(parameters: Any, uniforms: Any, normals: Any, temperature: float = 1.0, ops: ModuleType = arrays) -> Any:
    """Return a point `[batch, latent]` of each mixture, made from the numbers of `draw_noise`.

    Args:
        temperature: divides the components' logits and multiplies their variances (Ha and Eck 2017, section 3.2); at 0
            it is the mean of the component with the greatest weight.

    Raises:
        UserError: the temperature is below 0.
    """
    if temperature < 0:
        raise UserError(f"The temperature is {temperature}; it must be a number from 0 up.")
    log_weights, means, log_scales = split_parameters(parameters, normals.shape[-1], ops)
    components = means.shape[1]
    if temperature:
        cumulative = ops.cumsum(ops.softmax(log_weights / temperature, axis=-1), axis=-1)
        # The last component takes what rounding leaves above the sum of all.
        passed = ops.expand_dims(uniforms, -1) >= cumulative[:, : components - 1]
        chosen = ops.sum(ops.cast(passed, "int32"), axis=-1)
    else:
        chosen = _greatest(log_weights, ops)
    scale = float(np.sqrt(temperature)) * ops.exp(_of_component(log_scales, chosen, ops))
    return _of_component(means, chosen, ops) + scale * normals


def mode(parameters: Any, latent: int, ops: ModuleType = arrays) -> Any:
    """Return about the likeliest point `[batch, latent]` of each mixture.

    It is the mean of the component at whose mean the whole mixture is densest; the true maximum lies near it, and in
    it where components do not overlap.
    """
    mixture = split_parameters(parameters, latent, ops)
    densities = ops.logsumexp(_log_joint(mixture, mixture[1], ops), axis=-1)
    return _of_component(mixture[1], _greatest(densities, ops), ops)


def _log_joint(mixture: tuple[Any, Any, Any], points: Any, ops: ModuleType) -> Any:
    """Return the log of weight times density of each component at points `[batch, n, latent]`: `[batch, n, k]`."""
    log_weights, means, log_scales = (ops.expand_dims(part, 1) for part in mixture)
    distances = (ops.expand_dims(points, 2) - means) * ops.exp(-log_scales)
    return log_weights - ops.sum(ops.square(distances) / 2 + log_scales + _LOG_TWO_PI / 2, axis=-1)


def _greatest(values: Any, ops: ModuleType) -> Any:
    """Return the place `[batch]` of the greatest of values `[batch, n]`.

    `keras.ops.argmax` looks at the sign of zero by an operator that LiteRT lacks.
    """
    return ops.top_k(values, 1)[1][:, 0]


def _of_component(values: Any, chosen: Any, ops: ModuleType) -> Any:
    """Return the rows `[batch, latent]` of values `[batch, components, latent]` that `chosen` `[batch]` names."""
    mask = ops.one_hot(chosen, values.shape[1], dtype="float32")
    return ops.sum(ops.expand_dims(mask, -1) * values, axis=1)


def _pairs(parameters: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return what `log_densities` does, by a matrix product: the squares are multiplied out.

    float64 keeps what is left when their large terms cancel.
    """
    mixture = split_parameters(np.asarray(parameters, np.float32), candidates.shape[-1])
    log_weights, means, log_scales = (part.astype(np.float64) for part in mixture)
    precisions = np.exp(-2 * log_scales)
    constants = log_weights - (np.square(means) * precisions / 2 + log_scales + _LOG_TWO_PI / 2).sum(axis=-1)
    factors = np.concatenate([means * precisions, -precisions / 2], axis=-1)
    powers = np.concatenate([candidates, np.square(candidates)], axis=-1)
    # As one matrix: NumPy would multiply a stack of small ones one after the other.
    products = (factors.reshape(-1, factors.shape[-1]) @ powers.T).reshape(*constants.shape, len(candidates))
    products += constants[..., None]
    return arrays.logsumexp(products.astype(np.float32), axis=1)
