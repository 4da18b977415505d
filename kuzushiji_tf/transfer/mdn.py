"""A mixture density network (Bishop 1994) between two latent spaces: P(znew | zold) as a mixture of Gaussians.

The network's output is a mixture's parameters, as `gaussians` takes them apart; so is what `fit_unigram` returns.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.mixture import GaussianMixture

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import Seeds
from kuzushiji_tf.transfer.config import Mixture
from kuzushiji_tf.transfer.gaussians import LATENT, LOG_SCALE_BOUND, log_density


def build_mdn(config: Mixture, latent: int = LATENT, seed: int = 0) -> keras.Model:
    """Return a new network: input `z`, float32 `[batch, latent]`; output float32 `[batch, parameters]`.

    Args:
        config: its components, each of which has `1 + 2 * latent` parameters, hidden units and dropout.
        latent: dimensions of the space that it looks at, and of the one that its mixtures lie in.
        seed: of the initial weights and of dropout.
    """
    seeds = Seeds(seed)
    z = keras.Input((latent,), name="z")
    x = z
    for _ in range(2):
        x = layers.Dense(config.hidden, activation="relu", kernel_initializer=seeds.he_normal())(x)
        if config.dropout:
            x = layers.Dropout(config.dropout, seed=seeds.draw())(x)
    parameters = layers.Dense(
        config.components * (1 + 2 * latent), kernel_initializer=seeds.glorot_uniform(), name="parameters"
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


def fit_unigram(z: np.ndarray, components: int, seed: int = 0) -> np.ndarray:
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

    def __init__(self, **kwargs):
        super().__init__(**({"name": "negative_log_likelihood"} | kwargs))

    def call(self, y_true, y_pred):
        """Return the loss of each point, in nats, `[batch]`."""
        return -log_density(y_pred, y_true, ops)
