"""Pairs of old and modern characters: split by character, no image on two sides."""

import unicodedata

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import in_script
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer import pairs
from kuzushiji_tf.transfer.modern import modern_characters

PARTS = ("train", "test", "validation", "unseen")
SNOWMAN = "☃"  # that KanjiVG lacks


def characters_of(split, count):
    found = [character for character in modern_characters() if pairs.split_of(character) == split]
    return [character for character in found if pairs.modern_form(character) == character][:count]


def dataset(images, characters, classes, split):
    labels = np.array([classes.index_of(character) for character in characters], np.int32)
    return CharacterDataset("kkanji", split, images, labels, classes, "licence", "credit")


@pytest.fixture
def published():
    """Return a small Kuzushiji-Kanji of four images of each character in train, two in test."""
    characters = [*characters_of("train", 5), *characters_of("validation", 2), *characters_of("unseen", 3), SNOWMAN]
    classes = Labels(tuple(sorted(characters)))
    random = np.random.default_rng(0)
    parts = [
        dataset(
            random.integers(0, 256, (number * len(characters), 4, 4), np.uint8),
            np.repeat(characters, number).tolist(),
            classes,
            split,
        )
        for split, number in (("train", 4), ("test", 2))
    ]
    return characters, *parts


def load_parts(monkeypatch, train, test):
    monkeypatch.setattr(pairs, "load_dataset", lambda name, split, options: {"train": train, "test": test}[split])
    return {part: pairs.load_old(None, part) for part in PARTS}


def test_forms_are_single_kanji_and_the_modern_one_has_no_newer_form():
    forms = pairs.old_forms()
    assert len(forms) > 350 and forms["亞"] == "亜" and forms["龍"] == "竜"
    for old, modern in forms.items():
        assert len(old) == len(modern) == 1 and in_script(old, "kanji") and in_script(modern, "kanji")
        assert old != modern and pairs.modern_form(modern) == modern
        assert unicodedata.normalize("NFKC", old) == old, "text tools may turn it into its plain form"


def test_a_compatibility_ideograph_leads_to_its_plain_and_then_to_its_modern_form():
    assert pairs.modern_form("\ufa45") == pairs.modern_form("\u6d77") == "\u6d77"  # 海
    assert unicodedata.normalize("NFKC", "\uf93c") == "祿" and pairs.modern_form("\uf93c") == "禄"
    assert pairs.modern_form("一") == "一"


def test_characters_are_paired_with_themselves_and_variants_only_if_asked_for():
    given = ["一", "\ufa45", "戾", SNOWMAN, "亞", "一"]
    plain = pairs.pair_characters(given)
    assert plain.characters == ("一", "亞") and plain.modern == {"一": "一", "亞": "亞"}
    assert plain.variants == {"戾": "戻", "\ufa45": "海"}
    assert plain.missing == (SNOWMAN, "戾", "\ufa45")
    more = pairs.pair_characters(given, use_variants=True)
    assert more.characters == ("一", "亞", "戾", "\ufa45") and more.modern["\ufa45"] == "海"
    assert set(more.split) == set(more.characters)


def test_a_character_without_images_is_not_paired(published, monkeypatch):
    characters, train, test = published
    with_images = [np.flatnonzero(own.labels != own.classes.index_of(characters[0])) for own in (train, test)]
    load_parts(monkeypatch, *(own.select(rows) for own, rows in zip((train, test), with_images, strict=True)))
    pairing = pairs.load_pairing()
    assert pairing.characters == tuple(sorted(characters[1:-1])) and pairing.missing == (SNOWMAN,)


def test_splits_share_no_character_and_have_their_share():
    pairing = pairs.pair_characters(modern_characters())
    parts = [pairing.of(split) for split in ("train", "validation", "unseen")]
    assert sorted(character for part in parts for character in part) == sorted(pairing.characters)
    shares = [len(part) / len(pairing.characters) for part in parts]
    np.testing.assert_allclose(shares, [0.85, 0.05, 0.10], atol=0.015)


def test_more_characters_move_none():
    characters = modern_characters()
    few, many = pairs.pair_characters(characters[::7]), pairs.pair_characters(characters)
    assert few.split == {character: many.split[character] for character in few.characters}
    assert [many.split[character] for character in "一海丈丞"] == ["train", "train", "unseen", "unseen"]


def test_the_forms_of_a_character_are_on_one_side():
    for old, modern in pairs.old_forms().items():
        assert pairs.split_of(old) == pairs.split_of(modern)
    assert pairs.split_of("\ufa45") == pairs.split_of("海")


def test_parts_hold_the_images_of_their_characters(published, monkeypatch):
    characters, train, test = published
    parts = load_parts(monkeypatch, train, test)
    label_of = {
        key: label for own in (train, test) for key, label in zip(content_keys(own.images), own.labels, strict=True)
    }
    assert {part: len(loaded) for part, loaded in parts.items()} == {
        "train": 4 * 6,
        "test": 2 * 5,
        "validation": 6 * 2,
        "unseen": 6 * 3,
    }
    for part, members in {
        "train": [*characters[:5], SNOWMAN],
        "test": characters[:5],
        "validation": characters[5:7],
        "unseen": characters[7:10],
    }.items():
        loaded = parts[part]
        assert loaded.split == part and loaded.classes == train.classes
        assert {loaded.classes[label] for label in loaded.labels} == set(members)
        assert [label_of[key] for key in content_keys(loaded.images)] == loaded.labels.tolist()


def test_an_image_that_stands_under_a_held_out_character_is_in_no_earlier_part(published, monkeypatch):
    characters, train, test = published
    first = {character: 4 * place for place, character in enumerate(characters)}
    unseen, validation, seen = characters[7], characters[5], characters[0]
    train.images[first[seen]] = train.images[first[unseen]]
    train.images[first[seen] + 1] = test.images[first[validation] // 2]
    train.images[first[SNOWMAN]] = test.images[first[unseen] // 2]
    test.images[first[seen] // 2] = train.images[first[validation]]
    train.images[first[validation] + 1] = train.images[first[unseen]]
    parts = load_parts(monkeypatch, train, test)
    assert [len(parts[part]) for part in PARTS] == [4 * 6 - 3, 2 * 5 - 1, 6 * 2 - 1, 6 * 3]
    keys = [content_keys(parts[part].images) for part in PARTS]
    for place, one in enumerate(keys):
        for other in keys[:place]:
            assert np.intersect1d(one, other).size == 0


def test_nobody_gets_the_images_of_another_form_of_a_held_out_character():
    held = next(
        (old, modern)
        for old, modern in pairs.old_forms().items()
        if pairs.split_of(modern) == "unseen" and modern in modern_characters() and old not in modern_characters()
    )
    pairing = pairs.pair_characters([*held, SNOWMAN])
    assert [pairing.side_of(character) for character in (*held, SNOWMAN)] == ["related", "unseen", "unpaired"]
    classes = Labels(tuple(sorted([*held, SNOWMAN])))
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1)
    train = dataset(images, list(classes), classes, "train")
    rows = {part: pairs.part_rows(train, train.select(np.zeros(0, int)), pairing, part)[0] for part in PARTS}
    assert {part: [classes[row] for row in own] for part, own in rows.items()} == {
        "train": [SNOWMAN],
        "test": [],
        "validation": [],
        "unseen": [held[1]],
    }


def test_an_unknown_part_is_refused(published):
    _, train, test = published
    with pytest.raises(UserError, match="'unseen'"):
        pairs.part_rows(train, test, pairs.pair_characters("一"), "unsen")


@pytest.mark.slow
def test_the_published_characters_pair_as_recorded(data_dir):
    pairing = pairs.load_pairing(data_dir)
    assert (len(pairing.characters), len(pairing.missing), len(pairing.variants)) == (3647, 184, 14)
    assert [len(pairing.of(split)) for split in ("train", "validation", "unseen")] == [3069, 198, 380]
    parts = {part: pairs.load_old(data_dir, part) for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [98_717, 16_419, 8_707, 16_504]
    keys = np.concatenate([np.unique(content_keys(part.images)) for part in parts.values()])
    assert len(np.unique(keys)) == len(keys)
