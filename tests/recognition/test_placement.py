"""Size and place in the pad: what makes small kana and marks likely, and how sure one may be of them."""

import numpy as np
import pytest

from kuzushiji_tf.characters.scripts import MARK, SMALL, VARIANTS, fold_small
from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import as_strokes
from kuzushiji_tf.recognition.placement import UNPLACED, form_odds


def box(x: float, y: float, side: float, pad: float = 1.0) -> list[np.ndarray]:
    """Return strokes whose box has its middle at (x, y) of a square pad, and that side."""
    corners = np.array([[x - side / 2, y - side / 2], [x + side / 2, y + side / 2]])
    return as_strokes([corners * pad])


def odds(x: float, y: float, side: float, form: str = SMALL) -> float:
    return form_odds(box(x, y, side), (1, 1))[form]


def test_the_smaller_and_the_nearer_to_its_corner_the_likelier_a_small_kana():
    assert odds(0.3, 0.7, 0.4) > odds(0.4, 0.6, 0.4) > odds(0.5, 0.5, 0.4)
    assert odds(0.5, 0.5, 0.2) > odds(0.5, 0.5, 0.4) > odds(0.5, 0.5, 0.6)
    assert odds(0.3, 0.7, 0.4) == pytest.approx(odds(0.7, 0.3, 0.4)), "horizontal and vertical writing"
    for middle in (0.3, 0.7):  # where no small kana stands
        assert odds(middle, middle, 0.4) == pytest.approx(odds(0.5, 0.5, 0.4), rel=1e-4)
    assert odds(0.5, 0.5, 0.3, MARK) < odds(0.5, 0.5, 0.3, SMALL), "marks are smaller than kana"


def test_nothing_is_ever_certain():
    for size in (0, 0.01, 1):
        for x, y in ((0, 1), (0.5, 0.5), (1, 0)):
            assert all(1 / 40 < value < 40 for value in form_odds(box(x, y, size), (1, 1)).values())


def test_neither_the_unit_nor_ink_beyond_the_edge_matters():
    placed = form_odds(box(0.3, 0.7, 0.4), (1, 1))
    assert form_odds(box(0.3, 0.7, 0.4, 300), (300, 300)) == pytest.approx(placed)
    beyond = as_strokes([[[-5, 0.5], [0.4, 0.9]]])
    assert form_odds(beyond, (1, 1)) == form_odds(as_strokes([[[0, 0.5], [0.4, 0.9]]]), (1, 1))


@pytest.mark.parametrize("x", [0.4, 1.5, 2.6])
def test_an_oblong_pad_is_a_line_of_cells(x):
    large, small = box(x, 0.5, 0.75), box(x, 0.8, 0.3)
    assert form_odds(large, (3, 1))[SMALL] < 0.2
    assert form_odds(small, (3, 1))[SMALL] > 1
    turned = [stroke[:, ::-1] for stroke in small]
    assert form_odds(turned, (1, 3)) == pytest.approx(form_odds(small, (3, 1)))


@pytest.mark.parametrize("canvas", [(0, 1), (1, -1), (float("nan"), 1), (float("inf"), 1), (1,), (1, 2, 3), 5, "12"])
def test_a_canvas_is_two_positive_numbers(canvas):
    with pytest.raises(UserError, match=r"^canvas is [^\n]*two positive numbers\.$"):
        form_odds(box(0.5, 0.5, 0.5), canvas)


def test_people_who_fill_the_pad_write_large_kana_and_their_drawings_shrunk_into_a_corner_are_small(data_dir):
    large = {fold_small(variant) for variant, form in VARIANTS.items() if form == SMALL}
    drawings = [drawing.strokes for drawing in load_tomoe_strokes(data_dir) if drawing.character in large]
    assert len(drawings) > 10
    for strokes in drawings:
        assert form_odds(strokes, (300, 300))[SMALL] < 0.2
        for corner in ([0, 150], [150, 0]):
            assert form_odds([stroke / 2 + corner for stroke in strokes], (300, 300))[SMALL] > 10


def test_marks_lie_where_print_has_them():
    for mark, strokes in load_strokes("。、").items():
        assert form_odds(strokes, (1, 1))[MARK] > 10, mark
    for large, strokes in load_strokes("0Oヽ").items():
        assert form_odds(strokes, (1, 1))[MARK] < 1, large


def test_without_a_pad_no_small_kana_is_offered_and_a_mark_is_no_first_choice():
    assert UNPLACED[SMALL] == 0 and all(0 <= value < 1 for value in UNPLACED.values())
    assert set(UNPLACED) == set(VARIANTS.values()) == set(form_odds(box(0.5, 0.5, 0.5), (1, 1)))
