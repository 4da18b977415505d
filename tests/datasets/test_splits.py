"""Validation is carved from the training images: by class, by group, the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.splits import divided_anew, held_out_groups, held_out_rows, validation_rows
from kuzushiji_tf.errors import UserError
from tests.making import random_dataset


def dataset_of(labels: np.ndarray, groups: np.ndarray | None = None, split: str = "train") -> CharacterDataset:
    """Return a data set of different images."""
    labels = np.asarray(labels, np.int32)
    classes = Labels(tuple(chr(0x4E00 + index) for index in range(int(labels.max(initial=0)) + 1)))
    images = np.zeros((len(labels), 8, 8), np.uint8)
    images[:, 0, :4] = np.arange(len(labels), dtype="<u4")[:, np.newaxis].view(np.uint8)
    return CharacterDataset(
        "toy",
        split,
        images,
        labels,
        classes,
        "none",
        "nobody",
        None if groups is None else np.asarray(groups, np.int32),
    )


def shuffled(labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(5).permutation(labels)


def long_tailed() -> np.ndarray:
    """2,000 classes, most with one to nine images."""
    return shuffled(np.repeat(np.arange(2000), np.random.default_rng(6).zipf(1.5, 2000).clip(max=500)))


def writers(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Each writer wrote each character once."""
    return np.tile(np.arange(classes), count), np.repeat(np.arange(count), classes)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("grouped", [False, True])
def test_rows_are_sorted_disjoint_and_together_every_row(fraction, grouped):
    labels, groups = writers(200, 10)
    train, validation = validation_rows(dataset_of(labels, groups if grouped else None), fraction, seed=0)
    assert train.dtype == validation.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(2000))
    assert len(validation) == round(2000 * fraction)


def test_each_class_gives_its_fraction_to_within_one_image():
    labels = long_tailed()
    _, validation = validation_rows(dataset_of(labels), 0.1, seed=3)
    taken = np.bincount(labels[validation], minlength=2000)
    assert np.abs(taken - np.bincount(labels) * 0.1).max() <= 1


def test_many_small_classes_together_still_give_the_fraction():
    labels = long_tailed()
    _, validation = validation_rows(dataset_of(labels), 0.05, seed=3)
    assert len(validation) == round(len(labels) * 0.05)


@pytest.mark.parametrize("fraction", [0.1, 0.9, 0.999])
@pytest.mark.parametrize("grouped", [False, True])
def test_every_class_keeps_a_training_image(fraction, grouped):
    labels = long_tailed()
    groups = np.random.default_rng(7).integers(0, 3000, len(labels)) if grouped else None
    train, validation = validation_rows(dataset_of(labels, groups), fraction, seed=0)
    assert np.bincount(labels[train], minlength=2000).min() >= 1
    assert len(validation)


@pytest.mark.parametrize("grouped", [False, True])
def test_rows_depend_on_the_seed_alone(grouped):
    labels, groups = writers(100, 10)
    dataset = dataset_of(labels, groups if grouped else None)
    first, again, other = (validation_rows(dataset, 0.2, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_chosen_rows_never_change():
    """Figures of earlier runs stay comparable: these rows were drawn when the function was written."""
    _, validation = validation_rows(dataset_of(np.arange(100) % 10), 0.1, seed=0)
    assert validation.tolist() == [21, 23, 40, 46, 47, 48, 75, 84, 92, 99]


def test_images_are_drawn_from_all_over_the_data_set():
    _, validation = validation_rows(dataset_of(np.zeros(10_000)), 0.1, seed=0)
    assert np.histogram(validation, bins=10, range=(0, 10_000))[0].min() > 70


def test_no_group_is_on_both_sides():
    labels, groups = writers(50, 46)
    train, validation = validation_rows(dataset_of(labels, groups), 0.1, seed=0)
    assert set(groups[train]).isdisjoint(groups[validation])
    assert len(set(groups[validation])) == 5


def test_uneven_groups_come_near_the_fraction():
    generator = np.random.default_rng(8)
    sizes = generator.integers(5, 400, 60)
    groups = np.repeat(np.arange(60), sizes)
    labels = generator.integers(0, 10, len(groups))
    _, validation = validation_rows(dataset_of(labels, groups), 0.2, seed=0)
    share = np.bincount(labels[validation], minlength=10) / np.bincount(labels)
    assert 0.15 < share.min() <= share.max() < 0.25


def test_groups_larger_than_asked_for_give_one_group():
    labels, groups = writers(4, 10)
    _, validation = validation_rows(dataset_of(labels, groups), 0.05, seed=0)
    assert len(set(groups[validation])) == 1


def test_group_that_alone_has_a_class_stays_in_training():
    labels, groups = writers(10, 5)
    labels[groups == 3] = 5
    for seed in range(20):
        train, _ = validation_rows(dataset_of(labels, groups), 0.3, seed)
        assert 3 in groups[train]


def each_twice(dataset: CharacterDataset) -> CharacterDataset:
    return dataset.select(np.random.default_rng(9).permutation(np.tile(np.arange(len(dataset)), 2)))


@pytest.mark.parametrize("grouped", [False, True])
def test_no_image_is_both_trained_on_and_validated_on(grouped):
    labels, groups = writers(25, 10)
    dataset = each_twice(dataset_of(labels, groups if grouped else None))
    train, validation = validation_rows(dataset, 0.4, seed=0)
    keys = content_keys(dataset.images)
    assert np.intersect1d(keys[train], keys[validation]).size == 0
    assert np.bincount(dataset.labels[validation]).tolist() == [20] * 10


def test_writers_who_share_an_image_are_on_the_same_side():
    labels, groups = writers(30, 10)
    dataset = dataset_of(labels, groups)
    dataset.images[groups == 1] = dataset.images[groups == 0]
    dataset.images[20], dataset.images[200] = dataset.images[10], dataset.images[100]  # 1 and 2, 10 and 20
    for seed in range(20):
        _, validation = validation_rows(dataset, 0.3, seed)
        chosen = set(groups[validation])
        assert {0, 1, 2} <= chosen or chosen.isdisjoint({0, 1, 2})
        assert {10, 20} <= chosen or chosen.isdisjoint({10, 20})


def test_an_image_that_stands_in_two_classes_is_never_for_validation():
    dataset = dataset_of(np.arange(100) % 10)
    dataset.images[35] = dataset.images[34]
    for seed in range(20):
        assert not np.isin([34, 35], validation_rows(dataset, 0.5, seed)[1]).any()


def test_tiny_fraction_still_gives_an_image():
    _, validation = validation_rows(dataset_of(np.arange(30) % 10), 0.001, seed=0)
    assert len(validation) == 1


@pytest.mark.parametrize(
    ("labels", "groups"), [(np.arange(10), None), (np.zeros(10), np.zeros(10)), ([], None), ([], [])]
)
def test_data_set_that_can_spare_nothing_is_refused_in_one_sentence(labels, groups):
    with pytest.raises(UserError, match="validation_fraction"):
        validation_rows(dataset_of(labels, groups), 0.5, seed=0)


def test_test_split_is_never_used_for_validation():
    with pytest.raises(UserError, match="'test'"):
        validation_rows(dataset_of(np.zeros(10), split="test"), 0.1, seed=0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2, float("nan")])
def test_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(UserError, match="0 <= value < 1"):
        validation_rows(dataset_of(np.zeros(10)), fraction, seed=0)


def keys_of(values):
    return np.array([f"{value:08x}" for value in values], "S32")


def test_held_out_rows_take_a_seventh_and_spare_single_images():
    labels = np.repeat(np.arange(6), [700, 70, 7, 3, 2, 1])
    keys = keys_of(np.random.default_rng(0).permutation(len(labels)))
    held = held_out_rows(keys, labels, 6)
    taken = np.bincount(labels[held], minlength=6)
    assert taken[:3].tolist() == [100, 10, 1] and taken[5] == 0
    assert held.sum() == round(len(labels) / 7)
    assert (taken < np.bincount(labels)).all()


def test_held_out_rows_depend_on_the_images_and_not_on_their_order():
    random = np.random.default_rng(1)
    labels, keys = random.integers(0, 9, 500), keys_of(random.permutation(500))
    order = random.permutation(500)
    np.testing.assert_array_equal(held_out_rows(keys, labels, 9)[order], held_out_rows(keys[order], labels[order], 9))


def test_equal_images_are_never_on_both_sides():
    random = np.random.default_rng(2)
    keys, labels = keys_of(random.integers(0, 150, 600)), random.integers(0, 4, 600)
    held = held_out_rows(keys, labels, 4)
    assert held.any() and np.intersect1d(keys[held], keys[~held]).size == 0


def test_a_class_of_equal_images_only_is_never_held_out():
    held = held_out_rows(keys_of([5] * 20 + list(range(10, 30))), np.repeat([0, 1], 20), 2)
    assert not held[:20].any() and held[20:].sum() == 3


def test_held_out_groups_are_whole_and_about_a_seventh():
    random = np.random.default_rng(3)
    groups, labels = random.integers(0, 70, 3000), random.integers(0, 20, 3000)
    held = held_out_groups(groups, labels, 20)
    assert np.intersect1d(groups[held], groups[~held]).size == 0
    assert 0.1 < held.mean() < 0.18
    np.testing.assert_array_equal(held, held_out_groups(groups, labels, 20))


def test_a_random_split_divides_all_images_anew_and_forgets_the_writers():
    random = np.random.default_rng(4)
    whole = random_dataset(700)
    whole = replace(whole, groups=random.integers(0, 70, 700).astype(np.int32))
    order = random.permutation(700)
    first, second = (
        replace(whole.select(rows), split=split) for rows, split in ((order[:500], "train"), (order[500:], "test"))
    )
    train, test = (divided_anew(first, second, split) for split in ("train", "test"))
    assert (train.split, test.split, train.groups, test.groups) == ("train", "test", None, None)
    assert len(test) == 100 and len(train) == 600
    keys = [content_keys(part.images) for part in (train, test)]
    assert np.intersect1d(*keys).size == 0
    # Whatever split they were in before, the same images are for testing.
    other = divided_anew(second, first, "test")
    np.testing.assert_array_equal(np.sort(content_keys(other.images)), np.sort(keys[1]))
    with pytest.raises(UserError, match="'support'"):
        divided_anew(first, second, "support")
