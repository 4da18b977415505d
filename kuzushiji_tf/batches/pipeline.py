"""A data set -> tf.data batches; a training batch is a pure function of the seed and its number."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kuzushiji_tf.batches.augmentation import augment, parameters_from_uniforms, uniform_columns
from kuzushiji_tf.batches.balancing import balanced_maker
from kuzushiji_tf.batches.sampling import BalancedPlan, ClassSampling, EpochPlan
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset


def training_batches(
    dataset: CharacterDataset,
    rows: np.ndarray | ClassSampling | BalancedPlan,
    plan: EpochPlan,
    augmentation: ImageAugmentation,
    start_step: int = 0,
    parallel_calls: int = tf.data.AUTOTUNE,
    plain_from: int | None = None,
    mix: Callable | None = None,
) -> tf.data.Dataset:
    """Return endless batches of augmented images and one-hot labels.

    The batch at a place depends on nothing but the plan's seed and the place: starting later, or with another number
    of threads, gives bit-identical batches.

    Args:
        rows: what the plan's positions stand for: the data set's rows to train on, int `[plan.count]`, a sampling of
            them by class, or a virtual balanced set.
        augmentation: of every image; of a virtual set's copies only, and always the same for each
            (`balancing.copy_changes`).
        start_step: steps (over all epochs) to leave out, at no cost.
        parallel_calls: batches prepared at the same time.
        plain_from: the step (over all epochs) from which on images are shown as they are; not for a virtual set.
        mix: what `mixup.mixer` returned; changes what a batch is as it says.

    Returns:
        (`images` float32 `[step_size, h, w, 1]` 0..255, `targets` float32 `[step_size, classes]`) without end.
    """
    if isinstance(rows, BalancedPlan):
        make = _virtual_maker(dataset, rows, plan, augmentation)
    else:
        make = _row_maker(dataset, rows, plan, augmentation, plain_from)

    def make_batch(global_step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        turn, step = global_step // plan.steps_per_pass, global_step % plan.steps_per_pass
        images, targets = make(plan.positions(turn, step), turn, step)
        if mix is None:
            return images, targets
        return mix(
            images, targets, global_step, tf.constant(False) if plain_from is None else global_step >= plain_from
        )

    steps = tf.data.Dataset.counter(start_step)
    return steps.map(make_batch, num_parallel_calls=parallel_calls, deterministic=True).prefetch(tf.data.AUTOTUNE)


def ordered_batches(dataset: CharacterDataset, rows: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return the given rows once, in order and unchanged, in batches as `training_batches` gives them."""
    images, labels = tf.constant(dataset.images[rows]), tf.constant(dataset.labels[rows])
    classes = len(dataset.classes)

    def fetch(places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.cast(tf.gather(images, places), tf.float32)[..., None]
        return tf.ensure_shape(batch, (None, *dataset.image_size, 1)), tf.one_hot(tf.gather(labels, places), classes)

    places = tf.data.Dataset.range(len(rows)).batch(batch_size)
    return places.map(fetch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _row_maker(
    dataset: CharacterDataset,
    rows: np.ndarray | ClassSampling,
    plan: EpochPlan,
    augmentation: ImageAugmentation,
    plain_from: int | None,
) -> Callable:
    """Return the function (positions, pass, step) -> batch of the rows there, augmented anew in each pass."""
    images, labels = tf.constant(dataset.images), tf.constant(dataset.labels)
    rows_at = rows.rows if isinstance(rows, ClassSampling) else _in_turn(rows)
    classes = len(dataset.classes)
    shape = (plan.step_size, *dataset.image_size, 1)
    change = _augmenter(augmentation, plan, shape)

    def change_until_plain(batch: tf.Tensor, turn: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        if plain_from is None:
            return change(batch, turn, step)
        is_plain = turn * plan.steps_per_pass + step >= plain_from
        return tf.cond(is_plain, lambda: batch, lambda: change(batch, turn, step))

    def make(positions: tf.Tensor, turn: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = rows_at(positions, turn)
        batch = tf.cast(tf.gather(images, chosen), tf.float32)[..., None]
        return (
            change_until_plain(tf.ensure_shape(batch, shape), turn, step),
            tf.one_hot(tf.gather(labels, chosen), classes),
        )

    return make


def _in_turn(rows: np.ndarray) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    rows = tf.constant(rows, tf.int64)
    return lambda positions, turn: tf.gather(rows, positions)


def _virtual_maker(
    dataset: CharacterDataset, balanced: BalancedPlan, plan: EpochPlan, augmentation: ImageAugmentation
) -> Callable:
    """Return the function (positions, pass, step) -> batch of the virtual set's images there."""
    images_at = balanced_maker(dataset, balanced, augmentation)
    classes = len(dataset.classes)

    def make(positions: tf.Tensor, turn: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels, _ = images_at(tf.ensure_shape(positions, plan.step_size))
        return tf.cast(images, tf.float32)[..., None], tf.one_hot(labels, classes)

    return make


def _augmenter(augmentation: ImageAugmentation, plan: EpochPlan, shape: tuple[int, ...]) -> Callable:
    """Return the function (images `shape`, pass, step) -> augmented images."""
    if augmentation == ImageAugmentation():
        return lambda images, turn, step: images
    columns = uniform_columns(augmentation, shape[1:3])

    # Compiled, the arithmetic is one pass over the pixels instead of some thirty.
    @tf.function(jit_compile=True, autograph=False)
    def change(images: tf.Tensor, uniforms: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
        parameters = parameters_from_uniforms(augmentation, uniforms, shape[1:3])
        return augment(augmentation, images, parameters, noise)

    def draw_and_change(images: tf.Tensor, turn: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(fold_in(tf.constant([plan.seed, 0xA06], tf.int64), turn), step)
        uniforms = tf.random.stateless_uniform((shape[0], columns), seed)
        noise = tf.random.stateless_uniform((*shape[:3], 2), fold_in(seed, 1)) if augmentation.noise else None
        return change(images, uniforms, noise)

    return draw_and_change
