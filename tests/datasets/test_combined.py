"""Several data sets as one: one label space, one size, every image's source, and no original on both sides."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset, combined, load_dataset
from kuzushiji_tf.datasets.combined import load_combined
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError


@dataclass(frozen=True)
class Entry:
    splits: tuple[str, ...]


def images_of(seed: int, count: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), np.uint8)


def part(name: str, split: str, images: np.ndarray, classes: str, groups=None) -> CharacterDataset:
    labels = (np.arange(len(images)) % len(classes)).astype(np.int32)
    groups = None if groups is None else np.asarray(groups, np.int32)
    credit = "shared credit" if name in ("books", "poems") else f"credit of {name}"
    return CharacterDataset(name, split, images, labels, Labels(tuple(classes)), f"licence of {name}", credit, groups)


@pytest.fixture
def registered(monkeypatch) -> dict[tuple[str, str], CharacterDataset]:
    """Three data sets in place of the registered ones, and two that lack a split."""
    parts = [
        part("books", "train", images_of(0, 30, 20), "をあう"),
        part("books", "test", images_of(1, 9, 20), "をあう"),
        part("poems", "train", images_of(2, 24, 16), "うい"),
        part("poems", "test", images_of(3, 8, 16), "うい"),
        part("writers", "train", images_of(4, 20, 28), "字あ", groups=np.arange(20) // 4 + 7),
        part("writers", "test", images_of(5, 6, 28), "字あ", groups=np.arange(6) // 2 + 90),
        part("pen", "test", images_of(6, 4, 24), "い"),
    ]
    found = {(dataset.name, dataset.split): dataset for dataset in parts}

    def load(name: str, split: str, options: LoadOptions) -> CharacterDataset:
        assert options.classes is None
        asked.append((name, split, options.image_size, options.stroke_size))
        return found[name, split]

    names = {name: tuple(split for other, split in found if other == name) for name, _ in found}
    asked = found["asked"] = []
    monkeypatch.setattr(combined, "load_dataset", load)
    monkeypatch.setattr(combined, "entry_of", lambda name: Entry(names[name]))
    return found


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_sources_and_images_are_those_of_the_parts(registered, split):
    names = ("books", "poems", "writers")
    whole = load_combined(names, split, LoadOptions())
    assert (whole.name, whole.split) == ("books+poems+writers", split)
    assert whole.classes.characters == ("あ", "い", "う", "を", "字")
    assert whole.source_names == names
    assert whole.sources.dtype == np.int32
    for source, name in enumerate(names):
        own, rows = registered[name, split], whole.sources == source
        assert [whole.classes[label] for label in whole.labels[rows]] == [own.classes[label] for label in own.labels]
        np.testing.assert_array_equal(whole.images[rows], own.resized(28).images)


def test_images_come_to_the_largest_size_of_the_parts_or_to_the_asked_one(registered):
    assert load_combined(("books", "poems"), "train", LoadOptions()).image_size == (20, 20)
    small = load_combined(("books", "poems"), "train", LoadOptions(image_size=10, classes="あ"))
    np.testing.assert_array_equal(small.images[:30], registered["books", "train"].resized(10).images)
    assert {size for _, _, size, _ in registered["asked"]} == {None}


def test_strokes_are_drawn_at_the_asked_size(registered):
    load_combined(("books", "pen"), "test", LoadOptions(image_size=12))
    assert registered["asked"] == [("books", "test", None, 12), ("pen", "test", None, 12)]


def test_a_mixture_is_what_all_of_its_parts_are_or_else_nothing_in_particular(registered):
    alone = {"ink": "pen", "normalization": "ink-box"}
    registered["pen", "test"] = replace(registered["pen", "test"], **alone)
    registered["poems", "test"] = replace(registered["poems", "test"], **alone)
    both = load_combined(("poems", "pen"), "test", LoadOptions())
    assert (both.ink, both.normalization) == ("pen", "ink-box")
    mixed = load_combined(("books", "pen"), "test", LoadOptions())
    assert (mixed.ink, mixed.normalization) == ("scanned", "none")


def test_licences_and_credits_are_joined_each_once(registered):
    whole = load_combined(("books", "poems", "writers"), "test", LoadOptions())
    assert whole.licence == "licence of books; licence of poems; licence of writers"
    assert whole.credit == "shared credit; credit of writers"


def test_groups_of_different_parts_are_kept_apart(registered):
    whole = load_combined(("writers", "books"), "train", LoadOptions())
    own = registered["writers", "train"].groups
    np.testing.assert_array_equal(whole.groups[:20] == whole.groups[0], own == own[0])
    assert len(set(whole.groups[:20])) == 5
    assert len(set(whole.groups[20:])) == 30 and set(whole.groups[20:]).isdisjoint(whole.groups[:20])
    assert load_combined(("books", "poems"), "train", LoadOptions()).groups is None


def test_training_images_that_any_part_tests_on_are_left_out(registered):
    shared = images_of(9, 12, 20)
    registered["books", "train"] = part("books", "train", np.concatenate([shared[:4], images_of(0, 5, 20)]), "あう")
    registered["books", "test"] = part("books", "test", shared[4:8], "あう")
    registered["poems", "train"] = part("poems", "train", np.concatenate([shared[4:10], images_of(2, 5, 20)]), "うい")
    registered["poems", "test"] = part("poems", "test", shared[2:4], "うい")
    train = load_combined(("books", "poems"), "train", LoadOptions())
    test = load_combined(("books", "poems"), "test", LoadOptions())
    assert not np.isin(content_keys(train.images), content_keys(test.images)).any()
    assert np.bincount(train.sources).tolist() == [2 + 5, 2 + 5]
    assert np.bincount(test.sources).tolist() == [4, 2]
    # Small images may become equal that were not: originals are compared before resizing.
    assert len(load_combined(("books", "poems"), "train", LoadOptions(image_size=8))) == len(train)


def test_an_original_that_two_parts_share_is_taken_once(registered):
    own = registered["books", "train"].images
    registered["poems", "train"] = part("poems", "train", np.concatenate([own[:6], images_of(2, 5, 20)]), "うい")
    registered["poems", "test"] = part("poems", "test", registered["books", "test"].images, "うい")
    train = load_combined(("books", "poems"), "train", LoadOptions())
    assert np.bincount(train.sources).tolist() == [30, 5]
    assert len(np.unique(content_keys(train.images))) == len(train)
    assert np.bincount(load_combined(("books", "poems"), "test", LoadOptions()).sources).tolist() == [9]


def test_parts_without_the_split_named_twice_or_used_up_are_refused(registered):
    registered["poems", "train"] = part("poems", "train", registered["poems", "test"].images, "うい")
    registered["books", "train"] = part("books", "train", registered["books", "test"].images, "をあう")
    for names, split, message in (
        (("books", "pen"), "train", "'books[+]pen' .*'train'.* 'pen' .*test"),
        (("books", "books"), "train", "'books[+]books' .*twice"),
        (("books", "poems"), "train", "'train'.* test split"),
    ):
        with pytest.raises(UserError, match=message):
            load_combined(names, split, LoadOptions())


def test_registered_sets_are_joined_by_their_names():
    options = LoadOptions(per_class=2, image_size=16, classes="あア")
    whole = load_dataset("kana+katakana", "train", options)
    assert whole.classes.characters == ("あ", "ア") and whole.source_names == ("kana", "katakana")
    own = load_dataset("katakana", "train", LoadOptions(per_class=2, image_size=16, classes="ア"))
    np.testing.assert_array_equal(whole.images[whole.sources == 1], own.images)


@pytest.mark.slow
def test_kmnist_and_kuzushiji_kanji_share_no_original_between_the_splits(data_dir):
    train, test = (
        load_dataset("kmnist+kkanji", split, LoadOptions(data_dir, image_size=28)) for split in ("train", "test")
    )
    assert train.classes == test.classes
    assert len(train.classes) == 10 + 3832
    assert list(train.classes) == sorted(train.classes)
    assert train.source_names == test.source_names == ("kmnist", "kkanji")
    assert train.image_size == test.image_size == (28, 28)
    assert train.licence == "CC BY-SA 4.0" and train.credit.count("KMNIST") == 1
    kmnist, kanji = (load_dataset(name, "test", LoadOptions(data_dir)) for name in ("kmnist", "kkanji"))
    assert np.bincount(test.sources).tolist() == [len(kmnist), len(kanji)]
    assert 59_000 < (train.sources == 0).sum() <= 60_000
    tested = np.concatenate([content_keys(kmnist.images), content_keys(kanji.images)])
    for name, source in (("kmnist", 0), ("kkanji", 1)):
        own = load_dataset(name, "train", LoadOptions(data_dir))
        kept = own.select(np.flatnonzero(~np.isin(content_keys(own.images), tested)))
        assert len(kept) == (train.sources == source).sum()
        np.testing.assert_array_equal(
            train.images[train.sources == source][::997], kept.select(np.arange(0, len(kept), 997)).resized(28).images
        )
