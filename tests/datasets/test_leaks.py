"""No original contributes to two splits: for every registered data set, combined or not, balanced or not.

Originals are told by content, not by file or row, so that near-duplicates that are equal pixel for pixel count as one.
"""

import numpy as np
import pytest

from kuzushiji_tf.batches.sampling import BalancedPlan
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.registry import LoadOptions, dataset_entries, locate
from kuzushiji_tf.datasets.splits import validation_rows

SPLIT_SETS = [name for name, entry in dataset_entries().items() if len(entry.splits) > 1]
LARGE = ("touch-joyo", "touch-all", "kmnist+kkanji")


def load_splits(name, options):
    """Return the splits by name, or skip where the files are not at hand."""
    if not all(locate(part, options.data_dir) for part in (name.split("+") if name not in SPLIT_SETS else [name])):
        pytest.skip(f"the files of {name} are missing")
    splits = dataset_entries()[name].splits if name in SPLIT_SETS else ("train", "test")
    return {split: load_dataset(name, split, options) for split in splits}


def assert_apart(named_keys):
    seen = {}
    for split, keys in named_keys.items():
        for other, others in seen.items():
            assert np.intersect1d(keys, others).size == 0, f"{split} and {other} share an original"
        seen[split] = keys


@pytest.mark.parametrize(
    "name",
    [name for name in SPLIT_SETS if name not in LARGE] + [pytest.param(name, marks=pytest.mark.slow) for name in LARGE],
)
def test_no_original_is_in_two_splits(name, data_dir):
    splits = load_splits(
        name, LoadOptions(data_dir, per_class=4 if name in LARGE else 30, image_size=28 if "+" in name else None)
    )
    keys = {split: content_keys(dataset.images) for split, dataset in splits.items()}
    train = splits["train"]
    training, validation = validation_rows(train, 0.05, 0)
    assert_apart(keys | {"train": keys["train"][training], "validation": keys["train"][validation]})


@pytest.mark.parametrize("name", ["kmnist", "kkanji"])
def test_copies_of_a_balanced_set_are_made_from_its_training_rows_only(name, data_dir):
    splits = load_splits(name, LoadOptions(data_dir))
    train = splits["train"]
    training, _ = validation_rows(train, 0.05, 0)
    plan = BalancedPlan(train.labels, training, 10_000, seed=3)
    positions = np.random.default_rng(0).integers(0, len(plan), 200_000)
    originals, _ = plan.originals(positions)
    originals = np.unique(originals)
    assert np.isin(originals, training).all() and len(originals) > 40_000
    keys = content_keys(train.images)
    outside = np.concatenate([np.delete(keys, training), content_keys(splits["test"].images)])
    assert np.intersect1d(keys[originals], outside).size == 0
