"""Strokes as they were drawn against strokes as they are written: which is which, in what order and direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kuzushiji_tf.ink.strokes import LEAST_SIDE, Strokes, arc_length, normalize, resample

POINTS = 16  # of a stroke that is compared
FARTHEST = 0.3  # mean distance of two strokes that can be the same, in longer sides of the character's box
TURNED = 0.15  # a stroke is drawn backward if that is so much nearer, in lengths of the stroke
ROUNDS = 3  # of matching strokes and laying one character over the other

Fault = Literal["missing", "extra", "reversed", "order"]


@dataclass(frozen=True)
class Remark:
    """What is wrong with one stroke.

    Attributes:
        fault: `missing`: it was not drawn; `extra`: it is not part of the character; `reversed`: it was drawn from its
            end to its beginning; `order`: it was drawn too early or too late.
        stroke: its number as it is written, from 0; of an extra stroke, the number as it was drawn.
    """

    fault: Fault
    stroke: int


@dataclass(frozen=True)
class Comparison:
    """Drawn strokes, matched to those of a model.

    Attributes:
        written_as: for each drawn stroke the number of the model's stroke that it is; None: it is none.
        remarks: what is wrong, if anything.
    """

    written_as: list[int | None]
    remarks: list[Remark]


def compare(drawn: Strokes, model: Strokes) -> Comparison:
    """Return which strokes were drawn, and what is wrong with their number, order and direction.

    Strokes are matched by place and form, whatever their order: each drawn one to at most one of the model's, so that
    all together are as near as they can be, at most `FARTHEST` each. What was drawn is laid over the model by the
    strokes that were matched, since a character that lacks some has another box.

    Args:
        drawn: in any unit, y down, in the order of drawing; none is without a point.
        model: the same in the order of writing.
    """
    ours, theirs = ([_evenly(stroke) for stroke in normalize(strokes, margin=0)] for strokes in (drawn, model))
    lengths = [max(float(arc_length(stroke)[-1]), LEAST_SIDE) for stroke in theirs]
    laid = ours
    for _ in range(ROUNDS):
        forward, backward = _distances(laid, theirs), _distances([stroke[::-1] for stroke in laid], theirs)
        written_as = _matched(np.minimum(forward, backward))
        laid = _laid_over(ours, theirs, written_as, backward < forward)
    remarks = [Remark("missing", number) for number in range(len(theirs)) if number not in written_as]
    remarks += [Remark("extra", number) for number, other in enumerate(written_as) if other is None]
    pairs = [(number, other) for number, other in enumerate(written_as) if other is not None]
    in_order = _longest_rise([other for _, other in pairs])
    for number, other in pairs:
        if forward[number, other] - backward[number, other] > TURNED * lengths[other]:
            remarks.append(Remark("reversed", other))
        if other not in in_order:
            remarks.append(Remark("order", other))
    return Comparison(written_as, remarks)


def _evenly(stroke: np.ndarray) -> np.ndarray:
    return resample(stroke, POINTS) if len(stroke) > 1 else np.repeat(stroke, POINTS, axis=0)


def _distances(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean distance of the points of each of some strokes from those of each other, float `[n, m]`."""
    apart = np.stack(some)[:, np.newaxis] - np.stack(others)[np.newaxis]
    return np.sqrt((apart**2).sum(axis=-1)).mean(axis=-1)


def _laid_over(
    ours: list[np.ndarray], theirs: list[np.ndarray], written_as: list[int | None], is_turned: np.ndarray
) -> list[np.ndarray]:
    """Return strokes moved and stretched so that those that are matched lie where the others do, as far as it goes."""
    pairs = [(number, other) for number, other in enumerate(written_as) if other is not None]
    if not pairs:
        return ours
    source = np.concatenate([ours[number][:: -1 if is_turned[number, other] else 1] for number, other in pairs])
    target = np.concatenate([theirs[other] for _, other in pairs])
    laid = np.stack(ours)
    for axis in (0, 1):
        spread = source[:, axis].std()
        stretch = 1.0
        if spread > 0.05:  # hardly any extent says nothing of a scale
            stretch = float(np.clip(np.cov(source[:, axis], target[:, axis])[0, 1] / spread**2, 0.5, 2))
        laid[..., axis] = (laid[..., axis] - source[:, axis].mean()) * stretch + target[:, axis].mean()
    return list(laid)


def _matched(costs: np.ndarray) -> list[int | None]:
    """Return for each row the column that it is given, none twice, so that the sum is least; None costs `FARTHEST`.

    The Hungarian method: shortest augmenting paths, one row after the other.
    """
    rows, columns = costs.shape
    padded = np.concatenate([costs, np.full((rows, rows), FARTHEST)], axis=1)  # every row may stay without a column
    count = columns + rows
    row_at = np.full(count + 1, rows)  # `count` is where the row that is being placed begins
    of_row, of_column = np.zeros(rows + 1), np.zeros(count + 1)
    for row in range(rows):
        row_at[count], column = row, count
        least, before = np.full(count, np.inf), np.full(count, count)
        is_done = np.zeros(count + 1, bool)
        while row_at[column] < rows:
            is_done[column] = True
            at = row_at[column]
            reduced = padded[at] - of_row[at] - of_column[:count]
            nearer = ~is_done[:count] & (reduced < least)
            least[nearer], before[nearer] = reduced[nearer], column
            open_columns = np.flatnonzero(~is_done[:count])
            column = int(open_columns[least[open_columns].argmin()])
            step = least[column]
            of_row[row_at[is_done]] += step
            of_column[is_done] -= step
            least[open_columns] -= step
        while column != count:
            previous = int(before[column])
            row_at[column], column = row_at[previous], previous
    found: list[int | None] = [None] * rows
    for column in range(columns):
        if row_at[column] < rows:
            found[row_at[column]] = column
    return found


def _longest_rise(values: Sequence[int]) -> set[int]:
    """Return the values of a longest rising subsequence."""
    best: list[list[int]] = []
    for value in values:
        rises = [rise for rise in best if rise[-1] < value]
        before: list[int] = max(rises, key=len) if rises else []
        best.append([*before, value])
    longest: list[int] = max(best, key=len) if best else []
    return set(longest)
