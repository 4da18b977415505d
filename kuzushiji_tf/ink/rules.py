"""Printed lines that are no ink: rules, boxes and practice crosses, found and erased where nothing crosses them."""

from dataclasses import dataclass

import numpy as np

from kuzushiji_tf.ink.filters import extreme
from kuzushiji_tf.ink.normalization import ink_width

THICKEST = 0.022  # of a rule, fraction of the picture's longer side; what is thicker was written
LEAST_THICKNESS = 2  # pixels that `THICKEST` must be: in smaller pictures a rule cannot be told from a stroke
FAINTEST = 0.08  # ink of a rule
STRIPS = 16  # across the picture, in each of which a rule is looked for
STEEPEST = 0.06  # a rule's rise, fraction of its length
IN_STRIP = 0.35  # of a strip's length must show the rule (dashes leave gaps) ...
LEAST_STRIPS = 12  # ... in so many of them
MOST_RULES = 12  # in each direction
END = 0.02  # of the picture's width: a line that ends nearer to its side runs through to it
LIGHTER = 0.7  # a rule has at most so much of the ink that the strokes have across ...
LIGHTER_THROUGH = 0.85  # ... or so much if it runs through the whole picture
LITTLE = 0.1  # of all ink: what is left without the rules must be more, or the strokes are among them


@dataclass(frozen=True, eq=False)
class _Line:
    """A straight thin line, nearly horizontal (or vertical, then of the transposed picture).

    Attributes:
        vertical: whether it is.
        first, last: the columns at which it begins and ends.
        rows: float64 `[w]`, where it is in each column.
        ink: the amount of ink across it: thickness in pixels times darkness.
        through: whether it runs from one side of the picture to the other.
    """

    vertical: bool
    first: int
    last: int
    rows: np.ndarray
    ink: float
    through: bool


def erase_rules(ink: np.ndarray) -> np.ndarray:
    """Return the ink of a picture `[h, w]`, 0..1, without the lines that were there before anybody wrote.

    These are straight, thin, nearly horizontal or vertical and as long as the picture or nearly so, and have less ink
    than the strokes. Without any other ink, they are strokes themselves, except for those lighter than the rest.
    """
    thickest = round(THICKEST * max(ink.shape))
    if thickest < LEAST_THICKNESS:
        return ink
    lines = [*_find_lines(ink, thickest), *_find_lines(ink.T, thickest, vertical=True)]
    if not lines:
        return ink
    rest = _without(ink, lines, thickest)
    strokes = _ink_across(rest) if rest.sum() > LITTLE * ink.sum() else max(line.ink for line in lines)
    rules = [line for line in lines if line.ink < strokes * (LIGHTER_THROUGH if line.through else LIGHTER)]
    return _without(ink, rules, thickest)


def _ink_across(ink: np.ndarray) -> float:
    """Return the amount of ink across the strokes of a picture."""
    return float(ink_width(ink)) * float(np.quantile(ink[ink > 0.5 * ink.max()], 0.75))


def _find_lines(ink: np.ndarray, thickest: int, *, vertical: bool = False) -> list[_Line]:
    """Return the long, thin, straight, nearly horizontal lines of a picture."""
    height, width = ink.shape
    thin = ink - _opened(ink, thickest)
    thin[thin < 0.5 * ink] = 0  # the edges of thicker ink
    seen = thin > FAINTEST
    starts = np.arange(STRIPS) * width // STRIPS
    shares = np.add.reduceat(seen, starts, axis=1, dtype=np.float32).T / np.diff([*starts, width])[:, np.newaxis]
    near = np.pad(shares, [(0, 0), (1, 1)])
    near = np.maximum(np.maximum(near[:, :-2], near[:, 2:]), shares)
    rises = np.arange(-round(STEEPEST * width), round(STEEPEST * width) + 1)
    rows = np.rint(rises[:, np.newaxis] * ((np.arange(STRIPS) + 0.5) / STRIPS - 0.5)).astype(int)
    rows = rows[:, :, np.newaxis] + np.arange(height)
    share = np.where((rows >= 0) & (rows < height), near[np.arange(STRIPS)[:, np.newaxis], rows.clip(0, height - 1)], 0)
    votes = (share >= IN_STRIP).sum(axis=1) + share.mean(axis=1)  # by rise and by the row in the middle
    lines: list[_Line] = []
    while len(lines) < MOST_RULES and votes.max() >= LEAST_STRIPS:
        rise, middle = np.unravel_index(votes.argmax(), votes.shape)
        lines.append(_trace(thin, shares, rows[rise, :, middle], thickest, vertical))
        votes[:, max(0, middle - 2 * thickest) : middle + 2 * thickest + 1] = 0
    return lines


def _trace(thin: np.ndarray, shares: np.ndarray, path: np.ndarray, thickest: int, vertical: bool) -> _Line:
    """Return the line that passes near a path, whose row in each strip is given."""
    height, width = thin.shape
    around = path[:, np.newaxis] + np.arange(-2, 3)
    weights = shares[np.arange(STRIPS)[:, np.newaxis], around.clip(0, height - 1)] + 1e-6
    centers = (np.arange(STRIPS) + 0.5) * width / STRIPS - 0.5
    slope, start = np.polyfit(centers, (around * weights).sum(axis=1) / weights.sum(axis=1), 1, w=weights.sum(axis=1))
    rows = start + slope * np.arange(width)
    across = np.rint(rows).astype(int) + np.arange(-thickest, thickest + 1)[:, np.newaxis]
    values = np.where((across >= 0) & (across < height), thin[across.clip(0, height - 1), np.arange(width)], 0)
    seen = np.flatnonzero(values[thickest - 1 : thickest + 2].max(axis=0) > FAINTEST)
    first, last = int(seen[0]), int(seen[-1])
    through = first <= END * width and last >= (1 - END) * width - 1
    return _Line(vertical, first, last, rows, float(np.median(values.sum(axis=0)[seen])), through)


def _without(ink: np.ndarray, lines: list[_Line], thickest: int) -> np.ndarray:
    """Return the ink without lines, but for what is thicker than a rule where a stroke crosses them."""
    ink, beyond = ink.copy(), thickest + 2  # a line may end under another one
    for vertical in (False, True):
        turned = ink.T if vertical else ink
        opened = _opened(turned, thickest)  # after the first direction's lines are gone: crossings go with the second
        for line in (line for line in lines if line.vertical == vertical):
            near = np.abs(np.arange(len(turned))[:, np.newaxis] - line.rows) <= thickest / 2 + 2
            near[:, : max(0, line.first - beyond)] = near[:, line.last + 1 + beyond :] = False
            turned[near] = opened[near]
    return ink


def _opened(ink: np.ndarray, thickest: int) -> np.ndarray:
    """Return the ink less what is at most so many pixels high: a vertical opening."""
    window = (thickest + 1) | 1
    return extreme(extreme(ink, window, np.minimum, (0,)), window, np.maximum, (0,))
