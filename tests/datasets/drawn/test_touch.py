"""The touch sets: every kana and joyo kanji, then what is no character."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn import kana, touch
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError

SMALL = LoadOptions(per_class=2, seed=3, image_size=32)


def test_touch_kana_are_the_kana_the_signs_and_then_what_is_no_character():
    dataset = load_dataset("touch-kana", "train", SMALL)
    assert len(dataset.classes) == 147 + 51 + 1 and dataset.classes[198] == UNKNOWN
    both = load_dataset("hiragana+katakana", "train", SMALL)
    unvoiced = dataset.classes.index_of("か"), both.classes.index_of("か")
    np.testing.assert_array_equal(*(s.images[s.labels == k] for s, k in zip((dataset, both), unvoiced, strict=True)))
    counts = np.bincount(dataset.labels)
    voiced = [bool(kana.forms_of(character)[0].marks) for character in dataset.classes[:147]]
    assert sum(voiced) == 50 and (counts[:147] == np.where(voiced, 1, 2)).all() and (counts[147:198] == 1).all()
    assert counts[198] == round(0.1 * (2 * 97 + 50 + 51))


def test_touch_joyo_has_every_joyo_kanji_and_no_class_twice(monkeypatch):
    drawn, form = [], kana.forms_of("あ")
    monkeypatch.setattr(touch, "forms_of", lambda character: form)  # reading all of KanjiVG takes seconds
    monkeypatch.setattr(touch, "draw_characters", lambda character, *_: drawn.append(character) or 0)
    dataset = load_dataset("touch-joyo", "test", SMALL)
    assert len(dataset.classes) == 147 + 51 + 2136 + 1
    assert "".join(drawn) == "".join(dataset.classes)[:-1]
    assert {"一", "龍", "剥", "叱", "鬱", "々", "ヴ", "ー", "7", "Q"} - set(dataset.classes) == {"龍"}


def test_touch_all_has_every_kanji_of_kanjivg_the_rare_ones_less_often(monkeypatch):
    form = kana.forms_of("あ")
    monkeypatch.setattr(touch, "forms_of", lambda character: form)
    monkeypatch.setattr(touch, "draw_characters", lambda *_: 0)
    dataset = load_dataset("touch-all", "train", LoadOptions(per_class=6, image_size=32))
    assert {"龍", "辻", "𠮟", "鷗", "凜"} <= set(dataset.classes) and len(dataset.classes) == 6621
    counts = dict(zip(dataset.classes, np.bincount(dataset.labels), strict=True))
    assert [counts[character] for character in "あ一龍辻"] == [6, 6, 6, 6]
    assert [counts[character] for character in "鷗々Q"] == [2, 2, 2]
    rarer = load_dataset("touch-all", "train", LoadOptions(per_class=6, image_size=32, rare_kanji=0.1))
    counts = dict(zip(rarer.classes, np.bincount(rarer.labels), strict=True))
    assert [counts[character] for character in "龍鷗々Q"] == [6, 1, 2, 2]


@pytest.mark.parametrize("split", [0, 1])
def test_every_joyo_kanji_can_be_drawn(split):
    characters = touch.joyo_kanji()
    images = kana.draw_characters(characters[:: 2136 // 40], 1, (0, split), 32)
    assert images.any(axis=(1, 2)).all()
    assert all(kana.forms_of(character) for character in characters[::20])


def test_the_test_split_has_other_scribbles():
    train, test = (load_dataset("touch-kana", split, SMALL) for split in ("train", "test"))
    scribbles = [dataset.images[dataset.labels == 198] for dataset in (train, test)]
    assert (scribbles[0] != scribbles[1]).any(axis=(1, 2)).all()


def test_fonts_and_real_ink_take_part_where_forms_name_them(tmp_path):
    images = np.full((8, 20, 20), 255, np.uint8)
    for number, image in enumerate(images):
        image[number : number + 8, 9:11] = 0
    np.savez(tmp_path / "own.npz", images=images, labels=list("っっっっっっi龍"))
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    forms = (str(font), str(tmp_path / "own.npz"))
    plain, mixed = (load_dataset("touch-kana", "train", replace(SMALL, per_class=6, forms=f)) for f in ((), forms))
    changed = [
        (plain.images[plain.labels == k] != mixed.images[: len(plain)][plain.labels == k]).any() for k in range(198)
    ]
    letters = [plain.classes[k] for k in range(198) if changed[k]]
    assert set("AQZ05") <= set(letters) and not set("あア") & set(letters), "the font has these letters"
    written = mixed.labels[len(plain) :]
    assert len(written) and {mixed.classes[label] for label in written} <= {"つ"}
    assert mixed.credit == "KanjiVG, copyright Ulrich Apel; images of own"
    test = load_dataset("touch-kana", "test", replace(SMALL, per_class=2, forms=forms[1:]))
    assert len(test) == len(load_dataset("touch-kana", "test", replace(SMALL, per_class=2)))


def test_a_font_that_is_missing_or_none_is_told_by_its_name(tmp_path):
    (tmp_path / "text.ttf").write_text("no font")
    for name in ("missing.ttf", "text.ttf"):
        with pytest.raises(UserError, match=name):
            load_dataset("kana", "train", replace(SMALL, forms=(str(tmp_path / name),)))
