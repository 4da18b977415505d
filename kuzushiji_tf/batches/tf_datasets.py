"""A data set for a training loop of one's own: plain batches of images and labels."""

import tensorflow as tf

from kuzushiji_tf.batches.holding import held
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.errors import UserError


def as_tf_dataset(
    dataset: CharacterDataset, batch_size: int = 128, shuffle_seed: int | None = None, one_hot: bool = False
) -> tf.data.Dataset:
    """Return the images and labels of a data set in batches, each once in a pass.

    Args:
        dataset: what `load_dataset` returns; its images are held in memory.
        batch_size: images of a batch; the last one may have fewer.
        shuffle_seed: None keeps the order; a number gives each pass another order, all of which the number decides
            (`model.fit(..., shuffle=False)` then keeps Keras from shuffling, and from warning that it does not).
        one_hot: whether labels are rows of zeros and a one, for losses that take probabilities.

    Returns:
        `tf.data.Dataset` of (`images` float32 `[b, height, width, 1]` 0..255, ink white; `labels` int32 `[b]`, or
        float32 `[b, classes]`).

    Raises:
        UserError: the batch size is below 1, or there is no image.
    """
    if batch_size < 1 or not len(dataset):
        problem = f"batch_size is {batch_size}; it must be at least 1" if len(dataset) else "there is no image"
        raise UserError(f"{dataset.name}: {problem}.")
    images, labels, classes = held(dataset.images), tf.constant(dataset.labels), len(dataset.classes)
    count = len(dataset)

    def fetch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.cast(tf.gather(images, rows), tf.float32)[..., None]
        chosen = tf.gather(labels, rows)
        return batch, tf.one_hot(chosen, classes) if one_hot else chosen

    if shuffle_seed is None:
        rows = tf.data.Dataset.range(count)
    else:
        plan = EpochPlan(count, batch_size=count, seed=shuffle_seed)
        # One number for each pass, which tf.data draws anew whenever the set is gone through again.
        passes = tf.data.Dataset.random(seed=shuffle_seed, rerandomize_each_iteration=True).take(1)
        rows = passes.flat_map(
            lambda number: tf.data.Dataset.from_tensor_slices(plan.positions(tf.cast(number % 2**31, tf.int32), 0))
        )
    batches = rows.batch(batch_size).apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    return batches.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
