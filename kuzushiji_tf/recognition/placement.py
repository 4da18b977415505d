"""Size and place: what the ink's box in the pad says of small kana and marks, which are drawn as others are."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kuzushiji_tf.characters.scripts import LINE, MARK, SMALL
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import Strokes

Odds = Mapping[str, float]  # of each form of `scripts.VARIANTS`, against the large character that looks the same

# docs/ink.md says where each number comes from.
SIZE = 10.0  # by how much the logarithm of the odds falls with a longer side of the ink's box, in sides of the cell
PLACE = 12.0  # by how much it rises with the distance from the middle, towards the lower left or the upper right
EVEN = {SMALL: 0.3, MARK: 0.2}  # the longer side, in the middle of the cell, of which the odds are even
SUREST = 3.5  # the logarithm never gets farther from 0: 97 %
CLEAR = 5.0  # odds so high, or as low as 1 to 5, have told a variant from what looks the same
# In a line the neighbors tell how large its writer writes, and where a line lies: size says more.
EVEN_IN_LINE = {SMALL: 0.6, MARK: 0.3}
UNPLACED: Odds = {SMALL: 0.0, MARK: 0.25, LINE: 0.4}  # where no pad is known; what has odds of 0 is not offered


def form_odds(strokes: Strokes, canvas: Iterable[Any]) -> Odds:
    """Return the odds of each form for strokes in a pad; ink outside of the pad counts as lying on its edge.

    The cell is the pad; of an oblong pad, the square of its shorter side that is nearest to the ink.

    Args:
        strokes: in the unit of the pad, (0, 0) its top left corner, y down.
        canvas: the pad's width and height.

    Raises:
        UserError: the canvas is not two positive numbers.
    """
    pad = _checked(canvas)
    points = np.clip(np.concatenate(strokes), 0, pad)
    low, high = points.min(axis=0), points.max(axis=0)
    cell = pad.min()
    from_middle = (low + high - pad) / 2
    to_cell = np.clip(from_middle, (cell - pad) / 2, (pad - cell) / 2)  # how far an oblong pad's cell has moved
    x, y = (from_middle - to_cell) / cell
    return _odds((high - low).max() / cell, abs(x - y), EVEN)


def odds_in_line(size: float, place: float) -> Odds:
    """Return the odds of each form for a character of a line.

    Args:
        size: the longer side of its box, in sides of the line's cells.
        place: how far it lies from the middle of the line, in these, down in a horizontal one, to the right in a
            vertical one.
    """
    return _odds(size, place, EVEN_IN_LINE)


def _odds(size: float, place: float, evens: dict[str, float]) -> Odds:
    logarithms = {form: SIZE * (even - size) + PLACE * place for form, even in evens.items()}
    return {**UNPLACED, **{form: float(np.exp(np.clip(value, -SUREST, SUREST))) for form, value in logarithms.items()}}


def _checked(canvas: Iterable[Any]) -> np.ndarray:
    """Return a pad's width and height, float64 `[2]`."""
    try:
        pad = np.asarray(canvas)
    except ValueError:  # of nested lists
        pad = np.empty(0)
    if pad.shape != (2,) or pad.dtype.kind not in "iuf" or not (np.isfinite(pad) & (pad > 0)).all():
        raise UserError(f"canvas is {canvas!r}; it must be the width and height of the pad, two positive numbers.")
    return pad.astype(np.float64)
