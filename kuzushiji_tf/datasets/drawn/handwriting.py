"""Many people's handwriting from a few model forms: strokes that vary, drawn as normalized images.

What varies is what varies between people: the whole character's slant and proportions, each stroke's place, size,
direction, length and bend, hooks left out, corners cut in haste, strokes joined where the pen stays down, the pen's
width, and ink with soft edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.ink.normalization import Inking, draw_segments
from kuzushiji_tf.ink.strokes import Strokes, arc_length, normalize, resample

SPACING = 0.05  # between points along a stroke, fraction of the character's box
JOIN_PIECES = 8  # of the line that joins two strokes
JOIN_REACH = 0.35  # the distance, fraction of the box, at which joining has become a third as likely
SIMPLIFICATIONS = (0.015, 0.03, 0.06)  # how far from the model a hasty form may stray, fraction of the box
HOOK_LENGTH = 0.25  # at most, fraction of the box
HOOK_COSINE = 0.2  # at most, of the turn with which a hook begins
HOOK_STEP = 0.02  # between the points looked at in search of a hook, fraction of the box
DRAWN_AT_ONCE = 128  # images

_CHARACTER_DRAWS, _STROKE_DRAWS = 27, 18  # random numbers that one image takes


@dataclass(frozen=True)
class Variation:
    """How strongly writing varies: the largest change, drawn evenly from -value to +value unless said otherwise.

    Lengths are fractions of the character's box, scales are natural logarithms, angles are radians.
    """

    rotation: float = 0.17  # of the character
    shear: float = 0.25
    aspect: float = 0.2  # the width's scale against the height's
    warp: float = 0.06  # smooth bending of the whole character, for each of six bending modes
    stroke_shift: float = 0.05
    stroke_scale: float = 0.18
    stroke_rotation: float = 0.16
    stroke_bend: float = 0.07  # of the stroke's length
    trim: float = 0.12  # cut off or lengthened at each end of a stroke, fraction of its length
    no_hook: float = 0.5  # probability that the hook at a stroke's end is left out
    haste: float = 1.0  # from the model (0) towards its simplest form (1)
    join: float = 0.5  # probability that the pen stays down where the next stroke begins at once
    mark_shift: float = 0.06  # of the voicing marks together
    mark_scale: float = 0.3
    width: tuple[float, float] = (1.5, 5.0)  # of the pen, pixels of an image of 64
    softness: float = 3.0  # pixels of an image of 64 over which ink fades at its edge, on top of antialiasing
    brightness: float = 0.3  # by how much ink may be dimmer than full
    placement: float = 0.03  # of the finished character in its image, and of its size

    def scaled(self, factor: float) -> "Variation":
        """Return the variation with every strength but the pen's width multiplied by `factor`."""
        names = [field.name for field in fields(self) if field.name != "width"]
        return replace(self, **{name: getattr(self, name) * factor for name in names})


@dataclass(frozen=True)
class Form:
    """One way to write a character.

    Attributes:
        strokes: in any unit, y down.
        weight: how common it is among the character's forms.
        marks: how many of the last strokes are voicing marks, which move together.
    """

    strokes: Strokes
    weight: float = 1.0
    marks: int = 0


def draw_handwriting(
    forms: Sequence[Form], count: int, entropy: Sequence[int], image_size: int, variation: Variation | None = None
) -> np.ndarray:
    """Draw a character `count` times, each time differently.

    Image `i` depends on the forms, `entropy`, the variation and `i` alone, and not on `count`.

    Args:
        forms: the ways to write it.
        count: number of images.
        entropy: non-negative integers that seed the drawing.
        image_size: height and width in pixels.
        variation: how strongly writing varies; None means `Variation()`.

    Returns:
        uint8 `[count, image_size, image_size]`, normalized as `normalization.fit_image(box=True)` does.
    """
    variation = variation or Variation()
    generator = np.random.default_rng(list(entropy))
    models = [_Model(form) for form in forms]
    shares = np.cumsum([form.weight for form in forms])
    draws = 1 + max(model.draws for model in models)
    images = np.empty((count, image_size, image_size), np.uint8)
    for part in in_lots(count, DRAWN_AT_ONCE):
        table = generator.random((part.stop - part.start, draws), dtype=np.float32)
        choice = np.searchsorted(shares, table[:, 0] * shares[-1], side="right")
        for number, model in enumerate(models):
            rows = np.flatnonzero(choice == number)
            if len(rows):
                images[part.start + rows] = _draw(model, table[rows, 1:], image_size, variation)
    return images


class _Model:
    """A form, resampled, with what its variation needs at hand: `p` points in `s` strokes."""

    def __init__(self, form: Form):
        strokes = normalize(form.strokes, margin=0.0)
        self.lengths = np.array([max(arc_length(stroke)[-1], 1e-3) for stroke in strokes], np.float32)
        counts = np.clip(np.ceil(self.lengths / SPACING).astype(int) + 1, 3, 64)
        self.first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.last = self.first + counts - 1
        self.stroke_of = np.repeat(np.arange(len(strokes)), counts)
        self.times = np.concatenate([np.linspace(0, 1, count, dtype=np.float32) for count in counts])
        versions = [strokes, *([_simplify(stroke, far) for stroke in strokes] for far in SIMPLIFICATIONS)]
        self.hooks = np.array([_hook_time(stroke) for stroke in strokes], np.float32)
        self.shapes = np.stack([np.concatenate(list(map(resample, version, counts))) for version in versions])
        self.bends = np.stack([np.sin(np.pi * mode * self.times) / mode for mode in (1, 2, 3)])
        gaps = np.linalg.norm(self.shapes[0, self.first[1:]] - self.shapes[0, self.last[:-1]], axis=1)
        self.join_chances = np.exp(-gaps / JOIN_REACH)
        self.marks = form.marks
        self.draws = _CHARACTER_DRAWS + _STROKE_DRAWS * len(strokes)

    def mean_of_strokes(self, points: np.ndarray) -> np.ndarray:
        """Return each stroke's mean point; points `[n, p, 2]` -> `[n, s, 2]`."""
        return np.add.reduceat(points, self.first, axis=1) / (self.last - self.first + 1)[:, np.newaxis]


def _draw(model: _Model, table: np.ndarray, image_size: int, variation: Variation) -> np.ndarray:
    """Return one image a row of the table of uniform random numbers `[n, at least model.draws]`."""
    count = len(table)
    character = table[:, :_CHARACTER_DRAWS]
    strokes = table[:, _CHARACTER_DRAWS : model.draws].reshape(count, -1, _STROKE_DRAWS)
    points = _hasten(model, character, variation)
    points = _trim(model, points, strokes[:, :, [0, 1, 17]], variation)
    points = _vary_strokes(model, points, 2 * strokes[:, :, 2:13] - 1, variation)
    points = _move_marks(model, points, 2 * character[:, 2:6] - 1, variation)
    points = _vary_character(points, 2 * character[:, 6:21] - 1, variation)

    scale = image_size / 64
    low, high = variation.width
    half_widths = scale / 2 * (low + (high - low) * character[:, 21:22]) * (0.85 + 0.3 * strokes[:, :, 13])
    softness = 1 + scale * variation.softness * character[:, 22] ** 2
    level = 1 - variation.brightness * character[:, 23]
    placement = variation.placement * (2 * character[:, 24:27] - 1)
    joins, join_widths = _join(model, points, strokes[:, :, 14:17], half_widths, variation)
    inside = model.stroke_of[1:] == model.stroke_of[:-1]
    segments = np.stack([points[:, :-1][:, inside], points[:, 1:][:, inside]], axis=2)
    segments = np.concatenate([segments, joins], axis=1)
    widths = np.concatenate([half_widths[:, model.stroke_of[:-1][inside]], join_widths], axis=1)
    return draw_segments(segments, widths, image_size, Inking(softness, level, placement))


def _hasten(model: _Model, character: np.ndarray, variation: Variation) -> np.ndarray:
    """Return points `[n, p, 2]` between the model and one of its simplifications."""
    level = np.minimum((character[:, 0] * len(model.shapes)).astype(int), len(model.shapes) - 1)
    share = (variation.haste * character[:, 1])[:, np.newaxis, np.newaxis]
    return model.shapes[0] + share * (model.shapes[level] - model.shapes[0])


def _trim(model: _Model, points: np.ndarray, table: np.ndarray, variation: Variation) -> np.ndarray:
    """Cut or lengthen each stroke at both ends, with or without its hook; `table` `[n, s, 3]`."""
    most = variation.trim * np.minimum(1, 0.5 / model.lengths)
    begin = most * (2 * table[:, :, 0] - 1)
    end = most * (2 * table[:, :, 1] - 1) + np.where(table[:, :, 2] < variation.no_hook, model.hooks, 1)
    begin, end = begin[:, model.stroke_of], end[:, model.stroke_of]
    steps = (model.last - model.first)[model.stroke_of]
    position = (begin + (end - begin) * model.times) * steps
    index = np.clip(position.astype(int), 0, steps - 1)
    fraction = (position - index)[:, :, np.newaxis]
    index = (index + model.first[model.stroke_of])[:, :, np.newaxis]
    here, there = np.take_along_axis(points, index, axis=1), np.take_along_axis(points, index + 1, axis=1)
    return here + fraction * (there - here)


def _vary_strokes(model: _Model, points: np.ndarray, signed: np.ndarray, variation: Variation) -> np.ndarray:
    """Bend, turn, scale and shift each stroke on its own; `signed` `[n, s, 11]`."""
    bends = signed[:, :, 0:6].reshape(*signed.shape[:2], 3, 2) * model.lengths[:, np.newaxis, np.newaxis]
    points = points + variation.stroke_bend * np.einsum("npmx,mp->npx", bends[:, model.stroke_of], model.bends)
    center = model.mean_of_strokes(points)
    angle = variation.stroke_rotation * signed[:, :, 6]
    matrix = _rotation(angle) * np.exp(variation.stroke_scale * signed[:, :, 7:9])[:, :, np.newaxis]
    offset = center + variation.stroke_shift * signed[:, :, 9:11]
    offset -= np.einsum("nsij,nsj->nsi", matrix, center)
    return np.einsum("npij,npj->npi", matrix[:, model.stroke_of], points) + offset[:, model.stroke_of]


def _move_marks(model: _Model, points: np.ndarray, signed: np.ndarray, variation: Variation) -> np.ndarray:
    """Shift and scale the voicing marks together; `signed` `[n, 4]`."""
    if not model.marks:
        return points
    start = model.first[-model.marks]
    marks = points[:, start:]
    center = marks.mean(axis=1, keepdims=True)
    moved = center + (marks - center) * np.exp(variation.mark_scale * signed[:, 0])[:, np.newaxis, np.newaxis]
    moved = moved + variation.mark_shift * signed[:, np.newaxis, 1:3]
    return np.concatenate([points[:, :start], moved], axis=1)


def _vary_character(points: np.ndarray, signed: np.ndarray, variation: Variation) -> np.ndarray:
    """Warp, stretch, slant and turn the whole character; `signed` `[n, 15]`."""
    centered = points - np.float32(0.5)
    x, y = 2 * centered[:, :, 0], 2 * centered[:, :, 1]
    modes = np.stack([x * x, x * y, y * y, np.sin(np.pi * x), np.sin(np.pi * y), x * x * y], axis=2)
    warped = centered + variation.warp * modes @ signed[:, 0:12].reshape(-1, 6, 2)
    matrix = _rotation(variation.rotation * signed[:, 12])
    stretch = np.exp(variation.aspect / 2 * signed[:, 13])
    slant = np.zeros_like(matrix)
    slant[:, 0, 0], slant[:, 1, 1], slant[:, 0, 1] = stretch, 1 / stretch, variation.shear * signed[:, 14]
    return np.einsum("nij,npj->npi", matrix @ slant, warped)


def _join(
    model: _Model, points: np.ndarray, table: np.ndarray, half_widths: np.ndarray, variation: Variation
) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments `[n, m, 2, 2]` that join strokes, and their half widths `[n, m]`: 0 where the pen is up."""
    start, end = points[:, model.last[:-1], np.newaxis], points[:, model.first[1:], np.newaxis]
    times = np.linspace(0, 1, JOIN_PIECES + 1, dtype=np.float32)[:, np.newaxis]
    line = end - start
    sideways = line[..., ::-1] * np.array([-1, 1], np.float32)
    bulge = (0.4 * (2 * table[:, :-1, 1] - 1))[:, :, np.newaxis, np.newaxis] * times * (1 - times)
    curve = start + times * line + bulge * sideways
    segments = np.stack([curve[:, :, :-1], curve[:, :, 1:]], axis=3)
    joined = table[:, :-1, 0] < variation.join * model.join_chances
    widths = joined * half_widths[:, :-1] * (0.5 + 0.5 * table[:, :-1, 2])
    return segments.reshape(len(points), -1, 2, 2), np.repeat(widths, JOIN_PIECES, axis=1)


def _rotation(angle: np.ndarray) -> np.ndarray:
    """Return rotation matrices `[..., 2, 2]`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)


def _simplify(stroke: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the stroke with only the points that keep it within `tolerance` (Douglas and Peucker, 1973)."""
    start, line = stroke[0], stroke[-1] - stroke[0]
    along = np.clip((stroke - start) @ line / max(float(line @ line), 1e-9), 0, 1)
    distance = np.linalg.norm(stroke - start - along[:, np.newaxis] * line, axis=1)
    farthest = int(distance.argmax())
    if distance[farthest] <= tolerance:
        return stroke[[0, -1]]
    return np.concatenate([_simplify(stroke[: farthest + 1], tolerance)[:-1], _simplify(stroke[farthest:], tolerance)])


def _hook_time(stroke: np.ndarray) -> float:
    """Return where a hook at the stroke's end begins (a short piece behind a sharp turn), 0..1; 1 if there is none."""
    length = arc_length(stroke)[-1]
    steps = int(length / HOOK_STEP)
    reach = 3  # steps on each side of a turn that show its directions
    if steps < 3 * reach:
        return 1.0
    points = resample(stroke, steps + 1)
    before = points[reach:-reach] - points[: -2 * reach]
    after = points[2 * reach :] - points[reach:-reach]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = (before * after).sum(axis=1) / np.maximum(lengths, 1e-9)
    begin = max(int(steps - HOOK_LENGTH / HOOK_STEP), round(0.5 * steps)) - reach
    sharpest = begin + int(cosine[begin:].argmin())
    return (sharpest + reach) / steps if cosine[sharpest] < HOOK_COSINE else 1.0
