"""What a camera or a scanner may see besides writing: noise, patterns, shades and things; nothing is downloaded."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

_FEWEST_STRIPES = 5  # in an image; fewer would be the kanji for one to three


def draw_surface(random: np.random.Generator, size: int) -> np.ndarray:
    """Return a picture of something that holds no writing, another each time; float `[size, size]`, 0..1."""
    kinds: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (_noise, _clouds, _stripes, _things, _shade)
    picture = kinds[random.integers(len(kinds))](random, size)
    if random.random() < 0.5:
        picture = picture + random.uniform(0.1, 0.7) * _shade(random, size)
    if random.random() < 0.5:
        picture = picture + random.normal(0, random.uniform(0.02, 0.3), picture.shape)
    low, high = np.quantile(picture, [0.02, 0.98])
    picture = (picture - low) / max(high - low, 1e-6)
    if random.random() < 0.5:  # as scanners do that make paper white and ink black
        picture = (picture - random.uniform(0.3, 0.7)) * random.uniform(2, 12) + 0.5
    return np.clip(picture, 0, 1)


def _noise(random: np.random.Generator, size: int) -> np.ndarray:
    """Return pixels that have nothing to do with each other: gray, or ink here and there."""
    grains = max(4, round(size / random.choice([1, 1, 2, 3, 4])))
    values = random.random((grains, grains))
    if random.random() < 0.5:
        values = (values < random.uniform(0.03, 0.6)).astype(float)
    resampling = random.choice([Image.Resampling.NEAREST, Image.Resampling.BILINEAR])
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((size, size), resampling))


def _clouds(random: np.random.Generator, size: int) -> np.ndarray:
    """Return smooth noise: cloth, walls, leaves, stains."""
    spread = size * np.exp(random.uniform(np.log(0.01), np.log(0.2)))
    return gaussian_filter(random.normal(size=(size, size)), spread * random.uniform(0.4, 1, 2), mode="wrap")


def _stripes(random: np.random.Generator, size: int) -> np.ndarray:
    """Return one or two sets of bent stripes: bricks, weaves, blinds."""
    rows, columns = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    picture = np.zeros((size, size))
    for _ in range(random.integers(1, 3)):
        angle, number = random.uniform(0, np.pi), random.uniform(_FEWEST_STRIPES, max(_FEWEST_STRIPES + 1, size / 4))
        along = np.cos(angle) * rows + np.sin(angle) * columns
        bend = random.uniform(0, 0.05) * np.sin(2 * np.pi * random.uniform(0.5, 2) * (rows - columns))
        picture += np.sin(2 * np.pi * number * (along + bend) + random.uniform(0, 7)) ** random.choice([1, 3])
    return picture


def _things(random: np.random.Generator, size: int) -> np.ndarray:
    """Return flat things before each other, each of its own brightness, with or without an edge."""
    picture = Image.new("F", (size, size), float(random.random()))
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(4, 14)):
        center, reach = random.uniform(0, size, 2), random.uniform(0.1, 0.6, 2) * size
        box = [*(center - reach / 2), *(center + reach / 2)]
        fill, edge = float(random.random()), float(random.random())
        match random.integers(3):
            case 0:
                draw.ellipse(box, fill=fill, outline=edge)
            case 1:
                draw.rectangle(box, fill=fill, outline=edge)
            case _:
                corners = center + random.normal(0, 1, (random.integers(3, 7), 2)) * reach / 2
                draw.polygon([tuple(corner) for corner in corners.tolist()], fill=fill, outline=edge)
    return gaussian_filter(np.asarray(picture, float), size / 64 * random.uniform(0, 2))


def _shade(random: np.random.Generator, size: int) -> np.ndarray:
    """Return light that falls off to a side, or around a point."""
    rows, columns = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    angle, (down, right) = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 1.3, 2)
    if random.random() < 0.5:
        return np.cos(angle) * rows + np.sin(angle) * columns
    return np.hypot(rows - down, columns - right) * random.choice([-1, 1])
