"""A data set -> tf.data batches; a training batch is a pure function of the seed and its number."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kuzushiji_tf.batches.augmentation import augment, parameters_from_uniforms, uniform_columns
from kuzushiji_tf.batches.balancing import balanced_maker
from kuzushiji_tf.batches.holding import held
from kuzushiji_tf.batches.sampling import BalancedPlan, ClassSampling, EpochPlan
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset


@dataclass(frozen=True)
class Changes:
    """What is done to the images of training batches.

    Attributes:
        augmentation: of every image; of a virtual set's copies only, and always the same for each
            (`balancing.copy_changes`).
        plain_from: the step (over all epochs) from which on images are shown as they are; not for a virtual set.
        mix: what `mixup.mixer` returned; changes what a batch is as it says.
        rows: of each batch that are made, int `[n]`, where other machines make the others; None: all.
    """

    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)
    plain_from: int | None = None
    mix: Callable[..., tuple[Any, Any]] | None = None
    rows: np.ndarray | None = None

    def of_made(self, values: tf.Tensor) -> tf.Tensor:
        """Return what belongs to the rows that are made, of values `[step_size, ...]` of a whole batch."""
        return values if self.rows is None else tf.gather(values, self.rows)


class _Step(NamedTuple):
    """When a batch is shown: in which pass, at which of its steps, and whether images are then left as they are."""

    pass_number: tf.Tensor
    number: tf.Tensor
    is_plain: tf.Tensor


_Maker = Callable[[tf.Tensor, _Step], tuple[tf.Tensor, tf.Tensor]]  # positions -> images and their classes


def training_batches(
    dataset: CharacterDataset,
    rows: np.ndarray | ClassSampling | BalancedPlan,
    plan: EpochPlan,
    changes: Changes,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Return endless batches of augmented images and one-hot labels.

    The batch of a step depends on nothing but the plan's seed and the step: starting later, or with another number of
    threads, gives bit-identical batches.

    Args:
        dataset: the images.
        rows: what the plan's positions stand for: the data set's rows to train on, int `[plan.count]`, a sampling of
            them by class, or a virtual balanced set.
        plan: the order.
        changes: what is done to the images.
        start_step: steps (over all epochs) to leave out, at no cost.

    Returns:
        (`images` float32 `[step_size, h, w, 1]` 0..255, `targets` float32 `[step_size, classes]`) without end; of
        `changes.rows` alone, where these are given.
    """
    if isinstance(rows, BalancedPlan):
        make = _virtual_maker(dataset, rows, changes)
    else:
        make = _row_maker(dataset, rows, plan, changes)
    classes = len(dataset.classes)

    def make_batch(step: tf.Tensor) -> tuple[Any, tf.Tensor]:
        is_plain = tf.constant(False) if changes.plain_from is None else step >= changes.plain_from
        when = _Step(step // plan.steps_per_pass, step % plan.steps_per_pass, is_plain)
        positions = tf.ensure_shape(plan.positions(when.pass_number, when.number), plan.step_size)
        images, labels = make(changes.of_made(positions), when)
        targets = tf.one_hot(labels, classes)
        return (images, targets) if changes.mix is None else changes.mix(images, targets, step, is_plain)

    steps = tf.data.Dataset.counter(start_step)
    return steps.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _row_maker(
    dataset: CharacterDataset, rows: np.ndarray | ClassSampling, plan: EpochPlan, changes: Changes
) -> _Maker:
    """Return what makes batches of the rows at given positions, augmented anew in each pass."""
    images, labels = held(dataset.images), tf.constant(dataset.labels)
    rows_at = rows.rows if isinstance(rows, ClassSampling) else _gather_from(rows)
    change = _augmenter(changes, plan, dataset.image_size)

    def make(positions: tf.Tensor, when: _Step) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.ensure_shape(rows_at(positions, when.pass_number), positions.shape)
        batch = tf.cast(tf.gather(images, chosen), tf.float32)[..., None]
        if change is None:
            changed = batch
        elif changes.plain_from is None:
            changed = change(batch, when)
        else:
            changed = tf.cond(when.is_plain, lambda: batch, lambda: change(batch, when))
        return changed, tf.gather(labels, chosen)

    return make


def _gather_from(rows: np.ndarray) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    constant = tf.constant(rows, tf.int64)
    return lambda positions, _pass: tf.gather(constant, positions)


def _virtual_maker(dataset: CharacterDataset, balanced: BalancedPlan, changes: Changes) -> _Maker:
    """Return what makes batches of a virtual set's images at given positions; they are the same in every pass."""
    images_at = balanced_maker(dataset, balanced, changes.augmentation)

    def make(positions: tf.Tensor, _when: _Step) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels, _ = images_at(positions)
        return tf.cast(images, tf.float32)[..., None], labels

    return make


def _augmenter(
    changes: Changes, plan: EpochPlan, image_size: tuple[int, int]
) -> Callable[[tf.Tensor, _Step], tf.Tensor] | None:
    """Return what augments a step's images float32 `[n, h, w, 1]`; None where nothing is to be changed.

    What is drawn for an image depends on its place in the whole batch, whichever rows of it are made.
    """
    augmentation = changes.augmentation
    if augmentation == ImageAugmentation():
        return None
    columns = uniform_columns(augmentation, image_size)

    # Compiled, the arithmetic is one pass over the pixels instead of some thirty.
    @tf.function(jit_compile=True, autograph=False)
    def change(images: tf.Tensor, uniforms: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
        parameters = parameters_from_uniforms(augmentation, uniforms, image_size)
        return augment(augmentation, images, parameters, noise)

    def draw_and_change(images: tf.Tensor, when: _Step) -> tf.Tensor:
        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(fold_in(tf.constant([plan.seed, 0xA06], tf.int64), when.pass_number), when.number)
        uniforms = changes.of_made(tf.random.stateless_uniform((plan.step_size, columns), seed))
        noise = None
        if augmentation.noise:
            noise = changes.of_made(tf.random.stateless_uniform((plan.step_size, *image_size, 2), fold_in(seed, 1)))
        return change(images, uniforms, noise)

    return draw_and_change
