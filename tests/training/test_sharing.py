"""How devices share batches: every image once, in shares that differ by one image at most."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import BalancedPlan, EpochPlan
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training.sharing import own_rows, share_training, share_validation, shares
from kuzushiji_tf.training.workers import Team
from tests.making import random_dataset

AUGMENTATION = ImageAugmentation(rotation_range=20, noise=0.05, elastic=0.1)


@dataclass(frozen=True)
class Strategy:
    """As much of one of TensorFlow's as is asked for; what it is given to share comes back as it is."""

    num_replicas_in_sync: int

    def distribute_datasets_from_function(self, function):
        return function(None)


def team(index, workers, devices):
    return Team(Strategy(workers * devices), [f"GPU:{number}" for number in range(devices)], index, workers)


@pytest.mark.parametrize(("count", "parts"), [(32, 3), (8, 7), (7, 7), (100, 8)])
def test_shares_differ_by_one_image_at_most(count, parts):
    sizes = shares(count, parts)
    assert sizes.sum() == count and len(sizes) == parts
    assert sizes.min() >= 1 and sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("workers", "devices", "size"), [(2, 1, 25), (3, 2, 20), (4, 8, 47)])
def test_machines_make_each_row_of_a_batch_once_and_each_device_gets_its_share(workers, devices, size):
    teams = [team(index, workers, devices) for index in range(workers)]
    rows = [own_rows(one, size) for one in teams]
    np.testing.assert_array_equal(np.concatenate(rows), np.arange(size))
    given = []
    for one, own in zip(teams, rows, strict=True):
        batches = tf.data.Dataset.from_tensors(own).repeat()
        given += [part.numpy() for part in share_training(one, batches, size).take(devices)]
    assert [len(part) for part in given] == list(shares(size, workers * devices))
    np.testing.assert_array_equal(np.concatenate(given), np.arange(size))


@pytest.mark.parametrize(("workers", "devices", "count", "size"), [(1, 7, 40, 32), (2, 1, 41, 16), (2, 4, 9, 100)])
def test_every_device_gets_validation_images_in_every_step_and_each_image_once(workers, devices, count, size):
    seen, steps = [], None
    for index in range(workers):
        one = team(index, workers, devices)
        batches = tf.data.Dataset.range(count).batch(size)
        shared, steps = share_validation(one, batches, count, size)
        parts = [part.numpy() for part in shared]
        assert len(parts) == steps * devices
        assert min(map(len, parts)) >= 1
        seen += parts
    assert steps == -(-count // size)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(count))


def test_fewer_validation_images_than_devices_are_refused():
    with pytest.raises(UserError, match="3 validation images, and 4 devices"):
        share_validation(team(0, 2, 2), tf.data.Dataset.range(3).batch(3), 3, 3)


@pytest.mark.parametrize("balance", [0, 20])
def test_what_a_machine_makes_is_what_one_machine_makes_of_these_rows(balance):
    dataset = random_dataset(100)
    rows = BalancedPlan(dataset.labels, np.arange(100), balance, seed=1) if balance else np.arange(100)
    plan = EpochPlan(len(rows), 16, seed=5)
    whole = list(training_batches(dataset, rows, plan, Changes(AUGMENTATION)).take(7))
    own = np.array([5, 6, 7, 8])
    made = list(training_batches(dataset, rows, plan, Changes(AUGMENTATION, rows=own)).take(7))
    for (images, targets), (all_images, all_targets) in zip(made, whole, strict=True):
        np.testing.assert_allclose(images, all_images.numpy()[own], atol=1e-3)
        np.testing.assert_array_equal(targets, all_targets.numpy()[own])
