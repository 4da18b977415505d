"""Strokes and sequences: there and back without error, simplified no more than said."""

import numpy as np
import pytest
import shapely

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer import sequences
from kuzushiji_tf.transfer.modern import modern_characters, modern_strokes
from kuzushiji_tf.transfer.sequences import to_sequence, to_strokes

SNAP = np.sqrt(0.5) / sequences.GRID  # farthest from a point to the grid


@pytest.fixture(scope="module")
def drawings():
    return modern_strokes(modern_characters()[::40])


def stroke(*points):
    return np.array(points, np.float32)


def assert_equal_strokes(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left.dtype == right.dtype == np.float32
        np.testing.assert_array_equal(left, right)


def assert_there_and_back(strokes, epsilon):
    sequence = to_sequence(strokes, epsilon)
    back = to_strokes(sequence)
    assert_equal_strokes(back, sequences.simplify(strokes, epsilon))
    assert len(back) == len(strokes) == sequence[:, 2].sum()
    scale = 0.20607989
    rows = sequences.to_stroke5(sequence, scale, len(sequence) + 3)
    np.testing.assert_array_equal(sequences.to_stroke3(rows, scale), sequence)


def test_rows_say_how_far_and_when_the_pen_is_lifted():
    strokes = [stroke((0.5, 0.25), (0.75, 0.25), (0.75, 0.5)), stroke((0.25, 0.25))]
    expected = [(0, -0.25, 0), (0.25, 0, 0), (0, 0.25, 1), (-0.5, -0.25, 1)]
    sequence = to_sequence(strokes, 1.0)
    assert sequence.dtype == np.float32
    np.testing.assert_array_equal(sequence, expected)
    assert_equal_strokes(to_strokes(sequence), strokes)


def test_stroke5_has_one_state_a_row_and_closes_with_the_end():
    sequence = to_sequence([stroke((0.5, 0.25), (0.75, 0.25)), stroke((0.25, 0.25))], 1.0)
    rows = sequences.to_stroke5(sequence, 0.5, 5)
    expected = [(0, -0.5, 1, 0, 0), (0.5, 0, 0, 1, 0), (-1, 0, 0, 1, 0), (0, 0, 0, 0, 1), (0, 0, 0, 0, 1)]
    np.testing.assert_array_equal(rows, expected)
    assert rows.dtype == np.float32


def test_sequences_lead_back_to_the_same_strokes(drawings):
    for epsilon in (0.0, 0.5, 1.0, 2.0):
        for strokes in drawings[::4]:
            assert_there_and_back(strokes, epsilon)


@pytest.mark.slow
def test_sequences_of_all_of_kanjivg_lead_back_to_the_same_strokes():
    for strokes in modern_strokes(modern_characters()):
        assert_there_and_back(strokes, sequences.EPSILON)


def test_no_point_strays_farther_than_the_tolerance(drawings):
    for epsilon in (0.5, 1.0, 2.0):
        farthest = 0.0
        for strokes in drawings:
            for original, simplified in zip(strokes, sequences.simplify(strokes, epsilon), strict=True):
                line = shapely.linestrings(simplified if len(simplified) > 1 else np.repeat(simplified, 2, axis=0))
                farthest = max(farthest, shapely.distance(shapely.points(original), line).max())
                np.testing.assert_allclose(simplified[[0, -1]], original[[0, -1]], atol=SNAP)
        assert 0.9 * epsilon / 109 < farthest <= epsilon / 109 + SNAP


def test_only_points_that_bend_the_line_stay():
    bump = np.full(21, 0.5)
    bump[10] += 1.5 / 109
    line = np.stack([np.linspace(0, 1, 21), bump], axis=1).astype(np.float32)
    assert len(sequences.simplify([line], 2.0)[0]) == 2
    np.testing.assert_allclose(sequences.simplify([line], 1.0)[0][:, 0], [0, 0.45, 0.5, 0.55, 1], atol=SNAP)


def test_simplifying_again_changes_nothing(drawings):
    for strokes in drawings[::4]:
        once = sequences.simplify(strokes, 1.0)
        assert_equal_strokes(sequences.simplify(once, 1.0), once)


def test_closed_small_and_repeated_strokes_keep_a_point():
    angle = np.linspace(0, 2 * np.pi, 40)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    large, small = ((0.5 + radius * ring).astype(np.float32) for radius in (0.3, 0.001))
    rested = stroke((0.1, 0.1), (0.1, 0.1))
    simplified = sequences.simplify([large, small, rested], 1.0)
    assert len(simplified[0]) > 6
    np.testing.assert_array_equal(simplified[0][0], simplified[0][-1])
    assert [len(points) for points in simplified[1:]] == [1, 1]


def test_points_after_the_last_lift_are_a_stroke_too():
    strokes = to_strokes(np.array([(0, 0, 1), (0.25, 0, 0), (0, 0.25, 0)], np.float32))
    assert_equal_strokes(strokes, [stroke((0.5, 0.5)), stroke((0.75, 0.5), (0.75, 0.75))])


def test_nothing_drawn_is_an_empty_sequence():
    assert to_sequence([], 1.0).shape == (0, 3) and to_strokes(np.zeros((0, 3), np.float32)) == []
    assert sequences.to_stroke3(np.float32([sequences.END]), 0.2).shape == (0, 3)


def test_a_table_holds_what_is_short_enough_and_counts_the_rest(drawings):
    lengths = np.array([len(to_sequence(strokes, 1.0)) for strokes in drawings])
    longest = int(np.quantile(lengths, 0.8))
    table, kept = sequences.make_table(drawings, 1.0, longest)
    np.testing.assert_array_equal(kept, np.flatnonzero(lengths <= longest))
    assert kept.dtype == np.int64 and table.lengths.dtype == np.int32
    assert table.left_out == (lengths > longest).sum() > 0 and len(table.rows) == len(drawings) - table.left_out
    np.testing.assert_array_equal(table.lengths, lengths[kept])
    assert table.rows.shape == (len(kept), longest + 1, 5) and table.rows.dtype == np.float32
    for rows, place, length in zip(table.rows, kept, table.lengths, strict=True):
        np.testing.assert_array_equal(rows[length:], np.tile(sequences.END, (longest + 1 - length, 1)))
        np.testing.assert_array_equal(sequences.to_stroke3(rows, table.scale), to_sequence(drawings[place], 1.0))


def test_the_scale_is_the_standard_deviation_of_all_offsets(drawings):
    table, _ = sequences.make_table(drawings, 1.0, 200)
    assert table.left_out == 0
    offsets = table.rows[np.arange(201) < table.lengths[:, np.newaxis]][:, :2]
    np.testing.assert_allclose(offsets.std(), 1, rtol=1e-5)
    given, _ = sequences.make_table(drawings, 1.0, 200, scale=2 * table.scale)
    np.testing.assert_allclose(given.rows[..., :2] * 2, table.rows[..., :2], rtol=1e-6)


def test_a_limit_that_leaves_nothing_is_refused(drawings):
    with pytest.raises(UserError, match=r"2 drawings.* 1 points"):
        sequences.make_table(drawings[50:52], 1.0, 1)
