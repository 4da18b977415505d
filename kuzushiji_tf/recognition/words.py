"""Words: the strokes of a line of writing -> its characters, by the best way to cut it; docs/ink.md specifies it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np

from kuzushiji_tf.characters.scripts import fold_small, look_alike
from kuzushiji_tf.characters.sequences import loss_behind
from kuzushiji_tf.ink.strokes import LEAST_SIDE, Strokes
from kuzushiji_tf.recognition.placement import Odds, odds_in_line
from kuzushiji_tf.recognition.readings import Candidate, Reading, Script

MOST_CHARACTERS = 8  # of a line
# docs/ink.md says where each number comes from.
OVERLAP = 0.12  # how far the strokes behind a cut may reach back over those before it, in sides of the cell
LONGEST = 1.5  # extent of a character along the line, in sides of the cell
NEAREST = 0.8  # the middles of neighbors are hardly ever nearer than that, in sides of the cell
NEARNESS = 5.0  # by how much the logarithm falls with each side of the cell that they are nearer
FOLLOWED = 6  # readings of a piece among which the best line is looked for
LEAST = 1e-4  # probability that each reading is given at least
BEAM = 40  # ways to read the strokes up to a cut that are followed
CLEARLY_LONGER = 1.3  # times as long as high: a line can only run along


@dataclass(frozen=True)
class Segment:
    """The part of a line that was read as one character.

    Attributes:
        strokes: numbers of its strokes.
        candidates: its readings; the first is that of the line.
    """

    strokes: range
    candidates: list[Candidate]


@dataclass(frozen=True)
class TextCandidate:
    """One reading of a line.

    Attributes:
        text: its characters.
        segments: one for each of them, in the order of writing.
        score: by which the readings of a line are ranked: a logarithm, which says nothing of other lines.
    """

    text: str
    segments: list[Segment]
    score: float


@dataclass(frozen=True)
class Piece:
    """Strokes of a line that one character may consist of.

    Attributes:
        strokes: their numbers.
        low, high: where they begin and end along the line.
    """

    strokes: range
    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class Line:
    """Strokes side by side, or one below the other.

    Attributes:
        strokes: in the order of writing.
        axis: along which it runs: 0 to the right, 1 downward.
    """

    strokes: Strokes
    axis: int

    @cached_property
    def cell(self) -> float:
        """The side of the square that a character has for itself, in the unit of the strokes."""
        across = np.concatenate(self.strokes)[:, 1 - self.axis]
        return max(float(np.ptp(across)), *(float(np.ptp(stroke[:, self.axis])) for stroke in self.strokes), LEAST_SIDE)

    def pieces(self) -> list[Piece]:
        """Return what may be a character, by first stroke: strokes between two cuts that are not too far apart."""
        lows = [float(stroke[:, self.axis].min()) for stroke in self.strokes]
        highs = [float(stroke[:, self.axis].max()) for stroke in self.strokes]
        before, behind = list(accumulate(highs, max)), list(accumulate(lows[::-1], min))[::-1]
        count, cell = len(lows), self.cell
        inner = [place for place in range(1, count) if before[place - 1] - behind[place] <= OVERLAP * cell]
        cuts, pieces = [0, *inner, count], []
        for first, start in enumerate(cuts):
            for end, next_cut in pairwise(cuts[first:]):
                piece = Piece(range(start, next_cut), min(lows[start:next_cut]), max(highs[start:next_cut]))
                # One part between neighboring cuts can be no smaller, however long it is.
                if end > start and piece.high - piece.low > LONGEST * cell:
                    break
                pieces.append(piece)
        return pieces

    def strokes_of(self, piece: Piece) -> Strokes:
        """Return the strokes of a piece, as they were drawn."""
        return self.strokes[piece.strokes.start : piece.strokes.stop]

    def odds_of(self, piece: Piece) -> Odds:
        """Return the odds of small kana and marks for a piece, by its size and place in the line."""
        across = np.concatenate(self.strokes)[:, 1 - self.axis]
        own = np.concatenate(self.strokes_of(piece))[:, 1 - self.axis]
        size = max(piece.high - piece.low, float(np.ptp(own))) / self.cell
        place = (own.min() + own.max() - across.min() - across.max()) / 2 / self.cell
        return odds_in_line(size, float(place))


def lines_of(strokes: Strokes) -> list[Line]:
    """Return the line that strokes are, or both that they may be: to the right, and downward."""
    width, height = np.ptp(np.concatenate(strokes), axis=0)
    runs = (width * CLEARLY_LONGER >= height, height * CLEARLY_LONGER >= width)
    return [Line(strokes, axis) for axis, may_run in enumerate(runs) if may_run]


def read_line(line: Line, read: Callable[[Piece], Reading], count: int, script: Script) -> list[TextCandidate]:
    """Return the `count` best readings of a line, best first.

    A reading's logarithm is a sum over its characters: of that of the probability of all that look like it, as often as
    it has strokes, and of that of its own share among these; less what neighbors lose that are too near, or that seldom
    follow each other.

    Args:
        line: the strokes.
        read: of a piece.
        count: how many.
        script: which characters are offered.
    """
    ways: dict[int, list[_Way]] = defaultdict(list)  # by the cut up to which they read, the best first
    for piece in line.pieces():
        start, end = piece.strokes.start, piece.strokes.stop
        if start and not ways[start]:
            continue
        shown = _Shown(
            piece, read(piece).candidates(FOLLOWED, script), is_alone=len(piece.strokes) == len(line.strokes)
        )
        earlier: list[_Way] | list[None] = ways[start] or [None]
        ways[end] += [shown.after(way, number, line.cell) for way in earlier for number in shown.numbers]
        ways[end].sort(key=lambda way: -way.score)
        del ways[end][max(BEAM, count) :]
    texts: dict[str, TextCandidate] = {}
    for way in ways[len(line.strokes)]:
        segments = list(way.segments())
        text = "".join(segment.candidates[0].character for segment in segments)
        texts.setdefault(text, TextCandidate(text, segments, way.score))
    return list(texts.values())[:count]


@dataclass(frozen=True, eq=False)
class _Shown:
    """A piece and its readings."""

    piece: Piece
    candidates: list[Candidate]
    is_alone: bool

    @property
    def numbers(self) -> range:
        return range(len(self.candidates))

    @cached_property
    def gains(self) -> list[float]:
        """What each reading adds to the logarithm, whatever stands before it."""
        together: dict[str, float] = defaultdict(float)
        for candidate in self.candidates:
            together[_shape(candidate)] += candidate.probability
        return [
            len(self.piece.strokes) * _logarithm(together[_shape(candidate)])
            + _logarithm(candidate.probability / max(together[_shape(candidate)], LEAST))
            for candidate in self.candidates
        ]

    def after(self, before: "_Way | None", number: int, cell: float) -> "_Way":
        """Return the way that goes on with one of the readings."""
        score, character = self.gains[number], self.candidates[number].character
        if before is not None:
            apart = (self.piece.middle - before.shown.piece.middle) / cell
            score += before.score - NEARNESS * max(NEAREST - apart, 0) - loss_behind(before.character, character)
        elif not self.is_alone:
            score -= loss_behind("", character)
        return _Way(score, self, number, before)


@dataclass(frozen=True, eq=False)
class _Way:
    """A way to read the strokes up to a cut: the last piece, the number of its reading, and the way before that."""

    score: float
    shown: _Shown
    number: int
    before: "_Way | None"

    @property
    def character(self) -> str:
        return self.shown.candidates[self.number].character

    def segments(self) -> Iterator[Segment]:
        """Yield the parts of the line, the first one first."""
        if self.before is not None:
            yield from self.before.segments()
        candidates = self.shown.candidates
        yield Segment(
            self.shown.piece.strokes,
            [candidates[self.number], *candidates[: self.number], *candidates[self.number + 1 :]],
        )


def _shape(candidate: Candidate) -> str:
    return look_alike(fold_small(candidate.character))


def _logarithm(probability: float) -> float:
    return float(np.log(max(probability, LEAST)))
