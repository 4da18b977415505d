"""The modern side: KanjiVG's kanji in the unit box, drawn as recognizers read them."""

import numpy as np
import pytest

from kuzushiji_tf.characters.scripts import in_script
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import draw_strokes
from kuzushiji_tf.ink.strokes import MARGIN
from kuzushiji_tf.transfer import modern


def test_every_kanji_of_kanjivg_comes_once_and_in_code_point_order():
    characters = modern.modern_characters()
    assert len(characters) > 6000 and characters == tuple(sorted(set(characters)))
    assert all(len(character) == 1 and in_script(character, "kanji") for character in characters)
    assert {"一", "々", "鬱", "龠"} <= set(characters) and not {"あ", "ア", "A"} & set(characters)


def test_strokes_fill_the_unit_box_but_for_its_margin():
    drawings = modern.modern_strokes("一永鬱丨")
    assert [len(strokes) for strokes in drawings] == [1, 5, 29, 1]
    for strokes in drawings:
        points = np.concatenate(strokes)
        low, high = points.min(axis=0), points.max(axis=0)
        np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-6)
        np.testing.assert_allclose((high - low).max(), 1 - 2 * MARGIN, atol=1e-6)


def test_images_are_white_ink_on_black_as_the_drawing_code_makes_them():
    drawings = modern.modern_strokes("二川")
    images = modern.draw_modern(drawings)
    assert images.shape == (2, 64, 64) and images.dtype == np.uint8
    assert images.max() == 255 and not images[:, 0].any() and not images[:, :, 0].any()
    np.testing.assert_array_equal(images[1], draw_strokes(drawings[1], 64, 3.0))
    np.testing.assert_array_equal(modern.draw_modern(drawings[1:]), images[1:])


def test_place_and_size_of_the_strokes_do_not_matter_to_the_image():
    (strokes,) = modern.modern_strokes("永")
    moved = [stroke * np.float32(0.4) + np.float32(0.1) for stroke in strokes]
    images = modern.draw_modern([strokes, moved]).astype(int)
    assert np.abs(images[0] - images[1]).max() <= 2


def test_a_drawing_without_strokes_is_black():
    assert modern.draw_modern([]).shape == (0, 64, 64)
    assert not modern.draw_modern([[]]).any()


def test_a_character_that_kanjivg_lacks_is_named():
    with pytest.raises(UserError, match="☃"):
        modern.modern_strokes("一☃")
