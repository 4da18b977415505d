"""SVG pictures: exact there and back, strokes in order, animated without a script."""

from xml.etree import ElementTree

import numpy as np
import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer.modern import modern_characters, modern_strokes
from kuzushiji_tf.transfer.pictures import PAUSE, from_svg, to_animated_svg, to_svg
from kuzushiji_tf.transfer.sequences import to_sequence, to_strokes

SVG = "{http://www.w3.org/2000/svg}"


def assert_there_and_back(strokes):
    back = from_svg(to_svg(strokes))
    assert len(back) == len(strokes)
    for original, read in zip(strokes, back, strict=True):
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, original)


def test_pictures_lead_back_to_the_same_strokes():
    for strokes in modern_strokes(modern_characters()[::60]):
        assert_there_and_back(strokes)
        assert_there_and_back(to_strokes(to_sequence(strokes, 1.0)))


@pytest.mark.slow
def test_pictures_of_all_of_kanjivg_lead_back_to_the_same_strokes():
    for strokes in modern_strokes(modern_characters()):
        assert_there_and_back(strokes)
        assert_there_and_back(to_strokes(to_sequence(strokes, 1.0)))


def test_dots_rests_and_any_float32_survive():
    random = np.random.default_rng(0)
    numbers = random.normal(size=(2000, 2)) * 10.0 ** random.integers(-12, 4, (2000, 1))
    dot, rest = np.zeros((1, 2), np.float32), np.full((2, 2), 0.3, np.float32)
    assert_there_and_back([dot, rest, numbers.astype(np.float32), np.float32([[-0.1, 1e-30]])])
    assert from_svg(to_svg([])) == []


def test_a_picture_has_one_path_a_stroke_and_its_title():
    strokes = [np.float32([(0, 0.5), (1, 0.5)]), np.float32([(0.5, 0.25)])]
    root = ElementTree.fromstring(to_svg(strokes, title="<十> & co"))
    assert root.get("viewBox") == "0 0 109 109" and root.findtext(f"{SVG}title") == "<十> & co"
    (group,) = root.iter(f"{SVG}g")
    assert group.get("stroke-linecap") == "round" and group.get("fill") == "none"
    assert [path.get("d") for path in group] == ["M0,54.5L109,54.5", "M54.5,27.25h0"]


def test_an_animation_writes_stroke_after_stroke_and_stands_still_when_done():
    (strokes,) = modern_strokes("永")
    text = to_animated_svg(strokes, seconds_per_stroke=0.5, title="永")
    ghost, *paths = ElementTree.fromstring(text).iter(f"{SVG}path")
    assert len(paths) == len(strokes) and ghost.get("d") == "".join(path.get("d") for path in paths)
    total = 0.5 * len(strokes) + PAUSE
    for place, path in enumerate(paths):
        animation = path.find(f"{SVG}animate")
        times = [float(time) * total for time in animation.get("keyTimes").split(";")]
        np.testing.assert_allclose(times, [0, 0.5 * place, 0.5 * place + 0.5, total], atol=1e-3)
        assert animation.get("dur") == f"{total:g}s" and animation.get("values") == "110;110;0;0"


def test_an_animation_needs_no_script_and_is_whole_where_nothing_moves():
    text = to_animated_svg([np.float32([(0.1, 0.1), (0.9, 0.9)]), np.float32([(0.5, 0.2)])])
    assert "script" not in text and "href" not in text and "style" not in text
    for path in ElementTree.fromstring(text).iter(f"{SVG}path"):
        assert not {"stroke-dasharray", "stroke-dashoffset", "opacity"} & set(path.attrib)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_pen_that_takes_no_time_is_refused(seconds):
    with pytest.raises(UserError, match="seconds"):
        to_animated_svg([np.float32([(0, 0), (1, 1)])], seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not an SVG"),
        ("<svg", "not an SVG"),
        ("<html/>", "not an SVG"),
        ('<svg xmlns="http://www.w3.org/2000/svg"><path d="M1,1c2,2,3,3,4,4"/></svg>', "not one stroke of straight"),
        ('<svg xmlns="http://www.w3.org/2000/svg"><path/></svg>', "not one stroke of straight"),
        (to_animated_svg([np.float32([(0, 0), (1, 1)])]), "is animated"),
    ],
)
def test_other_pictures_are_refused(text, problem):
    with pytest.raises(UserError, match=problem):
        from_svg(text)
