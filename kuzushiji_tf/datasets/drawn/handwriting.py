"""Many people's handwriting from a few model forms: strokes that vary, drawn as normalized images.

What varies is what varies between people: the whole character's slant and proportions, those of its parts, each
stroke's place, size, direction, length and bend, a hand or mouse that shakes, hooks left out, serifs copied from print,
corners cut in haste, strokes joined where the pen stays down; and pen, brush and pencil, see `inks`.
"""

from collections.abc import Sequence

import numpy as np

from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.datasets.drawn import inks
from kuzushiji_tf.datasets.drawn.variation import Form, Variation
from kuzushiji_tf.ink.normalization import Inking, draw_segments
from kuzushiji_tf.ink.strokes import arc_length, normalize, resample

SPACING = 0.05  # between points along a stroke, fraction of the character's box
JOIN_PIECES = 8  # of the line that joins two strokes
JOIN_REACH = 0.35  # the distance, fraction of the box, at which joining has become a third as likely
SIMPLIFICATIONS = (0.015, 0.03, 0.06)  # how far from the model a hasty form may stray, fraction of the box
HOOK_LENGTH = 0.25  # at most, fraction of the box
HOOK_COSINE = 0.2  # at most, of the turn with which a hook begins
HOOK_STEP = 0.02  # between the points looked at in search of a hook, fraction of the box
DRAWN_AT_ONCE = 128  # images

TREMORS = (2.0, 4.5)  # waves along a stroke as long as the box
MOST_INK = 32.0  # a pen's width in pixels of an image of 64, times the length of all strokes: wider ones leave a blot
SERIF_LENGTHS = (0.03, 0.13)  # fraction of the box

_CHARACTER_DRAWS, _STROKE_DRAWS = 39, 36  # random numbers that one image takes, besides those of `inks`


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
        along = np.concatenate([arc_length(stroke) for stroke in _split(self.shapes[0], counts)])
        self.waves = np.stack([wave(2 * np.pi * count * along) for count in TREMORS for wave in (np.sin, np.cos)])
        self.draws = _CHARACTER_DRAWS + _STROKE_DRAWS * len(strokes) + inks.DRAWS

    def mean_of_strokes(self, points: np.ndarray) -> np.ndarray:
        """Return each stroke's mean point; points `[n, p, 2]` -> `[n, s, 2]`."""
        return np.add.reduceat(points, self.first, axis=1) / (self.last - self.first + 1)[:, np.newaxis]


class _Draws:
    """Uniform random numbers `[n, ..., count]`, handed out from the left."""

    def __init__(self, table: np.ndarray):
        self._table, self._used = table, 0

    def take(self, count: int) -> np.ndarray:
        self._used += count
        return self._table[..., self._used - count : self._used]

    def signed(self, count: int) -> np.ndarray:
        return 2 * self.take(count) - 1


def _draw(model: _Model, table: np.ndarray, image_size: int, variation: Variation) -> np.ndarray:
    """Return one image a row of the table of uniform random numbers `[n, at least model.draws]`."""
    character = _Draws(table[:, :_CHARACTER_DRAWS])
    stroke = _Draws(table[:, _CHARACTER_DRAWS : model.draws - inks.DRAWS].reshape(len(table), -1, _STROKE_DRAWS))
    neatest, wildest = variation.carelessness
    careless = (neatest + (wildest - neatest) * character.take(1) ** 2)[:, :, np.newaxis]
    points = _hasten(model, character.take(2), variation)
    points = _trim(model, points, stroke.take(3), variation)
    points = _vary_strokes(model, points, careless * stroke.signed(11), variation)
    points = _shake(model, points, character.take(1), stroke.signed(8), variation)
    points = _move_part(model, points, character.take(1), careless[:, 0] * character.signed(4), variation)
    points = _move_marks(model, points, careless[:, 0] * character.signed(4), variation)
    points = _vary_character(points, character.signed(15), variation)

    half_widths = _half_widths(model, character.take(3), stroke.take(4), image_size, variation)
    joins, join_widths = _join(model, points, stroke.take(3), half_widths[:, model.last], variation)
    serifs, serif_widths = _serifs(model, points, character.take(1), stroke.take(7), variation)
    inside = model.stroke_of[1:] == model.stroke_of[:-1]
    segments = np.stack([points[:, :-1][:, inside], points[:, 1:][:, inside]], axis=2)
    segments = np.concatenate([segments, joins, serifs], axis=1)
    ends = np.concatenate([half_widths[:, model.first], half_widths[:, model.last]], axis=1)
    widths = np.concatenate([half_widths[:, :-1][:, inside], join_widths, serif_widths * ends], axis=1)
    softness = 1 + image_size / 64 * variation.softness * character.take(1)[:, 0] ** 2
    level = 1 - variation.brightness * character.take(1)[:, 0]
    inking = Inking(softness, level, variation.placement * character.signed(3))
    images = draw_segments(segments, widths, image_size, inking).astype(np.float32)
    return np.rint(inks.weather(images, table[:, model.draws - inks.DRAWS : model.draws], variation)).astype(np.uint8)


def _hasten(model: _Model, character: np.ndarray, variation: Variation) -> np.ndarray:
    """Return points `[n, p, 2]` between the model and one of its simplifications."""
    level = (character[:, 0] * len(model.shapes)).astype(int)
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
    bends = signed[:, :, 0:6].reshape(*signed.shape[:2], 3, 2) * np.minimum(model.lengths, 1)[:, np.newaxis, np.newaxis]
    points = points + variation.stroke_bend * np.einsum("npmx,mp->npx", bends[:, model.stroke_of], model.bends)
    center = model.mean_of_strokes(points)
    angle = variation.stroke_rotation * signed[:, :, 6]
    matrix = _rotation(angle) * np.exp(variation.stroke_scale * signed[:, :, 7:9])[:, :, np.newaxis]
    offset = center + variation.stroke_shift * signed[:, :, 9:11]
    offset -= np.einsum("nsij,nsj->nsi", matrix, center)
    return np.einsum("npij,npj->npi", matrix[:, model.stroke_of], points) + offset[:, model.stroke_of]


def _shake(
    model: _Model, points: np.ndarray, character: np.ndarray, signed: np.ndarray, variation: Variation
) -> np.ndarray:
    """Let the hand or mouse shake: short waves along each stroke; `signed` `[n, s, 8]`."""
    waves = signed.reshape(*signed.shape[:2], 4, 2)[:, model.stroke_of]
    strength = variation.tremor * character[:, :, np.newaxis] ** 2
    return points + strength * np.einsum("npmx,mp->npx", waves, model.waves)


def _move_part(
    model: _Model, points: np.ndarray, where: np.ndarray, signed: np.ndarray, variation: Variation
) -> np.ndarray:
    """Shift and scale the strokes from a random one on, which often are a part; `signed` `[n, 4]`."""
    first = np.ceil(where * len(model.first)).astype(int)  # the stroke from which on
    moved = (model.stroke_of >= first)[:, :, np.newaxis]
    center = (points * moved).sum(axis=1, keepdims=True) / np.maximum(moved.sum(axis=1, keepdims=True), 1)
    scale = np.exp(variation.part_scale * signed[:, np.newaxis, :2])
    changed = center + (points - center) * scale + variation.part_shift * signed[:, np.newaxis, 2:]
    return np.where(moved, changed, points)


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


def _half_widths(
    model: _Model, character: np.ndarray, strokes: np.ndarray, image_size: int, variation: Variation
) -> np.ndarray:
    """Return the pen's half width at each point, pixels `[n, p]`: pressure changes along a stroke, a brush swells."""
    is_brush = character[:, 1] < variation.brush
    low, high = np.where(is_brush, np.vstack(variation.brush_width), np.vstack(variation.width))
    high = np.minimum(high, MOST_INK / model.lengths.sum())
    low = np.minimum(low, high)
    pen = image_size / 128 * (low + (high - low) * character[:, 0])
    signed = (2 * strokes - 1)[:, model.stroke_of]
    pressure = 1 + 0.15 * signed[:, :, 0] + 0.2 * character[:, 2:] * signed[:, :, 1] * (2 * model.times - 1)
    taper = 0.35 + 0.65 * np.sqrt(np.sin(np.pi * (0.15 + 0.8 * model.times)))  # lands broad, lifts thin
    swelling = np.where(is_brush[:, np.newaxis] & (signed[:, :, 2] > -0.5), taper, 1)
    return (pen[:, np.newaxis] * pressure * swelling).astype(np.float32)


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


def _serifs(
    model: _Model, points: np.ndarray, character: np.ndarray, table: np.ndarray, variation: Variation
) -> tuple[np.ndarray, np.ndarray]:
    """Return short ticks `[n, 2 * s, 2, 2]` at the strokes' beginnings and ends, and 1 where they are drawn."""
    ends = np.stack([points[:, model.first], points[:, model.last]], axis=1)
    angle = 2 * np.pi * np.stack([table[:, :, 0], table[:, :, 1]], axis=1)
    shortest, longest = SERIF_LENGTHS
    length = shortest + (longest - shortest) * np.stack([table[:, :, 2], table[:, :, 3]], axis=1)
    tips = ends + (length * np.stack([np.cos(angle), np.sin(angle)])).transpose(1, 2, 3, 0)
    drawn = (np.stack([table[:, :, 4], table[:, :, 5]], axis=1) < 0.5) & (character < variation.serif)[:, :, np.newaxis]
    segments = np.stack([ends, tips], axis=3).reshape(len(points), -1, 2, 2)
    return segments.astype(np.float32), drawn.reshape(len(points), -1).astype(np.float32)


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


def _split(points: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Return the strokes that points `[p, 2]` consist of."""
    return np.split(points, np.cumsum(counts)[:-1])
