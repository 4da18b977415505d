"""A pass is a permutation, a different one each time, without a pattern; classes get the shares they were promised."""

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.batches.sampling import ClassSampling, EpochPlan, shares


def epoch_of(plan, epoch):
    return np.concatenate([plan.positions(epoch, step).numpy() for step in range(plan.steps_per_epoch)])


@pytest.mark.parametrize("count, batch_size", [(1000, 100), (1000, 64), (7, 128), (1, 1)])
def test_an_epoch_takes_no_position_twice(count, batch_size):
    positions = epoch_of(EpochPlan(count, batch_size, seed=3), epoch=2)
    assert len(set(positions.tolist())) == len(positions)
    assert count - len(positions) < batch_size
    assert positions.min() >= 0 and positions.max() < count


def test_epochs_and_seeds_differ_and_repeat():
    plan = EpochPlan(1000, 100, seed=3)
    np.testing.assert_array_equal(epoch_of(plan, 5), epoch_of(plan, 5))
    assert np.mean(epoch_of(plan, 5) == epoch_of(plan, 6)) < 0.02
    assert np.mean(epoch_of(plan, 5) == epoch_of(EpochPlan(1000, 100, seed=4), 5)) < 0.02


@pytest.mark.parametrize("count", [60_000, 38_000_000])
def test_the_order_is_uncorrelated(count):
    """With the op's default of 4 rounds the correlation at lag 2 reached 0.3."""
    for seed in range(5):
        order = EpochPlan(count, 60_000, seed).positions(1, 0).numpy().astype(np.float64)
        for lag in (1, 2, 3, 64):
            assert abs(np.corrcoef(order[:-lag], order[lag:])[0, 1]) < 0.025  # 6 standard errors
        assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.025


def test_every_position_comes_early_and_late_alike():
    plan = EpochPlan(50, 50, seed=0)
    places = np.zeros((50, 50))
    for epoch in range(400):
        places[plan.positions(epoch, 0).numpy(), np.arange(50)] += 1
    chi_square = ((places - 8) ** 2 / 8).sum()
    degrees = 49 * 49
    assert abs(chi_square - degrees) < 6 * np.sqrt(2 * degrees)


def test_positions_work_in_a_graph():
    plan = EpochPlan(100, 10, seed=1)
    traced = tf.function(plan.positions)
    np.testing.assert_array_equal(traced(tf.constant(2), tf.constant(3)), plan.positions(2, 3))


def test_an_epoch_ends_after_the_images_it_was_given():
    assert EpochPlan(1000, 64, seed=0).steps_per_epoch == 15
    assert EpochPlan(1000, 64, seed=0, epoch_images=200).steps_per_epoch == 3
    assert EpochPlan(1000, 64, seed=0, epoch_images=10).steps_per_epoch == 1
    assert EpochPlan(1000, 64, seed=0, epoch_images=5000).steps_per_epoch == 78
    assert EpochPlan(1000, 64, seed=0, epoch_images=200).steps_per_pass == 15
    assert EpochPlan(1000, 64, seed=0, steps_per_execution=4).steps_per_epoch == 12
    assert EpochPlan(1000, 64, seed=0, steps_per_execution=40).steps_per_epoch == 40


@pytest.mark.parametrize(
    "numbers, power, expected",
    [
        ([100, 25, 4, 1], 1.0, [100, 25, 4, 1]),
        ([100, 25, 4, 1], 0.5, [72, 36, 15, 7]),  # 130 positions by 10 : 5 : 2 : 1
        ([100, 25, 4, 1], 0.0, [33, 33, 32, 32]),
        ([1, 1, 1], 0.5, [1, 1, 1]),
        ([7], 0.0, [7]),
    ],
)
def test_shares_follow_the_power_by_largest_remainder(numbers, power, expected):
    np.testing.assert_array_equal(shares(np.array(numbers), power), expected)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_every_class_keeps_a_share_however_rare(power):
    numbers = np.r_[1766, np.ones(815, np.int64), np.random.default_rng(0).integers(1, 300, 3000)]
    found = shares(numbers, power)
    assert found.sum() == numbers.sum() and found.min() >= 1


def unbalanced():
    """Labels of 100, 25, 4, 0 and 1 images in mixed order, and all rows but a few of the largest class."""
    labels = np.repeat([0, 1, 2, 4], [103, 25, 4, 1]).astype(np.int32)
    labels = np.random.default_rng(1).permutation(labels)
    return labels, np.delete(np.arange(len(labels)), np.flatnonzero(labels == 0)[:3])


def passes(sampling, number):
    positions = tf.range(len(sampling), dtype=tf.int64)
    return np.stack([sampling.rows(positions, turn).numpy() for turn in range(number)])


def test_each_pass_gives_each_class_its_share_of_its_own_rows():
    labels, rows = unbalanced()
    for taken in passes(ClassSampling(labels, rows, 0.5, seed=3), 4):
        np.testing.assert_array_equal(np.bincount(labels[taken]), [72, 36, 15, 0, 7])
        assert set(taken) <= set(rows)


def test_rows_of_a_class_take_turns_from_pass_to_pass():
    """After any number of passes no row of a class has been shown two times more often than another."""
    labels, rows = unbalanced()
    taken = passes(ClassSampling(labels, rows, 0.0, seed=3), 7)
    for number in (1, 2, 3, 7):
        times = np.bincount(taken[:number].ravel(), minlength=len(labels))
        for label in (0, 1, 2, 4):
            shown = times[rows[labels[rows] == label]]
            assert shown.max() - shown.min() <= 1
    assert times[rows].min() >= 1  # 7 passes of 33 show all of the 100


def test_the_order_within_a_class_comes_from_the_seed():
    labels, rows = unbalanced()
    first, again, other = (passes(ClassSampling(labels, rows, 0.0, seed), 1) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first[:, :33] == other[:, :33]) < 0.2  # of the class of 100; the class of one cannot differ


def test_the_class_that_is_refused_keeps_its_share_whatever_the_power():
    labels = np.repeat([0, 1, 2], [10, 90, 50])
    sampling = ClassSampling(labels, np.arange(150), 0.0, seed=1, last_as_it_is=True)
    assert sampling.shares.tolist() == [50, 50, 50]
    labels = np.repeat([0, 1, 2], [10, 90, 20])
    assert ClassSampling(labels, np.arange(120), 0.5, seed=1, last_as_it_is=True).shares.tolist() == [25, 75, 20]


def test_natural_power_takes_every_row_once_a_pass():
    labels, rows = unbalanced()
    for taken in passes(ClassSampling(labels, rows, 1.0, seed=0), 2):
        np.testing.assert_array_equal(np.sort(taken), rows)
