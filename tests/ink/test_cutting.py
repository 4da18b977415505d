"""A character comes out of its picture at full strength, sharp, and without a margin."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.cutting import cut_out
from kuzushiji_tf.ink.strokes import normalize, render


def written(margin: float, size: int = 200) -> np.ndarray:
    return render(normalize(load_strokes("永")["永"], margin), size, size / 20).astype(np.float32) / 255


def cut(ink: np.ndarray) -> np.ndarray:
    return cut_out(ink, ink > 0.3)


def test_a_margin_is_cut_and_a_picture_that_is_filled_stays_as_it_is():
    inks = [cut(written(margin)) for margin in (0.0, 0.04, 0.2, 0.4)]
    assert [max(ink.shape) for ink in inks] == [200, 200, pytest.approx(130, abs=3), pytest.approx(50, abs=3)]
    np.testing.assert_array_equal(inks[1], np.rint(written(0.04) * 255))


@pytest.mark.parametrize("size", [28, 64, 200])
def test_clean_ink_stays_bit_for_bit(size):
    ink = written(0.0, size)
    np.testing.assert_array_equal(cut(ink), np.rint(ink * 255))


def test_pencil_becomes_full_ink():
    texture = np.random.default_rng(0).uniform(0.3, 0.9, (200, 200)).astype(np.float32)
    ink = written(0.0)
    assert cut_out(ink * texture, ink > 0.3)[ink == 1].mean() > 200


def test_what_is_left_out_goes_with_its_fringe():
    ink = written(0.3)
    spotted = ink.copy()
    spotted[1:5, 1:5] = [[0.2, 0.2, 0.2, 0.2], [0.2, 1, 1, 0.2], [0.2, 1, 1, 0.2], [0.2, 0.2, 0.2, 0.2]]
    np.testing.assert_array_equal(cut_out(spotted, (spotted > 0.3) & (ink > 0)), cut(ink))


def test_a_blurred_picture_is_sharpened():
    ink = written(0.1)
    soft = Image.fromarray(np.rint(ink * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(5))
    soft = np.asarray(soft).astype(np.float32) / 255
    sharpened = cut_out(soft, soft > 0.3).astype(np.float32) / 255
    inside = np.s_[20:180, 20:180]
    assert np.ptp(sharpened.shape) < 30
    assert ((sharpened > 0.2) & (sharpened < 0.8)).sum() < 0.8 * ((soft > 0.2) & (soft < 0.8))[inside].sum()
