"""Printed lines go, strokes stay, also those that look like lines."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.rules import erase_rules
from kuzushiji_tf.ink.strokes import normalize, render

SIZE = 240
CHARACTERS = "一ー丨十口田王日国あ永"
BAR = np.array([[0.1, 0.5], [0.9, 0.5]], np.float32)


@pytest.fixture(scope="module")
def strokes() -> dict:
    return {**load_strokes([c for c in CHARACTERS if c not in "ー丨"]), "ー": [BAR], "丨": [BAR[:, ::-1]]}


def written(strokes, margin: float, pen: float) -> np.ndarray:
    return render(normalize(strokes, margin), SIZE, pen * SIZE).astype(np.float32) / 255


def printed(kind: str, ink: float = 0.5) -> np.ndarray:
    """Rules above and below, a box, or a box with a dashed cross, of 3 pixels and this much ink."""
    image = Image.new("L", (SIZE, SIZE))
    draw, level, last = ImageDraw.Draw(image), round(ink * 255), SIZE - 1
    if kind == "rules":
        draw.line([(0, 5), (last, 9)], fill=level, width=3)
        draw.line([(0, last - 7), (last, last - 5)], fill=level, width=3)
    else:
        draw.rectangle([5, 5, last - 5, last - 5], outline=level, width=3)
    if kind == "cross":
        for start in range(5, last - 5, 12):
            draw.line([(start, SIZE // 2), (start + 7, SIZE // 2)], fill=level, width=2)
            draw.line([(SIZE // 2, start), (SIZE // 2, start + 7)], fill=level, width=2)
    return np.asarray(image).astype(np.float32) / 255


@pytest.mark.parametrize("pen", [0.012, 0.03, 0.06])
@pytest.mark.parametrize("margin", [0.04, 0.12])
def test_a_character_of_straight_strokes_stays_as_it_is(strokes, pen, margin):
    for character in CHARACTERS:
        ink = written(strokes[character], margin, pen)
        np.testing.assert_array_equal(erase_rules(ink), ink, err_msg=character)


@pytest.mark.parametrize("kind", ["rules", "box", "cross"])
@pytest.mark.parametrize("pen", [0.02, 0.05])
def test_lines_that_were_printed_go_and_the_character_stays(strokes, kind, pen):
    for character in CHARACTERS if kind != "cross" else "十口田日国あ":  # others run along the cross, and hide it
        ink = written(strokes[character], 0.08, pen)
        left = erase_rules(np.maximum(ink, printed(kind)))
        stray = (left > 0.3) & (ink == 0)
        assert stray.sum() < 0.05 * (ink > 0.5).sum(), character
        assert (left[ink == 1] > 0.6).mean() > 0.9, character


def test_lines_as_dark_as_the_strokes_go_too_if_they_are_thinner(strokes):
    ink = written(strokes["あ"], 0.08, 0.05)
    left = erase_rules(np.maximum(ink, printed("box", ink=1.0)))
    assert not ((left > 0.3) & (ink == 0)).any()


def test_a_rule_that_leaves_the_horizontal_goes(strokes):
    ink = written(strokes["あ"], 0.15, 0.05)
    for degrees in (-3, 3):
        rules = Image.fromarray(printed("rules")).rotate(degrees, Image.Resampling.BICUBIC)
        left = erase_rules(np.maximum(ink, np.asarray(rules)))
        assert ((left > 0.3) & (ink == 0)).sum() < 0.02 * (ink > 0.5).sum()


def test_a_small_picture_has_no_rules():
    ink = fit_image(printed("box") * 255, 48, box=True) / 255
    np.testing.assert_array_equal(erase_rules(ink), ink)
