"""Images stand in memory once besides the data set's own, however large they are and whatever reads them."""

import gc
from pathlib import Path

import numpy as np

from kuzushiji_tf.batches.holding import held
from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.batches.tf_datasets import as_tf_dataset
from kuzushiji_tf.datasets import CharacterDataset
from tests.making import CHARACTERS, random_dataset

COUNT = 100_000
SIZE = COUNT * 28 * 28 / 2**20  # MiB


def memory() -> float:
    """MiB of this process that lie in no file."""
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


def test_a_data_set_stands_in_memory_once_more_while_a_run_reads_it():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), np.uint8)
    labels = np.zeros(COUNT, np.int32)
    data = CharacterDataset("large", "train", images, labels, CHARACTERS, "", "")
    next(iter(training_batches(random_dataset(20), np.arange(20), EpochPlan(20, 10, 0), Changes())))  # warms up
    before = memory()
    batches = iter(training_batches(data, np.arange(COUNT), EpochPlan(COUNT, 32, 0), Changes()))
    next(batches)
    assert SIZE * 0.9 < memory() - before < SIZE * 1.5


def test_what_is_held_is_what_was_given():
    images = random_dataset(5000).images
    np.testing.assert_array_equal(held(images), images)


def test_batches_outlive_the_data_set_that_they_were_made_from():
    batches = iter(as_tf_dataset(random_dataset(300), batch_size=50).repeat(2))
    gc.collect()
    assert len(list(batches)) == 12
