"""A data set -> tf.data batches; a training batch is a pure function of (seed, epoch, step)."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kuzushiji_tf.augmentation import UNIFORM_COLUMNS, augment, parameters_from_uniforms
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.sampling import EpochPlan


def training_batches(
    dataset: CharacterDataset,
    rows: np.ndarray,
    plan: EpochPlan,
    augmentation: ImageAugmentation,
    start_step: int = 0,
    parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Return endless batches of augmented images and one-hot labels.

    The batch at a place depends on nothing but the plan's seed and the place: starting later, or with another number
    of threads, gives bit-identical batches.

    Args:
        rows: the data set's rows to train on, int `[plan.count]`.
        start_step: steps (over all epochs) to leave out, at no cost.
        parallel_calls: batches prepared at the same time.

    Returns:
        (`images` float32 `[step_size, h, w, 1]` 0..255, `targets` float32 `[step_size, classes]`) without end.
    """
    images, labels = tf.constant(dataset.images), tf.constant(dataset.labels)
    rows = tf.constant(rows, tf.int64)
    classes = len(dataset.classes)
    shape = (plan.step_size, *dataset.image_size, 1)
    change = _augmenter(augmentation, plan, shape)

    def make_batch(global_step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, step = global_step // plan.steps_per_epoch, global_step % plan.steps_per_epoch
        chosen = tf.gather(rows, plan.positions(epoch, step))
        batch = tf.cast(tf.gather(images, chosen), tf.float32)[..., None]
        return change(tf.ensure_shape(batch, shape), epoch, step), tf.one_hot(tf.gather(labels, chosen), classes)

    steps = tf.data.Dataset.counter(start_step)
    return steps.map(make_batch, num_parallel_calls=parallel_calls, deterministic=True).prefetch(tf.data.AUTOTUNE)


def ordered_batches(dataset: CharacterDataset, rows: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return the given rows once, in order and unchanged, in batches as `training_batches` gives them."""
    images, labels = tf.constant(dataset.images), tf.constant(dataset.labels)
    classes = len(dataset.classes)

    def fetch(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.cast(tf.gather(images, chosen), tf.float32)[..., None]
        return tf.ensure_shape(batch, (None, *dataset.image_size, 1)), tf.one_hot(tf.gather(labels, chosen), classes)

    chosen = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64)).batch(batch_size)
    return chosen.map(fetch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _augmenter(augmentation: ImageAugmentation, plan: EpochPlan, shape: tuple[int, ...]) -> Callable:
    """Return the function (images `shape`, epoch, step) -> augmented images."""
    if augmentation == ImageAugmentation():
        return lambda images, epoch, step: images

    # Compiled, the arithmetic is one pass over the pixels instead of some thirty.
    @tf.function(jit_compile=True, autograph=False)
    def change(images: tf.Tensor, uniforms: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
        parameters = parameters_from_uniforms(augmentation, uniforms, shape[1:3])
        return augment(augmentation, images, parameters, noise)

    def draw_and_change(images: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(fold_in(tf.constant([plan.seed, 0xA06], tf.int64), epoch), step)
        uniforms = tf.random.stateless_uniform((shape[0], UNIFORM_COLUMNS), seed)
        noise = tf.random.stateless_uniform((*shape[:3], 2), fold_in(seed, 1)) if augmentation.noise else None
        return change(images, uniforms, noise)

    return draw_and_change
