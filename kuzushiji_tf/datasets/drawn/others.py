"""Images of what is no character, made to look like a data set's own, so that a recognizer learns to refuse.

Scribbles, other scripts, noise, things, and pieces of several characters. Ink, edges and framing are those of scanned
characters: a recognizer that told them by their sharpness would refuse people's handwriting.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.datasets import kanjivg
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.drawn.alphabets import draw_letters, foreign_characters
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.drawn.surfaces import draw_surface
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.strokes import Strokes

CANVAS = 128  # pixels, or twice the image size: what is drawn is made smaller, so that edges come out as a scanner's
SHARES = {"scribbles": 0.3, "letters": 0.25, "characters": 0.15, "surfaces": 0.2, "pieces": 0.1}
_SCRIBBLED = "あかさたなはまやらわアカサタナハマヤラワ永遠書道海山語"  # whose strokes are thrown together
SOURCE = "drawn"  # among `source_names` of a set that is combined from others


def with_others(dataset: CharacterDataset, share: float, seed: int) -> CharacterDataset:
    """Return a data set with a last class `UNKNOWN`, and images of it that are no character.

    Args:
        dataset: of characters; its split and its own images decide about the others too.
        share: of all images then are no character; in 0 < share < 1.
        seed: of the drawing.

    Raises:
        UserError: the data set has such a class already, or the package `kanjivg` is not installed.
    """
    if UNKNOWN in dataset.classes:
        raise UserError(f"{dataset.name} has images that are no character of its own: leave refuse out.")
    count = max(1, round(len(dataset) * share / (1 - share)))
    images = draw_others(count, (seed, int(dataset.split == "test")), dataset)
    changes: dict[str, Any] = {
        "images": np.concatenate([dataset.images, images]),
        "labels": _continued(dataset.labels, np.full(count, len(dataset.classes))),
        "classes": Labels((*dataset.classes, UNKNOWN)),
        "licence": _joined(dataset.licence, kanjivg.LICENCE),
        "credit": _joined(dataset.credit, kanjivg.CREDIT),
    }
    if dataset.groups is not None:  # nobody wrote them: each is a group of its own
        changes["groups"] = _continued(dataset.groups, dataset.groups.max(initial=0) + 1 + np.arange(count))
    if dataset.sources is not None:
        changes["sources"] = _continued(dataset.sources, np.full(count, len(dataset.source_names)))
        changes["source_names"] = (*dataset.source_names, SOURCE)
    return replace(dataset, **changes)


def draw_others(count: int, entropy: tuple[int, int], dataset: CharacterDataset) -> np.ndarray:
    """Draw what is no character of a data set, in the look of its images; uint8 `[count, height, width]`.

    They depend on `entropy` and the data set alone.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    height, width = dataset.image_size
    canvas = max(CANVAS, 2 * height, 2 * width)
    characters = foreign_characters(dataset.classes)
    shares = np.array([share * (kind != "characters" or len(characters) > 0) for kind, share in SHARES.items()])
    ends = np.rint(np.cumsum(shares / shares.sum()) * count).astype(int)
    scribbles = draw_scribbles(ends[0], (*entropy, ord(UNKNOWN)), canvas, _models())

    def draw(random: np.random.Generator, number: int) -> np.ndarray:
        match list(SHARES)[int(np.searchsorted(ends, number, side="right"))]:
            case "scribbles":
                return _brushed(random, scribbles[number] / 255)
            case "letters":
                return _brushed(random, draw_letters(random, canvas))
            case "characters":
                return _brushed(random, _written(random, characters[random.integers(len(characters))], canvas))
            case "surfaces":
                return draw_surface(random, canvas if random.random() < 0.5 else max(height, width))
            case _:
                return _pieces(random, dataset)

    images = np.empty((count, height, width), np.uint8)
    for number in range(count):
        ink = draw(np.random.default_rng([*entropy, ord(UNKNOWN), number]), number)
        picture = Image.fromarray(np.rint(255 * ink).astype(np.uint8))
        images[number] = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
        if dataset.normalization == "ink-box":
            images[number] = np.rint(fit_image(images[number], height, box=True))
    return images


def _models() -> list[Strokes]:
    return list(kanjivg.load_strokes(_SCRIBBLED).values())


def _written(random: np.random.Generator, character: str, size: int) -> np.ndarray:
    """Return a character in lines of a pen, leaning and stretched a little; float `[size, size]`, 0..1."""
    picture = Image.new("L", (size, size))
    pen, angle = ImageDraw.Draw(picture), random.normal(0, 0.08)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    slant = turn @ (np.diag(random.uniform(0.75, 1.0, 2)) + random.normal(0, 0.06, (2, 2)))
    width = int(size / 64 * random.uniform(2, 5))
    for stroke in kanjivg.load_strokes([character])[character]:
        moved = (stroke - 0.5 + random.normal(0, 0.012, 2)) @ slant + 0.5
        pen.line([tuple(point) for point in (size * moved).tolist()], fill=255, width=width, joint="curve")
    return np.asarray(picture, float) / 255


def _brushed(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Return a drawing in the look of scanned ink: other strokes' width, uneven edges, dry places, cut out tightly."""
    size = len(picture)
    unit = size / 64
    if random.random() < 0.6:  # a brush is thicker than any pen
        picture = gaussian_filter(picture, unit * random.uniform(0.3, 1.3))
        edge = random.uniform(0.1, 0.45)
        picture = picture / max(picture.max(), 1e-6) - edge
        picture = np.clip(picture * random.uniform(0.5 / edge, 10) + 0.5, 0, 1)
    if random.random() < 0.5:
        grain = gaussian_filter(random.normal(size=picture.shape), unit * random.uniform(0.4, 1.5))
        worn = picture - random.uniform(0.05, 0.5) * np.abs(grain) / grain.std()
        picture = np.clip(worn * random.uniform(1, 3), 0, 1)
    picture = gaussian_filter(picture, unit * random.uniform(0, 0.9) ** 2)
    picture = picture / max(picture.max(), 1e-6)
    return _framed(random, picture)


def _framed(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Return a square cut out around the ink of a picture `[size, size]`, tight or with some room, in its size."""
    size, inked = len(picture), picture > 0.4
    if not inked.any():
        return picture
    rows, columns = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    center = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side *= random.choice([1.0, 1 + random.uniform(-0.05, 0.3)])
    left, top = center - side / 2 + random.normal(0, 0.03, 2) * side
    cut = Image.fromarray(picture.astype(np.float32)).transform(
        (size, size), Image.Transform.EXTENT, (left, top, left + side, top + side), Image.Resampling.BILINEAR
    )
    return np.clip(np.asarray(cut), 0, 1)


def _pieces(random: np.random.Generator, dataset: CharacterDataset) -> np.ndarray:
    """Return what lies between four characters, or several of them in one picture; float `[height, width]`, 0..1."""
    height, width = dataset.image_size
    across = int(random.integers(2, 4))
    chosen = dataset.images[np.sort(random.integers(len(dataset), size=across**2))]
    chosen = random.permutation(chosen).reshape(across, across, height, width)
    sheet = Image.fromarray(chosen.transpose(0, 2, 1, 3).reshape(across * height, across * width))
    if random.random() < 0.5:
        return np.asarray(sheet.resize((width, height), Image.Resampling.BOX), float) / 255
    left, top = (int(side * random.uniform(0.35, 0.65)) for side in (width, height))
    return np.asarray(sheet.crop((left, top, left + width, top + height)), float) / 255


def _continued(values: np.ndarray, more: np.ndarray) -> np.ndarray:
    return np.concatenate([values, more.astype(np.int32)])


def _joined(first: str, second: str) -> str:
    return "; ".join(dict.fromkeys([*first.split("; "), second]))
