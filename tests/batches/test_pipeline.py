"""A batch is a pure function of the seed and its number."""

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import ClassSampling, EpochPlan
from kuzushiji_tf.config import ImageAugmentation
from tests.making import random_dataset

AUGMENTATION = ImageAugmentation(
    rotation_range=20,
    width_shift_range=0.1,
    height_shift_range=2,
    shear_range=10,
    zoom_range=0.2,
    brightness_range=(0.7, 1.2),
    elastic=0.1,
    cutout=4,
    noise=0.05,
)
EVERYTHING = Changes(AUGMENTATION)


def taken(batches, count):
    return [(images.numpy(), targets.numpy()) for images, targets in batches.take(count)]


def on_threads(batches, count):
    options = tf.data.Options()
    options.threading.private_threadpool_size = count
    return batches.with_options(options)


def assert_same(some, others):
    for (images, targets), (other_images, other_targets) in zip(some, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(targets, other_targets)


@pytest.mark.parametrize("changes", [Changes(), EVERYTHING], ids=["plain", "everything"])
def test_batches_do_not_depend_on_the_number_of_threads(changes):
    batches = training_batches(random_dataset(100), np.arange(100), EpochPlan(100, 16, seed=5), changes)
    one, many = (taken(on_threads(batches, count), 13) for count in (1, 4))
    assert_same(one, many)


def test_a_run_can_start_at_any_step():
    dataset, plan = random_dataset(100), EpochPlan(100, 16, seed=5)
    whole = taken(training_batches(dataset, np.arange(100), plan, EVERYTHING), 12)
    assert_same(taken(training_batches(dataset, np.arange(100), plan, EVERYTHING, start_step=7), 5), whole[7:])


@pytest.mark.parametrize("power", [0.5, 0.0])
def test_a_run_can_start_at_any_epoch_of_a_class_sampling(power):
    """A pass of 6 steps spans three epochs of 2 steps."""
    dataset, rows = random_dataset(130), np.arange(20, 120)
    plan, sampling = EpochPlan(100, 16, seed=5, epoch_images=40), ClassSampling(dataset.labels, rows, power, seed=5)
    assert (plan.steps_per_epoch, plan.steps_per_pass) == (2, 6)
    whole = taken(training_batches(dataset, sampling, plan, EVERYTHING), 14)
    for start in (2, 6, 10):
        again = ClassSampling(dataset.labels, rows, power, seed=5)
        assert_same(taken(training_batches(dataset, again, plan, EVERYTHING, start), 14 - start), whole[start:])


def test_shorter_epochs_show_the_same_batches():
    dataset, rows = random_dataset(100), np.arange(100)
    whole = taken(training_batches(dataset, rows, EpochPlan(100, 16, seed=5), EVERYTHING), 14)
    short = EpochPlan(100, 16, seed=5, epoch_images=48)
    assert_same(taken(training_batches(dataset, rows, short, EVERYTHING), 14), whole)


def test_an_epoch_shows_each_row_at_most_once_and_each_epoch_augments_anew():
    dataset = random_dataset(64)
    plan = EpochPlan(64, 16, seed=5)
    plain = taken(training_batches(dataset, np.arange(64), plan, Changes()), 4)
    seen = np.concatenate([images for images, _ in plain])[..., 0].astype(np.uint8)
    assert {image.tobytes() for image in seen} == {image.tobytes() for image in dataset.images}
    turned = taken(training_batches(dataset, np.arange(64), plan, Changes(ImageAugmentation(rotation_range=90))), 8)
    assert len({image.tobytes() for images, _ in turned for image in images}) == 128


def test_only_the_given_rows_are_used_with_their_own_labels():
    dataset = random_dataset(60)
    rows = np.arange(10, 40)
    label_of = {dataset.images[row].tobytes(): dataset.labels[row] for row in rows}
    for images, targets in taken(training_batches(dataset, rows, EpochPlan(30, 10, seed=0), Changes()), 6):
        for image, target in zip(images[..., 0].astype(np.uint8), targets, strict=True):
            assert label_of[image.tobytes()] == np.argmax(target)
            assert target.sum() == 1


def test_shapes_and_range_are_known_before_the_first_batch():
    batches = training_batches(random_dataset(60), np.arange(60), EpochPlan(60, 16, seed=0), EVERYTHING)
    images, targets = batches.element_spec
    assert images == tf.TensorSpec((16, 12, 12, 1), tf.float32)
    assert targets == tf.TensorSpec((16, 10), tf.float32)
    for images, _ in taken(batches, 3):
        assert images.min() >= 0 and images.max() <= 255


def test_the_last_steps_show_the_images_as_they_are():
    dataset, plan, rows = random_dataset(100), EpochPlan(100, 16, seed=5), np.arange(100)
    changed = taken(training_batches(dataset, rows, plan, EVERYTHING), 8)
    plain = taken(training_batches(dataset, rows, plan, Changes()), 8)
    assert_same(
        taken(training_batches(dataset, rows, plan, Changes(AUGMENTATION, plain_from=5)), 8), changed[:5] + plain[5:]
    )
