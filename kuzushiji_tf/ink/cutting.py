"""The last look at a picture: its character alone, at full strength, sharp, without a margin."""

import numpy as np
from PIL import Image, ImageFilter

from kuzushiji_tf.ink.components import INK
from kuzushiji_tf.ink.filters import extreme, mean

FRINGE = 5  # pixels: what is erased goes with the faint ink around it
TEXTURE = 85  # of a picture's longer side is one pixel of texture, as of pencil on rough paper
FULL = 0.97  # of the strongest: typical ink that has it is left as it is
BLURRED = 0.05  # of the character's longer side: wider edges are sharpened ...
BLURRED_PIXELS = 5  # ... unless they are narrower than this, as in any small picture
RADIUS = 0.3  # of the sharpening, in widths of an edge
FILLED = 0.89  # of the longer side: in 99.5 % of the images of Kuzushiji-Kanji ink fills 57 of 64 pixels


def cut_out(ink: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return a character, cut out of its picture unless it fills that already, as tight crops do.

    Args:
        ink: of the whole picture, float32 `[h, w]`, 0..1.
        own: bool `[h, w]`, which pixels are the character's own strokes.

    Returns:
        uint8 `[h, w]`, the typical ink 255.
    """
    others = (ink > INK * ink.max()) & ~own
    if others.any():
        ink = np.where(extreme(others, FRINGE, np.maximum) & ~own, 0, ink)
    typical = float(np.quantile(mean(ink, round(max(ink.shape) / TEXTURE) | 1)[own], 0.9))
    if typical < FULL:
        ink = np.minimum(ink / typical, 1)
    rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    side = max(own[box].shape)
    ink = _sharpened(np.rint(ink * 255).astype(np.uint8), side)
    return ink if side >= FILLED * max(ink.shape) else ink[box]


def _sharpened(ink: np.ndarray, side: int) -> np.ndarray:
    """Return ink uint8 `[h, w]` with edges as narrow as in a sharp picture; `side` is the character's longer one."""
    levels = ink.astype(np.float32) / 255
    across, down = levels[:-1, 1:] - levels[:-1, :-1], levels[1:, :-1] - levels[:-1, :-1]
    outline = float(np.sqrt(across * across + down * down).sum())
    edge = 6 * float((levels * (1 - levels)).sum()) / max(outline, 1e-6)  # the width of one that rises evenly
    if edge < max(BLURRED * side, BLURRED_PIXELS):
        return ink
    return np.asarray(Image.fromarray(ink).filter(ImageFilter.UnsharpMask(RADIUS * edge, percent=100, threshold=0)))
