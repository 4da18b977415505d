"""The images of a virtual balanced set: originals as they are, and copies whose changes the position alone decides."""

from collections.abc import Callable

import tensorflow as tf

from kuzushiji_tf.batches.augmentation import augment, normals, parameters_from_uniforms, uniform_columns
from kuzushiji_tf.batches.holding import held
from kuzushiji_tf.batches.sampling import BalancedPlan, position_uniforms
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset

BLOCK = 32  # images made at a time
_NOISE = 0.05  # standard deviation of the pixel noise of EfficientNet-KuzushijiKanji's copies, fraction of full scale
_PICTURE = 64  # pixels a side of its images


def copy_changes(augmentation: ImageAugmentation, image_size: tuple[int, int]) -> tuple[ImageAugmentation, float]:
    """Return how copies differ from their originals, and the standard deviation of their pixel noise (0..1).

    That is the user's augmentation, without further noise, or, where there is none, what EfficientNet-KuzushijiKanji
    does (src/images.py): alpha 1000 and sigma 30 at 64 x 64 pixels, here scaled with the image; rotation by up to 15
    degrees, scale 0.9 to 1.1, shift by up to 5 pixels, Gaussian noise of 5 %. Three differences on purpose: it turns
    the image about its corner, which pushes the character out of the picture, here it is the center; it mirrors ink
    that ends at an edge, here nothing comes in from outside; and here each axis has a scale of its own.
    """
    if augmentation != ImageAugmentation():
        return augmentation, 0.0
    size = max(image_size)
    source = ImageAugmentation(
        rotation_range=15,
        width_shift_range=5 / _PICTURE,
        height_shift_range=5 / _PICTURE,
        zoom_range=0.1,
        elastic_alpha=1000 * (size / _PICTURE) ** 2,  # the displacement, alpha / sigma, grows with the image
        elastic_sigma=30 * size / _PICTURE,
    )
    return source, _NOISE


def balanced_maker(
    dataset: CharacterDataset, plan: BalancedPlan, augmentation: ImageAugmentation
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Return the function positions int64 `[k]` -> the images there, their labels, and the rows they were made from.

    An image is the same whenever and beside whatever others it is made (on machines that round alike).

    Returns:
        uint8 `[k, h, w]`, int32 `[k]`, int64 `[k]`; k must be known when the function is traced.
    """
    images, labels = held(dataset.images), tf.constant(dataset.labels)
    changed = _changer(*copy_changes(augmentation, dataset.image_size), plan.seed, dataset.image_size)

    def make(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        rows, unchanged = plan.originals(positions)
        originals = tf.gather(images, rows)
        count = positions.shape[0]
        # Compiled code may add numbers up in another order for another shape, so all are made in blocks of one shape.
        spare = -count % BLOCK
        padded, numbers = tf.pad(originals, [[0, spare], [0, 0], [0, 0]]), tf.pad(positions, [[0, spare]])
        blocks = [changed(padded[at : at + BLOCK], numbers[at : at + BLOCK]) for at in range(0, count, BLOCK)]
        copies = tf.concat(blocks, axis=0)[:count]
        return tf.where(unchanged[:, None, None], originals, copies), tf.gather(labels, rows), rows

    return make


def _changer(
    augmentation: ImageAugmentation, noise: float, seed: int, image_size: tuple[int, int]
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the compiled function (uint8 `[BLOCK, h, w]`, positions) -> changed images, uint8 `[BLOCK, h, w]`."""
    height, width = image_size
    columns = uniform_columns(augmentation, image_size)
    pixels, first = height * width, 1 + columns  # `first` column of those that each pixel has

    @tf.function(jit_compile=True, autograph=False)
    def change(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        uniforms = position_uniforms(positions, seed, columns, 1)  # column 0 has chosen the original
        replaced = None
        if augmentation.noise:
            drawn = [position_uniforms(positions, seed, pixels, first + part * pixels) for part in (0, 1)]
            replaced = tf.reshape(tf.stack(drawn, axis=-1), (-1, height, width, 2))
        parameters = parameters_from_uniforms(augmentation, uniforms, image_size)
        return augment(augmentation, tf.cast(images, tf.float32)[..., None], parameters, replaced)[..., 0]

    # Apart from the first, since together they are compiled into one loop that repeats work, and takes a third longer.
    @tf.function(jit_compile=True, autograph=False)
    def finish(images: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        if noise:
            drawn = normals(position_uniforms(positions, seed, pixels, first + 2 * pixels))
            images += 255 * noise * tf.reshape(drawn, (-1, height, width))
        return tf.cast(tf.round(tf.clip_by_value(images, 0, 255)), tf.uint8)

    return lambda images, positions: finish(change(images, positions), positions)
