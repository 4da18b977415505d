"""What a recognizer learns to refuse: that it is no character, and looks like the data set's own images."""

from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn import touch
from kuzushiji_tf.datasets.drawn.alphabets import JIBO, dejavu_faces, foreign_characters, foreign_faces, is_foreign
from kuzushiji_tf.datasets.drawn.others import draw_others, with_others
from kuzushiji_tf.datasets.drawn.surfaces import draw_surface
from kuzushiji_tf.errors import UserError
from tests.making import CHARACTERS, random_dataset

DATA = random_dataset(90, size=28)


def test_others_are_a_share_of_all_images_and_the_last_class():
    both = with_others(DATA, 0.1, seed=1)
    assert len(both) == 100 and both.classes.characters == (*CHARACTERS, UNKNOWN)
    assert both.is_character.tolist() == [True] * 90 + [False] * 10
    np.testing.assert_array_equal(both.images[:90], DATA.images)
    assert "KanjiVG" in both.credit and "CC BY-SA 3.0" in both.licence


def test_others_are_the_same_every_time_and_others_in_each_split_and_with_each_seed():
    train, again = (draw_others(20, (1, 0), DATA) for _ in range(2))
    np.testing.assert_array_equal(train, again)
    for entropy in ((1, 1), (2, 0)):
        assert not (draw_others(20, entropy, DATA) == train).all(axis=(1, 2)).any()


def test_each_of_the_others_shows_something_and_none_twice():
    images = draw_others(200, (3, 0), DATA)
    assert (np.ptp(images.reshape(200, -1).astype(int), axis=1) > 60).all()
    assert len({image.tobytes() for image in images}) == 200


def test_sharpness_is_no_clue(data_dir):
    strokes = load_dataset("kmnist", "test").select(np.arange(0, 10_000, 25))
    others = draw_others(400, (0, 0), strokes)[:220]  # what is drawn in ink stands first

    def edges(images):
        down, right = np.gradient(images.astype(float), axis=(1, 2))
        return np.quantile(np.hypot(down, right), 0.98, axis=(1, 2))

    softer = (edges(others)[:, None] < edges(strokes.images)).mean()
    assert 0.3 < softer < 0.75  # of all pairs: 0.5 is where neither is sharper


def test_letters_of_other_scripts_have_no_kanji_twin():
    letters = {letter for face in dejavu_faces() for alphabet in face.alphabets for letter in alphabet}
    assert {"Ж", "ب", "ש", "Ω", "g"} <= letters
    assert not letters & set("TΤТXΧХHIlОoOПШΞЗ0123456789")


def test_syllables_of_hangul_are_letters_and_their_parts_are_not():
    assert all(map(is_foreign, "가꽃कব"))
    assert not any(map(is_foreign, "ㄱㅁㅅあア口"))


def test_fonts_bring_letters_of_other_scripts_and_none_that_japanese_is_written_with():
    font = dejavu_faces()[0]
    faces = foreign_faces((font.file,), touch.WRITTEN)
    assert len(faces) == len(dejavu_faces()) + 1 and faces[-1] == font.without(touch.WRITTEN)
    letters = {letter for face in faces for alphabet in face.alphabets for letter in alphabet}
    assert {"ب", "ש"} <= letters and not letters & set("gЖΩ")


def test_a_set_of_kana_is_shown_kanji_and_katakana_that_look_like_none_of_its_own():
    others = set(foreign_characters(CHARACTERS))
    assert {"鬱", "語", "ケ", "ミ"} <= others
    assert not others & {*JIBO, *"オキスツナハマヤレヲへりあ"}
    assert foreign_characters(Labels(("日", "月"))) == ()


def test_groups_and_sources_go_on():
    known = replace(DATA, groups=np.full(90, 4, np.int32), sources=np.zeros(90, np.int32), source_names=("kmnist",))
    both = with_others(known, 0.1, seed=1)
    assert len(set(both.groups[90:].tolist())) == 10 and both.groups[90:].min() > 4
    assert both.source_names == ("kmnist", "drawn") and (both.sources[90:] == 1).all()


def test_a_set_with_such_a_class_refuses_another():
    with pytest.raises(UserError, match="leave refuse out"):
        with_others(with_others(DATA, 0.1, seed=1), 0.1, seed=1)


def test_a_data_set_is_loaded_with_others(data_dir):
    both = load_dataset("kmnist", "test", refuse=0.01)
    assert int((~both.is_character).sum()) == 101
    with pytest.raises(UserError, match="refuse is 1"):
        load_dataset("kmnist", "test", refuse=1.0)


def test_surfaces_use_the_whole_range_and_differ():
    random = np.random.default_rng(0)
    pictures = [draw_surface(random, 40) for _ in range(60)]
    assert all(picture.shape == (40, 40) and picture.min() >= 0 and picture.max() <= 1 for picture in pictures)
    assert all(np.ptp(picture) > 0.2 for picture in pictures)


def test_boxed_sets_get_boxed_others():
    boxed = replace(DATA, normalization="ink-box")
    images = draw_others(30, (0, 0), boxed)
    assert images[:, 0].max() < 128 and images[:, :, -1].max() < 128  # the margin that normalization leaves
