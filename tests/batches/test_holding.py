"""Images stand in memory once besides the data set's own, however large they are and whatever reads them."""

import gc
import subprocess
import sys

import numpy as np

from kuzushiji_tf.batches.holding import held
from kuzushiji_tf.batches.tf_datasets import as_tf_dataset
from tests.making import random_dataset

# In a process of its own: what earlier tests left may be given back in the middle of it.
MEASURE = """
import gc
from pathlib import Path
import numpy as np
from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.datasets import CharacterDataset
from tests.making import CHARACTERS, random_dataset

def memory():  # of this process, what lies in no file
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])

count = 100_000
images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
data = CharacterDataset("large", "train", images, np.zeros(count, np.int32), CHARACTERS, "", "")
next(iter(training_batches(random_dataset(20), np.arange(20), EpochPlan(20, 10, 0), Changes())))  # warms up
before = memory()
batches = iter(training_batches(data, np.arange(count), EpochPlan(count, 32, 0), Changes()))
next(batches)
print((memory() - before) / images.nbytes)
"""


def test_a_data_set_stands_in_memory_once_more_while_a_run_reads_it():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=200)
    assert 0.9 < float(done.stdout) < 1.5


def test_what_is_held_is_what_was_given():
    images = random_dataset(5000).images
    np.testing.assert_array_equal(held(images), images)


def test_batches_outlive_the_data_set_that_they_were_made_from():
    batches = iter(as_tf_dataset(random_dataset(300), batch_size=50).repeat(2))
    gc.collect()
    assert len(list(batches)) == 12
