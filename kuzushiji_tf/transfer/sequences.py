"""Strokes as sequences of pen movements, as Sketch-RNN reads and writes them (Ha & Eck 2017, section 3.1).

stroke-3: float32 `[t, 3]`, one row a point: how far it lies from the point before (x, y; the first one from the center
of the unit box), and 1 where the pen is lifted after it, else 0. Points lie on a grid so fine that nobody sees it
(`GRID`), on which float32 adds and subtracts without error: the way there and back is exact.

stroke-5: float32 `[t, 5]`, offsets divided by one scale, then which of three states follows: the pen stays down, it is
lifted, or the drawing has ended (one-hot).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from kuzushiji_tf.datasets.kanjivg import BOX
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import Strokes

EPSILON = 1.0  # of the simplification: how far it may stray, in KanjiVG's units of 1/109 of the box
GRID = 1 << 16  # steps along a side of the unit box
ORIGIN = 0.5  # x and y of where the pen starts
START = (0.0, 0.0, 1.0, 0.0, 0.0)  # the stroke-5 row that stands before the first one
END = (0.0, 0.0, 0.0, 0.0, 1.0)  # the one that closes a drawing and pads it


@dataclass(frozen=True, eq=False)
class SequenceTable:
    """Drawings as stroke-5, all of one length.

    Attributes:
        rows: float32 `[n, longest + 1, 5]`; after its points a drawing has `END` in every row, at least in one.
        lengths: int32 `[n]`, points of each drawing.
        scale: by which offsets are divided: their standard deviation over all drawings, x and y together.
        left_out: how many drawings had more points than `longest`.
    """

    rows: np.ndarray
    lengths: np.ndarray
    scale: float
    left_out: int


def make_table(
    drawings: Sequence[Strokes], epsilon: float, longest: int, scale: float | None = None
) -> tuple[SequenceTable, np.ndarray]:
    """Return drawings as a table of stroke-5, and which of them it holds.

    Args:
        drawings: the strokes of each character, in the unit box.
        epsilon: as `simplify` takes it.
        longest: a drawing of more points is left out; none is cut.
        scale: by which to divide offsets; None: their standard deviation.

    Returns:
        the table, and int64 `[n]`: the place in `drawings` of each of its rows.

    Raises:
        UserError: every drawing is too long.
    """
    sequences = [to_sequence(strokes, epsilon) for strokes in drawings]
    kept = np.flatnonzero([len(sequence) <= longest for sequence in sequences])
    if not len(kept):
        raise UserError(
            f"None of the {len(drawings):,} drawings has at most {longest} points at a tolerance of {epsilon}; "
            "raise the limit or the tolerance."
        )
    sequences = [sequences[place] for place in kept]
    if scale is None:
        scale = float(np.concatenate(sequences)[:, :2].std(dtype=np.float64))
    rows = np.stack([to_stroke5(sequence, scale, longest + 1) for sequence in sequences])
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    return SequenceTable(rows, lengths, scale, left_out=len(drawings) - len(kept)), kept


def to_sequence(strokes: Strokes, epsilon: float = EPSILON) -> np.ndarray:
    """Return strokes of the unit box, simplified, as stroke-3; float32 `[t, 3]`."""
    if not strokes:
        return np.zeros((0, 3), np.float32)
    simplified = simplify(strokes, epsilon)
    points = np.concatenate(simplified)
    sequence = np.zeros((len(points), 3), np.float32)
    sequence[:, :2] = np.diff(points, axis=0, prepend=np.float32(ORIGIN))
    sequence[np.cumsum([len(stroke) for stroke in simplified]) - 1, 2] = 1
    return sequence


def to_strokes(sequence: np.ndarray) -> Strokes:
    """Return stroke-3 `[t, 3]` as strokes of the unit box: exactly those that `simplify` gave.

    Points after the last lift of the pen are a stroke too.
    """
    points = (ORIGIN + np.cumsum(sequence[:, :2], axis=0, dtype=np.float64)).astype(np.float32)
    return [stroke for stroke in np.split(points, np.flatnonzero(sequence[:, 2]) + 1) if len(stroke)]


def simplify(strokes: Strokes, epsilon: float) -> Strokes:
    """Return strokes brought to the grid, of as few of their points as keep to their line (Ramer-Douglas-Peucker).

    Args:
        strokes: in the unit box; points farther than 256 from 0 have no place on the grid.
        epsilon: no point lies farther than this from the simplified line, in units of 1/109 of the box; a stroke that
            ends where it began and strays no farther becomes a dot.

    Returns:
        float32 `[points, 2]` each: the ends of a stroke stay, no two points that follow each other are equal.
    """
    return [
        _simplify_stroke(_distinct(np.rint(stroke.astype(np.float64) * GRID) / GRID), epsilon) for stroke in strokes
    ]


def to_stroke5(sequence: np.ndarray, scale: float, length: int) -> np.ndarray:
    """Return stroke-3 `[t, 3]` as stroke-5, offsets divided by `scale`, padded with `END`; float32 `[length, 5]`."""
    rows = np.tile(np.array(END, np.float32), (length, 1))
    drawn = rows[: len(sequence)]
    drawn[:, :2] = sequence[:, :2] / np.float64(scale)
    drawn[:, 2:] = np.stack([1 - sequence[:, 2], sequence[:, 2], np.zeros(len(sequence))], axis=1)
    return rows


def to_stroke3(rows: np.ndarray, scale: float) -> np.ndarray:
    """Return stroke-5 `[t, 5]` up to its first end as stroke-3 on the grid: exactly what `to_stroke5` was given."""
    state = rows[:, 2:].argmax(axis=1)
    drawn = np.logical_and.accumulate(state != 2)
    offsets = np.rint(rows[drawn, :2].astype(np.float64) * scale * GRID) / GRID
    return np.concatenate([offsets, state[drawn, np.newaxis]], axis=1).astype(np.float32)


def _simplify_stroke(stroke: np.ndarray, epsilon: float) -> np.ndarray:
    if len(stroke) > 1:
        line = shapely.linestrings(stroke)
        kept = _distinct(shapely.get_coordinates(line.simplify(epsilon / BOX, preserve_topology=False)))
        stroke = kept if len(kept) else stroke[:1]
    return stroke.astype(np.float32)


def _distinct(stroke: np.ndarray) -> np.ndarray:
    """Return the points of a stroke that differ from the one before."""
    return stroke[np.append(True, np.diff(stroke, axis=0).any(axis=1))[: len(stroke)]]
