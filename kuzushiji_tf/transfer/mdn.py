"""A mixture density network (Bishop 1994) between two latent spaces: P(znew | zold) as a mixture of Gaussians.

A mixture's parameters are one vector: the components' logits, their means, and the logarithms of their scales, which
`split_parameters` holds within bounds. Every function here takes such vectors, a network's or `fit_unigram`'s.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.mixture import GaussianMixture

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import Seeds
from kuzushiji_tf.transfer.vae import LATENT, bounded, policy_of

COMPONENTS = 10
HIDDEN = 512  # units of each of the two hidden layers
LOG_SCALE_BOUND = 5.0  # scales stay within e^-5 .. e^5, as those of the autoencoder do

_LOG_TWO_PI = float(np.log(2 * np.pi))
_BLOCK = 2**22  # numbers of each of the handful of tables that `log_densities` holds at a time


def build_mdn(
    latent_in: int = LATENT,
    latent: int = LATENT,
    components: int = COMPONENTS,
    hidden: int = HIDDEN,
    dropout: float = 0.0,
    seed: int = 0,
    precision: str = "float32",
) -> keras.Model:
    """Return a new network: input `z`, float32 `[batch, latent_in]`; output float32 `[batch, parameters]`.

    Args:
        latent_in, latent: dimensions of the space it looks at, and of the one its mixtures lie in.
        components: Gaussians of a mixture; each has `1 + 2 * latent` parameters.
        hidden: units of each of the two hidden layers.
        dropout: share of the hidden units left out at random in training.
        seed: of the initial weights and of dropout.
        precision: of the hidden layers' arithmetic: float32, bfloat16 or float16.
    """
    seeds, policy = Seeds(seed), policy_of(precision)
    z = keras.Input((latent_in,), name="z")
    x = z
    for _ in range(2):
        x = layers.Dense(hidden, activation="relu", kernel_initializer=seeds.he_normal(), dtype=policy)(x)
        if dropout:
            x = layers.Dropout(dropout, seed=seeds.draw(), dtype=policy)(x)
    parameters = layers.Dense(
        components * (1 + 2 * latent), kernel_initializer=seeds.glorot_uniform(), dtype="float32", name="parameters"
    )(x)
    return keras.Model(z, parameters, name="mdn")


def compile_mdn(
    mdn: keras.Model, learning_rate: Any = 1e-3, weight_decay: float = 0.0, clip_norm: float = 10.0, jit: bool = False
) -> keras.Model:
    """Compile a network of `build_mdn` for batches (zold, znew) with the negative log-likelihood; returns it.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: of the kernels, decoupled from the gradient (Loshchilov and Hutter 2019).
        clip_norm: the whole gradient's greatest length; a far-away point under a narrow component would give more.
        jit: compile the step with XLA.
    """
    optimizer = keras.optimizers.Adam(learning_rate, weight_decay=weight_decay or None, global_clipnorm=clip_norm)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    mdn.compile(optimizer=optimizer, loss=MixtureLoss(), jit_compile=jit)
    return mdn


def split_parameters(parameters: Any, latent: int) -> tuple[Any, Any, Any]:
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
    return ops.log_softmax(parameters[..., :components], axis=-1), means, bounded(log_scales, LOG_SCALE_BOUND)


def log_density(parameters: Any, z: Any) -> Any:
    """Return the log density `[batch]` of each mixture at its own point `[batch, latent]`; one mixture serves all."""
    mixture = split_parameters(parameters, z.shape[-1])
    return ops.logsumexp(_log_joint(mixture, ops.expand_dims(z, 1)), axis=-1)[:, 0]


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


def sample(parameters: Any, uniforms: Any, normals: Any, temperature: float = 1.0) -> Any:
    """Return a point `[batch, latent]` of each mixture, made from the numbers of `draw_noise`.

    Args:
        temperature: divides the components' logits and multiplies their variances (Ha and Eck 2017, section 3.2); at 0
            it is the mean of the component with the greatest weight.

    Raises:
        UserError: the temperature is below 0.
    """
    if temperature < 0:
        raise UserError(f"A temperature of {temperature} cannot be sampled at: give 0 or more.")
    log_weights, means, log_scales = split_parameters(parameters, normals.shape[-1])
    components = means.shape[1]
    if temperature:
        cumulative = ops.cumsum(ops.softmax(log_weights / temperature, axis=-1), axis=-1)
        # The last component takes what rounding leaves above the sum of all.
        passed = ops.greater_equal(ops.expand_dims(uniforms, -1), cumulative[:, : components - 1])
        chosen = ops.sum(ops.cast(passed, "int32"), axis=-1)
    else:
        chosen = _greatest(log_weights)
    scale = float(np.sqrt(temperature)) * ops.exp(_of_component(log_scales, chosen))
    return _of_component(means, chosen) + scale * normals


def mode(parameters: Any, latent: int) -> Any:
    """Return about the likeliest point `[batch, latent]` of each mixture.

    It is the mean of the component at whose mean the whole mixture is densest; the true maximum lies near it, and in
    it where components do not overlap.
    """
    mixture = split_parameters(parameters, latent)
    densities = ops.logsumexp(_log_joint(mixture, mixture[1]), axis=-1)
    return _of_component(mixture[1], _greatest(densities))


def fit_unigram(z: np.ndarray, components: int = COMPONENTS, seed: int = 0) -> np.ndarray:
    """Return the parameters float32 `[1, components * (1 + 2 * latent)]` of one mixture fitted to points by EM.

    The baseline that a network which looks at something should beat.

    Args:
        z: points float32 `[n, latent]`.
        seed: of the initial components.

    Raises:
        UserError: fewer points than components.
    """
    if len(z) < components:
        raise UserError(f"{len(z)} points are too few for a mixture of {components} components: give more points.")
    smallest = np.exp(-2 * LOG_SCALE_BOUND)
    fitted = GaussianMixture(components, covariance_type="diag", reg_covar=smallest, max_iter=1000, random_state=seed)
    fitted.fit(np.asarray(z, np.float64))
    share = np.log(fitted.covariances_) / (2 * LOG_SCALE_BOUND)
    log_scales = LOG_SCALE_BOUND * np.arctanh(np.clip(share, -0.999, 0.999))
    parts = np.log(fitted.weights_), fitted.means_, log_scales
    return np.concatenate([part.ravel() for part in parts])[None].astype(np.float32)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class MixtureLoss(keras.losses.Loss):
    """The negative log-likelihood: `y_true` holds points `[batch, latent]`, `y_pred` the mixtures' parameters."""

    def __init__(self, **knobs):
        super().__init__(**({"name": "negative_log_likelihood"} | knobs))

    def call(self, y_true, y_pred):
        """Return the loss of each point, in nats, `[batch]`."""
        return -log_density(y_pred, y_true)


def _log_joint(mixture: tuple[Any, Any, Any], points: Any) -> Any:
    """Return the log of weight times density of each component at points `[batch, n, latent]`: `[batch, n, k]`."""
    log_weights, means, log_scales = (ops.expand_dims(part, 1) for part in mixture)
    distances = (ops.expand_dims(points, 2) - means) * ops.exp(-log_scales)
    return log_weights - ops.sum(ops.square(distances) / 2 + log_scales + _LOG_TWO_PI / 2, axis=-1)


def _greatest(values: Any) -> Any:
    """Return the place `[batch]` of the greatest of values `[batch, n]`.

    `ops.argmax` looks at the sign of zero by an operator that LiteRT lacks.
    """
    return ops.top_k(values, 1)[1][:, 0]


def _of_component(values: Any, chosen: Any) -> Any:
    """Return the rows `[batch, latent]` of values `[batch, components, latent]` that `chosen` `[batch]` names."""
    mask = ops.one_hot(chosen, values.shape[1], dtype=values.dtype)
    return ops.sum(ops.expand_dims(mask, -1) * values, axis=1)


def _pairs(parameters: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return what `log_densities` does, by a matrix product: the squares are multiplied out.

    float64 keeps what is left when their large terms cancel.
    """
    mixture = split_parameters(np.asarray(parameters, np.float32), candidates.shape[-1])
    log_weights, means, log_scales = (np.asarray(part, np.float64) for part in mixture)
    precisions = np.exp(-2 * log_scales)
    constants = log_weights - (np.square(means) * precisions / 2 + log_scales + _LOG_TWO_PI / 2).sum(axis=-1)
    factors = np.concatenate([means * precisions, -precisions / 2], axis=-1)
    powers = np.concatenate([candidates, np.square(candidates)], axis=-1)
    # As one matrix: NumPy would multiply a stack of small ones one after the other.
    products = (factors.reshape(-1, factors.shape[-1]) @ powers.T).reshape(*constants.shape, len(candidates))
    products += constants[..., None]
    return ops.convert_to_numpy(ops.logsumexp(products.astype(np.float32), axis=1))
