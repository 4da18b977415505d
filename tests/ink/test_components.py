"""Which pieces of ink are the character: dots are, specks and what the edge cuts off neighbors are not."""

import numpy as np
import pytest
from scipy import ndimage

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.components import character_of, find_pieces
from kuzushiji_tf.ink.strokes import normalize, render

SIZE = 200


def written(character: str, margin: float = 0.2, pen: float = 10) -> np.ndarray:
    strokes = normalize(load_strokes(character)[character], margin)
    return render(strokes, SIZE, pen).astype(np.float32) / 255


def beside(ink: np.ndarray, other: np.ndarray, depth: int, *, turns: int) -> np.ndarray:
    """Put the lower end of another character to one side of the picture."""
    strip = np.zeros_like(ink)
    strip[:depth] = other[SIZE - depth :]
    return np.maximum(ink, np.rot90(strip, turns))


@pytest.mark.parametrize("density", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("shape", [(40, 60), (1, 30), (30, 1)])
def test_pieces_are_those_of_scipy(density, shape):
    is_ink = np.random.default_rng(0).random(shape) < density
    pieces = find_pieces(is_ink)
    expected, count = ndimage.label(is_ink, np.ones((3, 3)))
    assert len(pieces.boxes) == len(pieces.areas) == count
    np.testing.assert_array_equal(pieces.numbers > 0, is_ink)
    assert len(np.unique(np.stack([pieces.numbers, expected])[:, is_ink], axis=1).T) == count
    for number, (rows, columns) in enumerate(ndimage.find_objects(pieces.numbers)):
        assert pieces.boxes[number].tolist() == [rows.start, rows.stop, columns.start, columns.stop]
        assert pieces.areas[number] == (pieces.numbers == number + 1).sum()


@pytest.mark.parametrize("character", ["ば", "ぱ", "犬", "、", "。", "心", "い", "川", "小", "ミ"])
@pytest.mark.parametrize("margin", [0.025, 0.05, 0.2])
def test_every_dot_and_stroke_belongs_to_its_character(character, margin):
    ink = written(character, margin)
    np.testing.assert_array_equal(character_of(ink), ink > 0.3)


def test_specks_are_left_out():
    ink = written("ば")
    dirty = ink.copy()
    for row, column in np.random.default_rng(0).integers(0, SIZE - 4, (20, 2)):
        dirty[row : row + 3, column : column + 4] = 1
    far = ndimage.binary_dilation(ink > 0, iterations=4)
    assert not character_of(dirty)[~far].any()
    assert character_of(dirty)[ink > 0.3].all()


@pytest.mark.parametrize("turns", [(0,), (1, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("other", ["木", "ね", "書"])
def test_what_the_edge_cuts_off_a_neighbor_is_left_out(other, turns):
    ink = written("あ")
    crowded = ink
    for turn in turns:
        crowded = beside(crowded, written(other, 0.0), 30, turns=turn)
    np.testing.assert_array_equal(character_of(crowded), ink > 0.3)


def test_a_neighbor_of_a_character_with_dots_leaves_the_dots():
    ink = written("ば", 0.17)
    np.testing.assert_array_equal(character_of(beside(ink, written("木", 0.0), 26, turns=1)), ink > 0.3)


def test_a_picture_that_is_full_of_ink_is_left_as_it_is():
    """A piece that the edge cuts may be a stroke of the character then."""
    ink = written("書", -0.02)
    np.testing.assert_array_equal(character_of(ink), ink > 0.3)
