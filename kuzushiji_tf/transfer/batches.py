"""What each stage learns from, batch by batch: a batch is a pure function of the seed and its number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.transfer.gaussians import sample, sample_posterior
from kuzushiji_tf.transfer.sequences import SequenceTable
from kuzushiji_tf.transfer.sketch import previous_rows
from kuzushiji_tf.transfer.vae import vae_targets

_POOL = 8  # steps of drawings that are sorted by length together
_LENGTHS = 8  # a batch's length is a multiple of this, so that XLA compiles few of them
_POOLED = 0xB00  # sets the order within a pool apart from other draws
_DRAWS = 0xD4A  # sets what is drawn for a batch apart from its order

Batches = Callable[[int], tf.data.Dataset]  # from the number of the first step to endless batches


def image_batches(images: np.ndarray, rows: np.ndarray, plan: EpochPlan) -> Batches:
    """Return batches of some images, uint8 `[n, 64, 64]`, as an autoencoder is trained on them."""
    shown, chosen = tf.constant(images), tf.constant(rows)

    def make(positions: tf.Tensor, _seed: tf.Tensor) -> Any:
        return _as_vae_takes(tf.gather(shown, tf.gather(chosen, positions)))

    return _endless(plan, make)


def ordered_images(images: np.ndarray, rows: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return some images once, in order, in batches as `image_batches` gives them."""
    batches = tf.data.Dataset.from_tensor_slices(images[rows]).batch(batch_size)
    return batches.map(_as_vae_takes, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


@dataclass(frozen=True, eq=False)
class Posteriors:
    """What the encoders make of the images of both sides, and who is paired with whom.

    Attributes:
        old: of kuzushiji images that have a partner, float32 `[n, 2 * latent]`.
        partners: the place in `new` of each of them, int64 `[n]`.
        new: of modern images, float32 `[m, 2 * latent]`.
    """

    old: np.ndarray
    partners: np.ndarray
    new: np.ndarray


def latent_batches(posteriors: Posteriors, plan: EpochPlan) -> Batches:
    """Return batches (zold, znew) `[step_size, latent]` each, drawn anew from the posteriors in each pass."""
    given, wanted = tf.constant(posteriors.old), tf.constant(posteriors.new)
    character_of = tf.constant(posteriors.partners)

    def make(positions: tf.Tensor, seed: tf.Tensor) -> Any:
        normals = tf.random.stateless_normal((plan.step_size, posteriors.old.shape[1]), seed)
        normals_old, normals_new = tf.split(normals, 2, axis=1)
        z_new = sample_posterior(tf.gather(wanted, tf.gather(character_of, positions)), normals_new, ops)
        return sample_posterior(tf.gather(given, positions), normals_old, ops), z_new

    return _endless(plan, make)


class DrawingLatents:
    """What drawings are trained with: latent vectors (arXiv 1812.01718, algorithm 1), and the ink they stand for.

    Of a character that has kuzushiji images: what the MDN samples for one of them, chosen at random. Of any other, and
    of some of these too if asked: a sample from the posterior of its modern image.

    Args:
        mdn: the trained network, its weights on the processor, where batches are made.
        posteriors: of the images to train on.
        temperature: at which the MDN is sampled; 1 as published, less gives more often what is of the right character.
        encoded_share: chance of a character that has kuzushiji images to be written from its modern image all the same;
            0 as published.
        image_decoder: of modern images, its weights on the processor, for drawings that are written with the ink of
            their z in sight; None: without it.
    """

    def __init__(
        self,
        mdn: keras.Model,
        posteriors: Posteriors,
        temperature: float = 1.0,
        encoded_share: float = 0.0,
        image_decoder: keras.Model | None = None,
    ):
        order = np.argsort(posteriors.partners, kind="stable")
        counts = np.bincount(posteriors.partners, minlength=len(posteriors.new))
        self._mdn, self._image_decoder, self._latent = mdn, image_decoder, posteriors.new.shape[1] // 2
        self._temperature, self._encoded_share = temperature, encoded_share
        self._old, self._new = tf.constant(posteriors.old[order]), tf.constant(posteriors.new)
        self._counts, self._firsts = tf.constant(counts), tf.constant(np.cumsum(counts) - counts)

    def draw(self, characters: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Return a latent vector for each modern character, float32 `[batch, latent]`.

        Args:
            characters: of the characters, int64 `[batch]`.
            seed: of all that is drawn for them, int64 `[2]`.
        """
        batch = characters.shape[0]
        uniforms = tf.random.stateless_uniform((batch, 3), seed)
        normals = tf.random.stateless_normal(
            (batch, 2 * self._latent), tf.random.experimental.stateless_fold_in(seed, 1)
        )
        for_old, for_new = tf.split(normals, 2, axis=1)
        counts = tf.gather(self._counts, characters)
        number = tf.cast(uniforms[:, 0] * tf.cast(counts, tf.float32), tf.int64)
        # A character without images looks at the first of all; what comes of it is not used.
        image = tf.where(counts > 0, tf.gather(self._firsts, characters) + tf.minimum(number, counts - 1), 0)
        z_old = sample_posterior(tf.gather(self._old, image), for_old, ops)
        mixed = sample(self._mdn(z_old, training=False), uniforms[:, 1], for_new, self._temperature, ops)
        encoded = sample_posterior(tf.gather(self._new, characters), for_new, ops)
        from_mdn = (counts > 0) & (uniforms[:, 2] >= self._encoded_share)
        return tf.where(from_mdn[:, None], mixed, encoded)

    def with_ink(self, z: Any) -> dict[str, Any]:
        """Return what the decoder of drawings is given for latent vectors: `z`, and `ink` where it is in sight."""
        return {"z": z} if self._image_decoder is None else {"z": z, "ink": self._image_decoder(z, training=False)}


@dataclass(frozen=True)
class Variation:
    """How drawings differ from one pass to the next.

    Attributes:
        scaling: a drawing's width and height are each multiplied by a number from 1 - scaling to 1 + scaling.
        jitter: standard deviation of what is added to the points, in the unit of the table's offsets.
    """

    scaling: float = 0.0
    jitter: float = 0.0

    def of(self, drawings: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Return drawings, stroke-5 `[batch, t, 5]`, varied as the seed says."""
        fold_in, batch = tf.random.experimental.stateless_fold_in, drawings.shape[0]
        factors = 1 + self.scaling * tf.random.stateless_uniform((batch, 1, 2), fold_in(seed, 2), -1, 1)
        # Of the points: the offset after one that strays leads back to where the next should be.
        strayed = self.jitter * tf.random.stateless_normal((*drawings.shape[:2], 2), fold_in(seed, 3))
        noise = strayed - tf.pad(strayed[:, :-1], [[0, 0], [1, 0], [0, 0]])
        is_drawn = 1 - drawings[..., 4:]
        return tf.concat([is_drawn * (factors * drawings[..., :2] + noise), drawings[..., 2:]], axis=-1)


def drawing_batches(
    table: SequenceTable,
    characters: np.ndarray,
    latents: DrawingLatents,
    plan: EpochPlan,
    variation: Variation = Variation(),
) -> Batches:
    """Return batches ({z, previous}, rows) or ({z, previous, ink}, rows), as a Sketch-RNN decoder is trained on them.

    The drawings of a batch have similar lengths: those of some steps are sorted by it, then the batches shuffled. What
    is given to the decoder ends behind the longest, since what comes after every drawing's end teaches nothing
    (`sketch.SketchLoss`); `rows` are of the table's length.

    Args:
        table: the drawings.
        characters: the modern character of each, int64 `[n]`.
        latents: gives each its z, a new one in each pass.
        plan: the order of the drawings.
        variation: of the drawings.
    """
    rows, lengths, character_of = tf.constant(table.rows), tf.constant(table.lengths), tf.constant(characters)

    def make(positions: tf.Tensor, seed: tf.Tensor) -> Any:
        z = latents.draw(tf.gather(character_of, positions), seed)
        varied = variation.of(tf.gather(rows, positions), seed)
        longest = tf.reduce_max(tf.gather(lengths, positions)) + 1  # with one end
        previous = previous_rows(varied, ops)[:, : -(-longest // _LENGTHS) * _LENGTHS]
        return {**latents.with_ink(z), "previous": previous}, varied

    def of_similar_lengths(pass_number: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        first = step - step % _POOL
        steps = tf.minimum(first + _POOL, plan.steps_per_pass) - first
        pool = plan.positions(pass_number, first, steps)
        by_length = tf.gather(pool, tf.argsort(tf.gather(lengths, pool), stable=True))
        seed = tf.stack([plan.seed + _POOLED, pass_number * plan.steps_per_pass + first])
        order = tf.random.experimental.stateless_shuffle(tf.range(steps), seed)
        return tf.reshape(by_length, (steps, plan.step_size))[order[step - first]]

    return _endless(plan, make, of_similar_lengths)


def encode(encoder: keras.Model, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the posteriors float32 `[len(rows), 2 * latent]` of some of images uint8 `[n, 64, 64]`."""
    parts = np.array_split(rows, max(1, -(-len(rows) // 1000)))
    return np.concatenate([encoder.predict_on_batch(images[part][..., None].astype(np.float32)) for part in parts])


def draw_from(posteriors: np.ndarray, seed: int) -> np.ndarray:
    """Return one sample of each posterior `[n, 2 * latent]`: float32 `[n, latent]`."""
    shape = len(posteriors), posteriors.shape[1] // 2
    return sample_posterior(posteriors, np.random.default_rng(seed).standard_normal(shape, np.float32))


def _as_vae_takes(images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    batch = tf.cast(images, tf.float32)[..., None]
    return batch, vae_targets(batch)


def _endless(
    plan: EpochPlan,
    make: Callable[[tf.Tensor, tf.Tensor], Any],
    positions_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> Batches:
    """Return the batches that `make` makes of a step's positions and of a seed that no other step has.

    Args:
        positions_of: the pass's number and the step in it -> positions; None: the plan's own.
    """
    positions_of = positions_of or plan.positions

    def batch_at(number: tf.Tensor) -> Any:
        pass_number, step = number // plan.steps_per_pass, number % plan.steps_per_pass
        seed = tf.random.experimental.stateless_fold_in(tf.constant([plan.seed, _DRAWS], tf.int64), number)
        return make(tf.ensure_shape(positions_of(pass_number, step), plan.step_size), seed)

    def batches(start_step: int) -> tf.data.Dataset:
        steps = tf.data.Dataset.counter(start_step)
        return steps.map(batch_at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)

    return batches
