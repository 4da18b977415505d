"""An epoch is a permutation, a different one each time, and it has no pattern."""

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.sampling import EpochPlan


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
