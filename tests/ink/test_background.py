"""What is ink, whatever the light: shade is no ink, and none is lost in it."""

import numpy as np
import pytest

from kuzushiji_tf.datasets.arrays import read_npz_array
from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.background import find_ink, is_dark_on_light
from kuzushiji_tf.ink.strokes import normalize, render

SIZE = 160


@pytest.fixture(scope="module")
def cover() -> np.ndarray:
    """Of each pixel by ink, 0..1."""
    return render(normalize(load_strokes("永")["永"], margin=0.15), SIZE, 8).astype(np.float32) / 255


def light_falling_off(least: float) -> np.ndarray:
    """A soft edge between full light and this much of it."""
    return least + (1 - least) / (1 + np.exp(-np.linspace(-4, 4, SIZE, dtype=np.float32)))


def assert_found(ink, cover):
    assert ink[cover > 0.9].min() > 0.5 and (ink[cover == 0] < 0.3).all()


@pytest.mark.parametrize("least", [1.0, 0.6, 0.2])
def test_a_shadow_is_no_ink_and_hides_none(cover, least):
    photo = 0.95 * (1 - 0.85 * cover) * light_falling_off(least)
    assert is_dark_on_light(photo)
    assert_found(find_ink(photo), cover)


def test_chalk_is_found_on_a_board_that_is_lit_from_one_side(cover):
    photo = light_falling_off(0.5) * (0.2 + 0.7 * cover)
    assert not is_dark_on_light(photo)
    assert_found(find_ink(photo), cover)


def test_a_table_beside_the_paper_does_not_turn_ink_and_paper_over(cover):
    photo = 1 - 0.85 * cover
    photo[:14] = photo[:, -10:] = 0.25
    assert is_dark_on_light(photo) and not is_dark_on_light(1 - photo)


def test_the_grain_of_paper_is_no_ink(cover):
    grain = np.random.default_rng(0).normal(0, 0.03, cover.shape).astype(np.float32)
    assert_found(find_ink(np.clip(0.8 - 0.7 * cover + grain, 0, 1)), cover)


def test_clean_ink_keeps_every_level(cover):
    np.testing.assert_allclose(find_ink(1 - cover), cover, atol=1e-4)
    np.testing.assert_allclose(find_ink(cover), cover, atol=1e-4)


def test_the_polarity_that_is_given_is_obeyed(cover):
    assert find_ink(1 - cover, dark=False)[cover > 0.9].max() < 0.1
    assert find_ink(cover, dark=True)[cover > 0.9].max() < 0.1


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("deviation", [0, 0.008])
def test_blank_paper_has_no_ink_in_any_light(level, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, (SIZE, SIZE))
    for light in (1.0, light_falling_off(0.4)):
        paper = np.clip(level * light + noise, 0, 1).astype(np.float32)
        assert not find_ink(paper).any() and not find_ink(paper, dark=True).any()
    assert is_dark_on_light(np.full((9, 9), level, np.float32)) == (level > 0.5)


def test_the_polarity_of_tight_crops_is_found(data_dir):
    images = read_npz_array(data_dir / "kmnist" / "kmnist-test-imgs.npz", shape=(10000, 28, 28), dtype=np.uint8)[::50]
    levels = images.astype(np.float32) / 255
    assert np.mean([not is_dark_on_light(image) for image in levels]) > 0.98
    assert np.mean([is_dark_on_light(1 - image) for image in levels]) > 0.98


def test_the_polarity_of_scanned_pages_is_found(data_dir):
    scans = np.load(data_dir / "hands" / "ndl-hiragana.npz")["images"][::100].astype(np.float32) / 255
    assert np.mean([is_dark_on_light(scan) for scan in scans]) > 0.98
