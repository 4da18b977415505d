"""Images a second of this project's input pipeline beside Keras's own, in one run, alternating.

    python benchmarks/pipeline.py

Last line: JSON with `ratio_28` and `ratio_64` (ours / ImageDataGenerator's, same transforms, random pixels of that
size), `elastic_ratio_28` (ours / keras.layers.RandomElasticTransform, elastic alone), and `deterministic` (two runs
with different thread counts gave bit-identical batches). Each figure is the median of the repeats.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset

BATCH = 128
IMAGES = 8192
REPEATS = 7
SECONDS = 1.0
AFFINE = {"rotation_range": 10, "width_shift_range": 0.1, "height_shift_range": 0.1, "zoom_range": 0.1}


def random_dataset(size: int) -> CharacterDataset:
    """Return random pixels; what they show does not change the time."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, size, size), np.uint8)
    labels = random.integers(0, 10, IMAGES).astype(np.int32)
    return CharacterDataset("random", "train", images, labels, Labels(tuple("おきすつなはまやれを")), "", "")


def ours(dataset: CharacterDataset, augmentation: ImageAugmentation) -> tf.data.Dataset:
    """Return this project's training batches."""
    return training_batches(dataset, np.arange(IMAGES), EpochPlan(IMAGES, BATCH, 0), Changes(augmentation))


def legacy_generator(dataset: CharacterDataset) -> Iterator:
    """Return ImageDataGenerator's batches with the same ranges and fill."""
    generator = ImageDataGenerator(**AFFINE, fill_mode="constant", cval=0.0)
    return generator.flow(dataset.images[..., None].astype(np.float32), dataset.labels, batch_size=BATCH, seed=0)


def keras_elastic(dataset: CharacterDataset) -> tf.data.Dataset:
    """Return batches through Keras's elastic layer, batched and in parallel, as fast as it goes."""
    layer = keras.layers.RandomElasticTransform(factor=1.0, scale=1.0, seed=0)
    batches = tf.data.Dataset.from_tensor_slices(dataset.images[..., None]).repeat().batch(BATCH, drop_remainder=True)
    return batches.map(
        lambda images: layer(tf.cast(images, tf.float32), training=True), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)


def images_per_second(batches: Iterator) -> float:
    """Return the rate over about `SECONDS` of an iterator that is already warm."""
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        next(batches)
        count += BATCH
    return count / elapsed


def compare(makers: dict[str, Callable[[], Iterator]]) -> dict[str, float]:
    """Return the median rate of each, measured in turns."""
    rates = {name: [] for name in makers}
    for _ in range(REPEATS):
        for name, make in makers.items():
            # An iterator of its own for each turn: one that waits would go on filling its buffers in the others' time.
            batches = make()
            for _ in range(3):
                next(batches)
            rates[name].append(images_per_second(batches))
            del batches
    return {name: statistics.median(values) for name, values in rates.items()}


def is_deterministic() -> bool:
    """Return whether one and four threads give the same bits."""
    augmentation = ImageAugmentation(**AFFINE, elastic=0.1, cutout=8, noise=0.05, brightness_range=(0.7, 1.2))
    runs = []
    for threads in (1, 4):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        runs.append(ours(random_dataset(28), augmentation).take(80).with_options(options))
    return all(np.array_equal(a, b) and np.array_equal(x, y) for (a, x), (b, y) in zip(*runs, strict=True))


def main() -> None:
    """Measure, print the table and the JSON line."""
    result = {}
    print(f"{'transforms':24}{'pixels':>7}{'ours':>12}{'Keras':>12}{'ratio':>8}   images a second")
    for size in (28, 64):
        dataset = random_dataset(size)
        rates = compare(
            {
                "ours": lambda d=dataset: iter(ours(d, ImageAugmentation(**AFFINE))),
                "Keras": lambda d=dataset: legacy_generator(d),
            }
        )
        result[f"ratio_{size}"] = rates["ours"] / rates["Keras"]
        print_row("rotation, shifts, zoom", size, rates)
    dataset = random_dataset(28)
    rates = compare(
        {
            "ours": lambda: iter(ours(dataset, ImageAugmentation(elastic=0.1))),
            "Keras": lambda: iter(keras_elastic(dataset)),
        }
    )
    result["elastic_ratio_28"] = rates["ours"] / rates["Keras"]
    print_row("elastic", 28, rates)
    result["deterministic"] = is_deterministic()
    print(json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in result.items()}))


def print_row(name: str, size: int, rates: dict[str, float]) -> None:
    """Print one comparison."""
    print(f"{name:24}{size:>7}{rates['ours']:>12,.0f}{rates['Keras']:>12,.0f}{rates['ours'] / rates['Keras']:>8.1f}")


if __name__ == "__main__":
    main()
