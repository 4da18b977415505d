"""A virtual balanced set: each class alike, originals first, every image a function of its position alone."""

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.batches import balancing
from kuzushiji_tf.batches.balancing import balanced_maker, copy_changes
from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import BalancedPlan, EpochPlan, position_uniforms
from kuzushiji_tf.config import ImageAugmentation
from tests.making import random_dataset

PLAIN = ImageAugmentation()
TURNED = ImageAugmentation(rotation_range=20, zoom_range=0.2, elastic=0.1, noise=0.05, elastic_alpha=20.0)
LARGE = 38_320_000


def uniforms(positions, seed=0, columns=64, first=0):
    return position_uniforms(tf.constant(positions, tf.int64), seed, columns, first).numpy()


def made(maker, positions):
    return [part.numpy() for part in maker(tf.constant(positions, tf.int64))]


@pytest.fixture(scope="module")
def small():
    dataset = random_dataset(120)
    rows = np.flatnonzero(dataset.labels != 4)[5:]
    return dataset, rows, BalancedPlan(dataset.labels, rows, 30, seed=3)


@pytest.mark.parametrize("positions", [range(2000), range(LARGE, LARGE + 2000), range(2**31 - 1000, 2**31 + 1000)])
def test_uniforms_are_uniform(positions):
    table = uniforms(positions)
    assert table.min() >= 0 and table.max() < 1
    error = 1 / np.sqrt(table.size)
    assert abs(table.mean() - 0.5) < 5 * np.sqrt(1 / 12) * error
    assert abs(table.var() - 1 / 12) < 5 * np.sqrt(1 / 180) * error
    counts = np.histogram(table, 256, (0, 1))[0]
    chi_square = ((counts - table.size / 256) ** 2 / (table.size / 256)).sum()
    assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize("lag", [1, 2, 4096, 10_000])
def test_neighboring_positions_and_columns_are_unrelated(lag):
    table = uniforms(np.arange(3000)) - 0.5
    limit = 5 / np.sqrt(table.size) / 12
    assert abs((table * (uniforms(np.arange(3000) + lag) - 0.5)).mean()) < limit
    assert abs((table * (uniforms(np.arange(3000), first=lag) - 0.5)).mean()) < limit
    assert abs((table * (uniforms(np.arange(3000), seed=lag) - 0.5)).mean()) < limit
    # Pairs of neighbors fill the square evenly: 16 x 16 fields.
    pairs = np.histogram2d(table[:-1].ravel(), table[1:].ravel(), 16)[0]
    assert abs(((pairs - pairs.mean()) ** 2 / pairs.mean()).sum() - 255) < 5 * np.sqrt(2 * 255)


def test_every_bit_of_position_seed_and_column_matters():
    """Each flips about half of the 24 bits."""
    bits = [1 << bit for bit in range(48)]
    base = (uniforms([0], columns=64) * (1 << 24)).astype(np.int64)
    others = [uniforms([bit]) for bit in bits] + [uniforms([0], seed=bit) for bit in bits]
    for other in others:
        flipped = np.bitwise_count(base ^ (other * (1 << 24)).astype(np.int64)).mean()
        assert 10.5 < flipped < 13.5


def test_columns_can_be_drawn_in_parts():
    np.testing.assert_array_equal(uniforms([5, 2**40], columns=10)[:, 4:], uniforms([5, 2**40], columns=6, first=4))


def test_no_two_of_millions_of_positions_draw_the_same():
    first = uniforms(np.arange(3_000_000), columns=2).astype(np.float64) * (1 << 24)
    assert len(np.unique(first[:, 0] * (1 << 24) + first[:, 1])) == 3_000_000


def test_position_means_class_and_copy(small):
    dataset, rows, plan = small
    assert len(plan) == 9 * 30  # class 4 has no original
    rows_at, unchanged = (part.numpy() for part in plan.originals(tf.range(len(plan), dtype=tf.int64)))
    assert set(rows_at) == set(rows)
    present = [label for label in range(10) if label != 4]
    np.testing.assert_array_equal(dataset.labels[rows_at], np.repeat(present, 30))
    for label, taken, kept in zip(present, rows_at.reshape(9, 30), unchanged.reshape(9, 30), strict=True):
        own = rows[dataset.labels[rows] == label]
        assert kept.sum() == len(own) and kept[: len(own)].all()
        assert set(taken[: len(own)]) == set(own)


def test_a_class_with_more_originals_gives_a_random_part_of_them():
    labels = np.repeat([0, 1], [50, 3]).astype(np.int32)
    rows, kept = BalancedPlan(labels, np.arange(53), 10, seed=0).originals(tf.range(20, dtype=tf.int64))
    assert kept.numpy()[:13].all() and not kept.numpy()[13:].any()
    assert len(set(rows.numpy()[:10])) == 10 and rows.numpy()[:10].max() > 20


def test_copies_come_from_all_originals_alike():
    labels = np.zeros(8, np.int32)
    rows = BalancedPlan(labels, np.arange(8), 8008, seed=1).originals(tf.range(8, 8008, dtype=tf.int64))[0].numpy()
    counts = np.bincount(rows, minlength=8)
    assert ((counts - 1000) ** 2 / 1000).sum() < 7 + 5 * np.sqrt(14)


@pytest.mark.parametrize("augmentation", [PLAIN, TURNED], ids=["source's", "user's"])
def test_an_image_is_the_same_in_any_batch(small, augmentation):
    dataset, _, plan = small
    images, labels, rows = made(balanced_maker(dataset, plan, augmentation), np.arange(270))
    maker = balanced_maker(dataset, plan, augmentation)
    order = np.random.default_rng(0).permutation(270)
    for part in (order[:1], order[1:8], order[8:], np.repeat(order[:2], 40)):
        again = made(maker, part)
        np.testing.assert_array_equal(again[0], images[part])
        np.testing.assert_array_equal(again[1], labels[part])
        np.testing.assert_array_equal(again[2], rows[part])


def test_originals_are_untouched_and_all_copies_differ(small):
    dataset, _, plan = small
    images, labels, rows = made(balanced_maker(dataset, plan, PLAIN), np.arange(270))
    _, unchanged = plan.originals(tf.range(270, dtype=tf.int64))
    same = (images == dataset.images[rows]).all(axis=(1, 2))
    np.testing.assert_array_equal(same, unchanged)
    np.testing.assert_array_equal(labels, dataset.labels[rows])
    assert len({image.tobytes() for image in images}) == 270


def test_the_seed_changes_the_copies(small):
    dataset, rows, plan = small
    other = BalancedPlan(dataset.labels, rows, 30, seed=4)
    first, second = (made(balanced_maker(dataset, p, TURNED), np.arange(20, 30))[0] for p in (plan, other))
    assert not (first == second).all(axis=(1, 2)).any()


def test_training_shows_the_virtual_sets_own_images_in_every_pass(small):
    dataset, _, plan = small
    images, labels, _ = made(balanced_maker(dataset, plan, TURNED), np.arange(270))
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    epoch = EpochPlan(len(plan), 27, seed=0, epoch_images=60)
    batches = list(training_batches(dataset, plan, epoch, Changes(TURNED)).take(20))
    for turn in (batches[:10], batches[10:]):
        shown = np.concatenate([batch[..., 0] for batch, _ in turn])
        targets = np.argmax(np.concatenate([target for _, target in turn]), axis=1)
        assert [label_of[image.astype(np.uint8).tobytes()] for image in shown] == targets.tolist()
        assert len({image.tobytes() for image in shown}) == 270
    later = training_batches(dataset, plan, epoch, Changes(TURNED), start_step=4).take(3)
    for (batch, _), (expected, _) in zip(later, batches[4:7], strict=True):
        np.testing.assert_array_equal(batch, expected)


def test_positions_of_a_virtual_set_of_billions_work():
    dataset = random_dataset(20)
    plan = BalancedPlan(dataset.labels, np.arange(20), 1 << 30, seed=0)
    positions = [3, (1 << 31) + 5, len(plan) - 1]
    images, labels, _ = made(balanced_maker(dataset, plan, PLAIN), positions)
    present = np.unique(dataset.labels)
    np.testing.assert_array_equal(labels, present[[0, 2, -1]])
    assert len({image.tobytes() for image in images}) == 3


def test_the_users_augmentation_takes_the_place_of_the_sources():
    assert copy_changes(TURNED, (64, 64)) == (TURNED, 0.0)
    source, noise = copy_changes(PLAIN, (64, 64))
    assert (source.elastic_alpha, source.elastic_sigma, source.rotation_range, noise) == (1000, 30, 15, 0.05)
    half, _ = copy_changes(PLAIN, (32, 32))
    assert (half.elastic_alpha, half.elastic_sigma) == (250, 15)  # half as far in pixels, as far in the picture


def test_the_sources_noise_has_its_strength():
    dataset = random_dataset(10, size=16)
    dataset.images[:] = 128
    plan = BalancedPlan(dataset.labels, np.arange(10), 512, seed=0)
    images = made(balanced_maker(dataset, plan, PLAIN), np.arange(10, 512))[0]
    middle = images[:, 6:10, 6:10].astype(float)  # which no change of place brings the edge to
    assert middle.mean() == pytest.approx(128, abs=0.5) and middle.std() == pytest.approx(0.05 * 255, rel=0.03)


def test_blocks_have_one_shape(small, monkeypatch):
    """Compiled code rounds differently in other shapes: a batch of any size is cut into the same blocks."""
    dataset, _, plan = small
    expected = made(balanced_maker(dataset, plan, PLAIN), np.arange(100))[0]
    shapes = []
    changer = balancing._changer

    def spying(*arguments):
        change = changer(*arguments)
        return lambda images, positions: shapes.append(tuple(images.shape)) or change(images, positions)

    monkeypatch.setattr(balancing, "_changer", spying)
    np.testing.assert_array_equal(made(balanced_maker(dataset, plan, PLAIN), np.arange(100))[0], expected)
    assert shapes == [(balancing.BLOCK, 12, 12)] * 4
