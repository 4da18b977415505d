import importlib.metadata
import warnings

import numpy as np
import pytest

from kuzushiji_tf.datasets import kanjivg
from kuzushiji_tf.errors import UserError


def test_strokes_come_in_writing_order_and_in_the_unit_box():
    strokes = kanjivg.load_strokes("二川")
    assert [len(strokes[character]) for character in "二川"] == [2, 3]
    upper, lower = strokes["二"]
    assert upper[:, 1].max() < lower[:, 1].min(), "y points down"
    assert np.ptp(upper[:, 0]) < np.ptp(lower[:, 0])
    starts = [stroke[0, 0] for stroke in strokes["川"]]
    assert starts == sorted(starts)
    for stroke in (*strokes["二"], *strokes["川"]):
        assert stroke.dtype == np.float32 and 0 <= stroke.min() <= stroke.max() <= 1


def test_curves_are_followed_closely():
    stroke = kanjivg.path_to_stroke("M0,54.5c0,-30.1,24.4,-54.5,54.5,-54.5")
    radius = np.linalg.norm(stroke - 0.5, axis=1)
    np.testing.assert_allclose(radius, 0.5, atol=2e-3)
    np.testing.assert_allclose(stroke[[0, -1]], [(0, 0.5), (0.5, 0)], atol=1e-6)


def test_an_unknown_character_is_refused():
    assert kanjivg.has_strokes("あ") and not kanjivg.has_strokes("☃") and not kanjivg.has_strokes("あい")
    for character in ("☃", "あい", ""):
        with pytest.raises(UserError, match="KanjiVG"):
            kanjivg.load_strokes([character])


@pytest.mark.parametrize("path", ["", "hello", "M1,1 L5,5 M7,7 L9,9"])
def test_what_is_not_one_line_is_refused(path):
    with pytest.raises(UserError, match="SVG path"):
        kanjivg.path_to_stroke(path)


def test_a_missing_package_is_refused_with_the_command_that_installs_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    kanjivg._files.cache_clear()
    try:
        with pytest.raises(UserError, match="pip install kanjivg"):
            kanjivg.has_strokes("あ")
    finally:
        kanjivg._files.cache_clear()


def test_some_characters_have_a_second_form_as_the_hand_writes_it():
    written, printed = kanjivg.load_kaisho("終"), kanjivg.load_strokes("終")["終"]
    assert len(written) == len(printed) == 11
    assert any(len(a) != len(b) or abs(a - b).max() > 0.1 for a, b in zip(written, printed, strict=True))
    assert kanjivg.load_kaisho("一") is kanjivg.load_kaisho("あ") is None


@pytest.mark.parametrize("path", ["M 1 1 L 1e999 2", "M nan 1 L 1 2", "M 1 1 L 2e30 1", "x" * 10_000])
def test_a_line_to_nowhere_is_refused_in_one_short_sentence(path):
    with pytest.raises(UserError, match="path") as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kanjivg.path_to_stroke(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", ["<svg", '<?xml version="1.0" encoding="none"?><svg/>', "<a>&b;</a>", ""])
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path, content):
    (tmp_path / "04e00.svg").write_text(content)
    with pytest.raises(UserError, match="install kanjivg again"):
        kanjivg._read(tmp_path / "04e00.svg")
