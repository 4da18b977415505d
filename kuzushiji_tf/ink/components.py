"""Connected pieces of ink: which of them are the character, and which are specks or parts of its neighbors."""

from dataclasses import dataclass

import numpy as np

from kuzushiji_tf.ink.normalization import ink_width

INK = 0.3  # of the strongest ink: what counts as ink
SPECK = 0.35  # a piece smaller than this, in squares of the strokes' width, is a speck
LEAST_SIDE = 40  # pixels: in smaller pictures pieces of neighbors cannot be told from strokes
DEEPEST = 0.3  # that a neighbor's piece reaches into the picture, fraction of its side
LARGEST = 0.85  # that a character is which has neighbors, fraction of the picture's longer side
OFF_CENTER = 0.2  # that it lies off the middle of the picture, fraction of its side
LEAST_SHARE = 0.25  # that it has of all ink
FULL = 0.9  # of a piece's strongest ink: what the edge has of it if a stroke goes on beyond ...
ACROSS = 0.7  # ... across so much of the stroke's width


@dataclass(frozen=True, eq=False)
class Pieces:
    """The connected pieces of ink of a picture.

    Attributes:
        numbers: int32 `[h, w]`, of the piece at each pixel, from 1; 0: no ink.
        boxes: int64 `[n, 4]`, top, bottom, left and right of each (bottom and right are the first without it).
        areas: int64 `[n]`, pixels.
    """

    numbers: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray


def find_pieces(is_ink: np.ndarray) -> Pieces:
    """Return the pieces of bool `[h, w]`; pixels that touch at a corner are connected."""
    height, width = is_ink.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = is_ink
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    roots = _join_runs(np.searchsorted(rows, np.arange(height + 1)).tolist(), starts.tolist(), ends.tolist())
    _, owners = np.unique(roots, return_inverse=True)
    count = int(owners.max(initial=-1)) + 1
    numbers = np.zeros((height, width), np.int32)
    numbers[is_ink] = np.repeat(owners, ends - starts) + 1
    boxes = np.empty((count, 4), np.int64)
    boxes[:, ::2] = max(height, width)
    boxes[:, 1::2] = 0
    for column, function, values in (
        (0, np.minimum, rows),
        (1, np.maximum, rows + 1),
        (2, np.minimum, starts),
        (3, np.maximum, ends),
    ):
        function.at(boxes[:, column], owners, values)
    return Pieces(numbers, boxes, np.bincount(owners, ends - starts, count).astype(np.int64))


def _join_runs(first_of_row: list[int], starts: list[int], ends: list[int]) -> np.ndarray:
    """Return for each run of ink in a row the first run of the piece it belongs to."""
    parents = list(range(len(starts)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    for row in range(1, len(first_of_row) - 1):
        above, here = first_of_row[row - 1], first_of_row[row]
        above_end, here_end = here, first_of_row[row + 1]
        while above < above_end and here < here_end:
            if starts[above] <= ends[here] and starts[here] <= ends[above]:
                one, other = root(above), root(here)
                parents[max(one, other)] = min(one, other)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1
    return np.array([root(run) for run in range(len(starts))], np.int64)


def character_of(ink: np.ndarray) -> np.ndarray:
    """Return which pixels of ink float32 `[h, w]` belong to the character in the middle: bool `[h, w]`.

    Left out are specks, and pieces that the picture's edge cuts off a neighbor: those that lie outside the box of all
    that does not touch the edge, if that is in the middle, has a margin and has enough of all ink to be a character.
    """
    pieces = find_pieces(ink > INK * ink.max())
    kept = ~_are_specks(pieces, ink)
    if min(ink.shape) >= LEAST_SIDE:
        kept &= ~_are_neighbors(pieces, ink, kept)
    return np.concatenate([[False], kept])[pieces.numbers]


def _are_specks(pieces: Pieces, ink: np.ndarray) -> np.ndarray:
    """Return which pieces are much smaller than a dot of the pen that wrote the others; never the largest."""
    order = np.argsort(pieces.areas)
    largest = order[np.cumsum(pieces.areas[order]) > 0.5 * pieces.areas.sum()]  # pieces with half of the ink
    width = float(ink_width(np.where(np.isin(pieces.numbers, largest + 1), ink, 0)))
    specks: np.ndarray = pieces.areas < min(SPECK * width * width, pieces.areas.max())
    return specks


def _are_neighbors(pieces: Pieces, ink: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return which pieces belong to neighbors of the character in the middle.

    Neighbors are pieces that an edge cuts. Where there is any, whole pieces beside the character belong to neighbors
    too if they would draw it away from the middle of the picture, and are on the same side as a cut one, on the
    opposite side, or nearer to the edge than to the character.
    """
    size, boxes = np.array(ink.shape), pieces.boxes
    neighbors = np.zeros(len(boxes), bool)
    low, high = boxes[:, ::2], boxes[:, 1::2]
    touching = (low == 0).any(axis=1) | (high == size).any(axis=1)
    central = kept & ~touching & (low < 0.75 * size).all(axis=1) & (high > 0.25 * size).all(axis=1)
    if not central.any() or not (kept & touching).any():
        return neighbors
    first, last = low[central].min(axis=0), high[central].max(axis=0)
    amounts = np.bincount(pieces.numbers.ravel(), ink.ravel(), len(boxes) + 1)[1:]
    if (
        (last - first).max() > LARGEST * size.max()
        or np.abs(first + last - size).max() > 2 * OFF_CENTER * size.max()
        or amounts[central].sum() < LEAST_SHARE * amounts[kept].sum()
    ):
        return neighbors
    before, after = high <= first, low >= last  # by axis
    near = kept[:, np.newaxis] & (before | after) & (np.where(before, high, size - low) <= DEEPEST * size)
    cut = near & (np.where(before, low, size - high) == 0)
    for number, axis in np.argwhere(cut):
        cut[number, axis] = _is_cut(pieces.numbers == number + 1, ink, axis)
    with_piece = np.minimum(first, low) + np.maximum(last, high) - size
    draws_away = np.abs(with_piece) > np.abs(first + last - size)
    is_nearer = np.where(before, low, size - high) < np.where(before, first - high, low - last)  # to the edge
    apart = near & draws_away & (cut.any(axis=0) | is_nearer)
    return (cut | apart).any(axis=1) & cut.any()


def _is_cut(piece: np.ndarray, ink: np.ndarray, axis: int) -> bool:
    """Return whether the picture's first or last row (or column) cuts through a piece of ink.

    There is full ink then, across a stroke at least; ink that ends at the edge is faint there, or narrow.
    """
    piece = np.where(piece, ink, 0)
    profile = piece.sum(axis=1 - axis)
    edge = 0 if profile[0] > profile[-1] else -1
    is_full = piece.max(axis=1 - axis)[edge] >= FULL * piece.max()
    return bool(is_full and profile[edge] >= ACROSS * ink_width(piece))
