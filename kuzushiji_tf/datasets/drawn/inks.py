"""What pens, paper, scanners and files do to drawn ink: uneven lines, blots, blur, hard edges, JPEG, specks."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from kuzushiji_tf.datasets.drawn.variation import Variation
from kuzushiji_tf.ink.normalization import finish_ink

DRAWS = 14  # random numbers that one image takes
_TEXTURES = 32
_SPECKS = 3  # at most


def weather(images: np.ndarray, table: np.ndarray, variation: Variation) -> np.ndarray:
    """Return drawn images as if written with other pens, and scanned or photographed.

    Args:
        images: float32 `[n, size, size]`, 0..255, white ink on black.
        table: uniform random numbers `[n, DRAWS]`.
        variation: how often it happens (`grain`, `scan`).

    Returns:
        float32 `[n, size, size]`, the typical ink at full brightness again where something was done.
    """
    grainy, scanned = table[:, 0] < variation.grain, table[:, 1] < variation.scan
    changed = np.flatnonzero(grainy | scanned)
    if not len(changed):
        return images
    images = images.copy()
    _roughen(images, table, np.flatnonzero(grainy))
    rows = np.flatnonzero(scanned)
    _blur(images, table, rows)
    _harden(images, table, rows)
    _compress(images, table, rows)
    images[changed] = finish_ink(images[changed])
    _soil(images, table, rows)
    return images


def _roughen(images: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """Let the paper show through the ink: fine grain of a pencil, or streaks of a brush that runs dry."""
    textures = _textures(images.shape[-1])
    for row in rows:
        number, down, right, strength = table[row, 2:6]
        texture = textures[int(number * len(textures))]
        moved = np.roll(texture, (int(down * len(texture)), int(right * len(texture))), (0, 1))
        images[row] *= 1 - (0.25 + 0.65 * strength) * moved


def _blur(images: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """Spread the ink by a binomial filter, once to five times at 64 pixels."""
    times = 1 + (table[rows, 6] * 5 * images.shape[-1] / 64).astype(int)
    for time in range(times.max(initial=0)):
        chosen = rows[times > time]
        for axis in (1, 2):
            part = np.pad(images[chosen], [(0, 0), *((1, 1) if axis == a else (0, 0) for a in (1, 2))])
            first, second, third = (np.roll(part, -k, axis) for k in range(3))
            smooth = (first + 2 * second + third) / 4
            images[chosen] = smooth[:, : images.shape[1], : images.shape[2]]


def _harden(images: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """Raise the contrast of half of them around a level, as a copier does, or ink that blots (low) or starves."""
    rows = rows[table[rows, 7] < 0.5]
    level = (30 + 110 * table[rows, 8])[:, np.newaxis, np.newaxis]
    steepness = (1.5 + 6 * table[rows, 9] ** 2)[:, np.newaxis, np.newaxis]
    strongest = images[rows].max(axis=(1, 2), keepdims=True)
    level = np.minimum(level, 0.55 * strongest)
    images[rows] = np.clip((images[rows] - level) * steepness + level, 0, strongest)


def _compress(images: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """Put a quarter of them through a JPEG file."""
    for row in rows[table[rows, 10] < 0.25]:
        file = io.BytesIO()
        ink = Image.fromarray(np.clip(images[row], 0, 255).astype(np.uint8))
        ink.save(file, "JPEG", quality=int(15 + 60 * table[row, 11]))
        images[row] = np.asarray(Image.open(file), np.float32)


def _soil(images: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """Drop a few specks on a fifth of them."""
    size = images.shape[-1]
    for row in rows[table[rows, 12] < 0.2]:
        random = np.random.default_rng(int(table[row, 13] * 2**24))
        margin = size // 16
        for y, x in random.integers(margin, size - margin - 1, (random.integers(1, _SPECKS + 1), 2)):
            images[row, y : y + 2, x : x + 1 + random.integers(2)] = random.uniform(80, 255)


@lru_cache(maxsize=4)
def _textures(size: int) -> np.ndarray:
    """Return float32 `[_TEXTURES, size, size]`, 0..1: noise of several finenesses, half of it drawn out to streaks."""
    random = np.random.default_rng(size)
    textures = []
    for number in range(_TEXTURES):
        cell = 1 + number % 4
        height, width = (max(size // cell, 2), max(size // (cell * (5 if number % 2 else 1)), 2))
        noise = random.random((height, width)).astype(np.float32)
        smooth = np.asarray(Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC))
        textures.append(np.clip((smooth - 0.35) * 1.8, 0, 1))
    return np.stack(textures)
