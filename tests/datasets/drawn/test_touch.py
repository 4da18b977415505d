"""The touch sets: every kana and joyo kanji, then what is no character."""

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn import kana, touch
from kuzushiji_tf.datasets.registry import LoadOptions

SMALL = LoadOptions(per_class=2, seed=3, image_size=32)


def test_touch_kana_are_the_kana_and_then_what_is_no_character():
    dataset = load_dataset("touch-kana", "train", SMALL)
    assert len(dataset.classes) == 143 and dataset.classes[142] == UNKNOWN
    known = dataset.labels < 142
    both = load_dataset("hiragana+katakana", "train", SMALL)
    np.testing.assert_array_equal(dataset.images[known], both.images)
    np.testing.assert_array_equal(dataset.labels[known], both.labels)
    assert (~known).sum() == round(0.05 * 2 * 142)


def test_touch_joyo_has_every_joyo_kanji_and_no_class_twice(monkeypatch):
    drawn, form = [], kana.forms_of("あ")
    monkeypatch.setattr(touch, "forms_of", lambda character: form)  # reading all of KanjiVG takes seconds
    monkeypatch.setattr(touch, "draw_characters", lambda character, *_: drawn.append(character) or 0)
    dataset = load_dataset("touch-joyo", "test", SMALL)
    assert len(dataset.classes) == 142 + 2136 + 1
    assert "".join(drawn) == "".join(dataset.classes)[:-1]
    assert {"一", "龍", "剥", "叱", "鬱"} - set(dataset.classes) == {"龍"}


@pytest.mark.parametrize("split", [0, 1])
def test_every_joyo_kanji_can_be_drawn(split):
    characters = touch.joyo_kanji()
    images = kana.draw_characters(characters[:: 2136 // 40], 1, (0, split), 32)
    assert images.any(axis=(1, 2)).all()
    assert all(kana.forms_of(character) for character in characters[::20])


def test_the_test_split_has_other_scribbles():
    train, test = (load_dataset("touch-kana", split, SMALL) for split in ("train", "test"))
    scribbles = [dataset.images[dataset.labels == 142] for dataset in (train, test)]
    assert (scribbles[0] != scribbles[1]).any(axis=(1, 2)).all()
