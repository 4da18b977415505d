"""Drawings that are no character, for a recognizer that may say so: scrawls, hatching, loops, strokes in disorder."""

from collections.abc import Sequence

import numpy as np

from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.datasets.drawn import inks
from kuzushiji_tf.datasets.drawn.handwriting import DRAWN_AT_ONCE
from kuzushiji_tf.datasets.drawn.variation import Variation
from kuzushiji_tf.ink.normalization import Inking, draw_segments
from kuzushiji_tf.ink.strokes import Strokes, to_segments

POINTS_PER_TURN = 16  # of a loop, and between two knots of a scrawl
INK = Variation()  # pens, paper and scanners vary as in handwriting, so that they do not give scribbles away
_INK_DRAWS = 7 + inks.DRAWS  # random numbers that the ink of one image takes


def draw_scribbles(
    count: int, entropy: Sequence[int], image_size: int, characters: Sequence[Strokes] = ()
) -> np.ndarray:
    """Draw things that people draw which are no characters, each time another.

    Image `i` depends on `entropy`, the characters and `i` alone.

    Args:
        count: number of images.
        entropy: non-negative integers that seed the drawing.
        image_size: height and width in pixels.
        characters: characters whose strokes are also thrown together to things that only look like one.

    Returns:
        uint8 `[count, image_size, image_size]`, normalized as `normalization.fit_image(box=True)` does.
    """
    kinds = [_scrawl, _hatching, _loops, _crossed_lines, _marks]
    images = np.empty((count, image_size, image_size), np.uint8)
    for part in in_lots(count, DRAWN_AT_ONCE):
        drawings, ink = [], []
        for number in range(part.start, part.stop):
            random = np.random.default_rng([*entropy, number])
            # Strokes of characters in disorder are what a recognizer mistakes most easily: a third of all.
            if characters and random.random() < 1 / 3:
                strokes = _mixed_up(random, characters)
            else:
                strokes = kinds[random.integers(len(kinds))](random)
            drawings.append(to_segments(strokes, longest=0.1))
            ink.append(random.random(_INK_DRAWS))
        images[part] = _draw(drawings, np.array(ink, np.float32), image_size)
    return images


def _draw(drawings: list[np.ndarray], ink: np.ndarray, image_size: int) -> np.ndarray:
    """Draw segments `[s, 2, 2]` of each image with the ink that uniform numbers `[n, _INK_DRAWS]` say."""
    longest, scale = max(map(len, drawings)), image_size / 64
    low, high = np.where(ink[:, 6] < INK.brush, np.vstack(INK.brush_width), np.vstack(INK.width))
    pens = low + (high - low) * ink[:, 0]
    segments = np.zeros((len(drawings), longest, 2, 2), np.float32)
    half_widths = np.zeros((len(drawings), longest), np.float32)
    for row, drawing in enumerate(drawings):
        segments[row, : len(drawing)] = drawing
        half_widths[row, : len(drawing)] = pens[row] * scale / 2
    softness = 1 + scale * INK.softness * ink[:, 1] ** 2
    level, placement = 1 - INK.brightness * ink[:, 2], INK.placement * (2 * ink[:, 3:6] - 1)
    images = draw_segments(segments, half_widths, image_size, Inking(softness, level, placement))
    return np.rint(inks.weather(images.astype(np.float32), ink[:, 7:], INK)).astype(np.uint8)


def _scrawl(random: np.random.Generator) -> Strokes:
    """Return one to three smooth lines through a few random points."""
    strokes = []
    for _ in range(random.integers(1, 4)):
        knots = random.random((random.integers(4, 12), 2))
        times = np.linspace(0, len(knots) - 1, POINTS_PER_TURN * (len(knots) - 1))
        strokes.append(_smooth(knots, times))
    return strokes


def _smooth(knots: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the Catmull-Rom spline through the knots `[k, 2]` at times in 0..k-1; float32 `[times, 2]`."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    first = np.minimum(times.astype(int), len(knots) - 2)
    t = (times - first)[:, np.newaxis]
    a, b, c, d = (padded[first + offset] for offset in range(4))
    curve = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return (curve / 2).astype(np.float32)


def _hatching(random: np.random.Generator) -> Strokes:
    """Return a line that goes back and forth, as one crosses something out."""
    turns = random.integers(7, 18)  # with fewer it is a Z or a W
    across = np.arange(turns) % 2 + random.normal(0, 0.08, turns)
    along = np.linspace(0, random.uniform(0.3, 1.5), turns) + random.normal(0, 0.03, turns)
    return [_turned(np.stack([across, along], axis=1), random)]


def _loops(random: np.random.Generator) -> Strokes:
    """Return a spiral, or loops on a line."""
    turns = random.uniform(1.6, 5)
    angle = np.linspace(0, 2 * np.pi * turns, int(POINTS_PER_TURN * turns))
    share = angle / angle[-1]
    growth = random.choice([-0.25, 1]) * random.uniform(0.5, 1)  # or it would be a round zero
    radius = random.uniform(0.3, 1) + growth * share
    points = radius[:, np.newaxis] * np.stack([np.cos(angle), random.uniform(0.4, 1) * np.sin(angle)], axis=1)
    points[:, 0] += random.choice([0, 1]) * random.uniform(0.5, 3) * share
    return [_turned(points, random)]


def _crossed_lines(random: np.random.Generator) -> Strokes:
    """Return many straight lines in all directions."""
    return [random.random((2, 2)).astype(np.float32) for _ in range(random.integers(6, 20))]


def _marks(random: np.random.Generator) -> Strokes:
    """Return short marks and dots here and there, too many for voicing marks."""
    centers = random.random((random.integers(5, 16), 1, 2))
    return [(center + random.normal(0, 0.04, (random.integers(1, 3), 2))).astype(np.float32) for center in centers]


def _mixed_up(random: np.random.Generator, characters: Sequence[Strokes]) -> Strokes:
    """Return strokes of several characters, each turned, scaled and put anywhere."""
    strokes = []
    for _ in range(random.integers(4, 12)):
        character = characters[int(random.integers(len(characters)))]
        stroke = character[random.integers(len(character))]
        size = random.uniform(0.6, 1.6)
        moved = (stroke - stroke.mean(axis=0)) * size
        strokes.append(_turned(moved, random) + random.random(2).astype(np.float32))
    return strokes


def _turned(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    angle = random.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    return (points @ np.array([[cosine, sine], [-sine, cosine]])).astype(np.float32)
