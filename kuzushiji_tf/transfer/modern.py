"""The modern side of the transfer: KanjiVG's kanji, as strokes in the unit box and as images drawn from them."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from kuzushiji_tf.characters.scripts import KANJI
from kuzushiji_tf.datasets.kanjivg import has_strokes, load_strokes
from kuzushiji_tf.ink.normalization import draw_strokes
from kuzushiji_tf.ink.strokes import PEN_WIDTH, Strokes, normalize

IMAGE_SIZE = 64  # pixels, height and width: as Kuzushiji-Kanji has


@cache
def modern_characters() -> tuple[str, ...]:
    """Return every kanji that KanjiVG has, in code point order; one form each, which is its plain one.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    return tuple(chr(point) for first, last in KANJI for point in range(first, last + 1) if has_strokes(chr(point)))


def modern_strokes(characters: Iterable[str]) -> list[Strokes]:
    """Return KanjiVG's strokes of each character, in the order of writing, as `strokes.normalize` fits them.

    The box of the strokes is centered in the unit box, its aspect kept and `strokes.MARGIN` left free on each side,
    so that a sequence has no more to say about place and size than the image that it belongs to.

    Raises:
        UserError: the package `kanjivg` is not installed, or has no such character.
    """
    characters = list(characters)
    loaded = load_strokes(characters)
    return [normalize(loaded[character]) for character in characters]


def draw_modern(drawings: Sequence[Strokes], image_size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw characters as the project's recognizers read them, whatever the place and the size of their strokes.

    Args:
        drawings: the strokes of each character, in any unit, y down; a drawing without strokes gives a black image.

    Returns:
        uint8 `[n, image_size, image_size]`, ink 255 on black 0, of a pen that recognizers of drawn characters know.
    """
    images = np.zeros((len(drawings), image_size, image_size), np.uint8)
    for image, strokes in zip(images, drawings, strict=True):
        if strokes:
            image[:] = draw_strokes(strokes, image_size, PEN_WIDTH * image_size)
    return images
