"""Mixing pairs of training images: input mixup, CutMix, and the shares that manifold mixup takes.

Pairs are neighbors in the batch (0 with 1, 2 with 3, ...), whose order is random already. So a batch may be split over
devices, and its targets are mixed here while hidden layers are mixed there (`models.mixing`). As in the reference code
of each method, one share (and one layer, one box) is drawn a step.
"""

from collections.abc import Callable

import tensorflow as tf

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.mixing import swapped

_fold_in = tf.random.experimental.stateless_fold_in


def make_mixer(config: TrainingConfig, layers: int, step_size: int, devices: int) -> Callable[..., tuple] | None:
    """Return the `mixer` of a run, or None where nothing is mixed.

    Args:
        layers: that manifold mixup chooses from: the input and the mixable ones (`models.mixing.count_mixable`).
        step_size: images of a step, over all devices.
        devices: that share them.

    Raises:
        UserError: a device would not get whole pairs.
    """
    if config.mixing == "none":
        return None
    if step_size % (2 * devices):
        raise UserError(
            f"mixing = {config.mixing} mixes pairs of images, but a step has {step_size} of them on {devices} "
            f"device{'s' * (devices > 1)}: choose a --batch-size that is a multiple of {2 * devices}."
        )
    return mixer(config.mixing, config.mixing_alpha, layers, config.seed)


def mixer(kind: str, alpha: float, layers: int, seed: int) -> Callable[..., tuple]:
    """Return the function (images `[n, h, w, 1]`, targets `[n, classes]`, step, is_plain) -> mixed batch; n is even.

    The share of an image itself is drawn from Beta(alpha, alpha) by (seed, step); where `is_plain` is true it is 1.

    Args:
        kind: `input` (Zhang et al. 2018), `cutmix` (Yun et al. 2019) or `manifold` (Verma et al. 2019).
        alpha: of the Beta distribution.
        layers: of manifold mixup, as `make_mixer`.
        seed: of the run.

    Returns:
        A function that returns (images, targets); for `manifold` ({`image`, `shares`}, targets), where `shares`
        float32 `[n, layers]` has the drawn share in the column of a layer that is drawn uniformly, and 1 elsewhere.
    """

    def mix(images: tf.Tensor, targets: tf.Tensor, step: tf.Tensor, is_plain: tf.Tensor) -> tuple:
        key = _fold_in(tf.constant([seed, 0x317], tf.int64), step)
        share = tf.where(is_plain, 1.0, draw_share(alpha, key))
        if kind == "manifold":
            layer = tf.random.stateless_uniform((), _fold_in(key, 2), maxval=layers, dtype=tf.int32)
            row = tf.where(tf.range(layers) == layer, share, 1.0)
            shares = tf.tile(row[None], (tf.shape(images)[0], 1))
            return {"image": images, "shares": shares}, _mixed(targets, share)
        if kind == "cutmix":
            kept = _outside_box(images.shape[1:3], share, _fold_in(key, 3))
            return tf.where(kept[None, ..., None], images, swapped(images)), _mixed(targets, _mean(kept))
        return _mixed(images, share), _mixed(targets, share)

    return mix


def draw_share(alpha: float, key: tf.Tensor) -> tf.Tensor:
    """Return a number from Beta(alpha, alpha), float32 scalar, by a stateless seed int64 `[2]`."""
    first, second = (tf.random.stateless_gamma((), _fold_in(key, number), alpha) for number in (0, 1))
    # For tiny alpha both can underflow to 0; then the image stays as it is.
    return tf.where(first + second > 0, tf.math.divide_no_nan(first, first + second), 1.0)


def _mixed(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share * values + (1 - share) * swapped(values)


def _outside_box(image_size: tuple[int, int], share: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Return bool `[h, w]`, False in a box of (1 - share) of the area around a random point, cut off at the border."""
    side = tf.sqrt(1 - share)
    inside = tf.constant(True)
    center = tf.random.stateless_uniform((2,), key)
    for axis, length in enumerate(image_size):
        distance = tf.abs(tf.range(length, dtype=tf.float32) + 0.5 - center[axis] * length)
        along = distance < side * length / 2
        inside &= along[:, None] if axis == 0 else along[None]
    return ~inside


def _mean(kept: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(kept, tf.float32))
