"""What of a picture is ink and what is paper, in light and in shade: NumPy alone, on small gray pictures."""

import numpy as np
from PIL import Image

from kuzushiji_tf.ink.filters import extreme, mean

FLATTEST = 0.06  # of white: with less contrast than this, paper is taken to be blank
CELLS = 48  # along the longer side of the picture on which the background is looked for
WINDOW = 17  # cells: what is narrower than this is ink, what is wider is paper in another light
DARKEST = 0.1  # of white: paper that is darker than this counts as this dark
GRAIN = 4  # times the usual deviation of the paper from its background is no ink yet


def find_ink(gray: np.ndarray, dark: bool | None = None) -> np.ndarray:
    """Return how much darker than the paper around it each pixel is, or lighter, if the ink is light.

    Args:
        gray: float32 `[h, w]`, 0 black .. 1 white.
        dark: whether the ink is dark on light paper; None finds it from the picture.

    Returns:
        float32 `[h, w]`: the paper, its grain and its shades 0, the ink up to 1; all 0 where there is no contrast.
    """
    if dark is None:
        dark = is_dark_on_light(gray)
    difference, paper = _against_paper(gray, dark)
    if _contrast(difference) < FLATTEST:
        return np.zeros_like(gray)
    return _stretched(difference / np.maximum(paper, DARKEST))


def is_dark_on_light(gray: np.ndarray) -> bool:
    """Return whether a picture `[h, w]`, 0..1, shows dark ink on light paper; a flat one goes by its brightness.

    Ink stands out from the paper farther than the paper's grain does on the other side, and covers less of the
    picture, above all of its border, than the paper would if it were the ink.
    """
    evidence = {}
    for dark in (True, False):
        difference, paper = _against_paper(gray, dark)
        contrast = _contrast(difference)
        covered = difference > 0.5 * (paper if dark else 1 - paper)
        evidence[dark] = contrast - _cover(covered) if contrast >= FLATTEST else -np.inf
    if max(evidence.values()) == -np.inf:
        return bool(np.median(gray) > 0.5)
    return bool(evidence[True] > evidence[False])


def _against_paper(gray: np.ndarray, dark: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each pixel is darker than the paper (or lighter), at least 0, and how light the paper is."""
    paper = _background(gray) if dark else -_background(-gray)
    return np.maximum(paper - gray if dark else gray - paper, 0), paper


def _grain(ink: np.ndarray) -> float:
    """Return up to which level ink is but the grain of the paper."""
    paper = ink[ink < 0.5 * _strongest(ink)]
    if not paper.size:
        return 0.0
    level = float(np.median(paper))
    return level + GRAIN * float(np.median(np.abs(paper - level)))


def _strongest(ink: np.ndarray) -> float:
    return float(ink.max() if ink.size < 1000 else np.quantile(ink, 0.9995))


def _contrast(ink: np.ndarray) -> float:
    """Return by how much the strongest ink stands out from the grain of the paper."""
    return _strongest(ink) - _grain(ink)


def _stretched(ink: np.ndarray) -> np.ndarray:
    """Return ink less the grain of the paper, its strongest 1."""
    grain = _grain(ink)
    return np.clip((ink - grain) / max(_strongest(ink) - grain, 1e-6), 0, 1)


def _cover(covered: np.ndarray) -> float:
    """Return how much of a picture is covered, and of its border; of two sides, which may show a table, nothing."""
    thickness = max(1, min(covered.shape) // 16)
    sides = covered[:thickness], covered[-thickness:], covered[:, :thickness], covered[:, -thickness:]
    return float(sorted(side.mean() for side in sides)[1] + 0.5 * covered.mean())


def _background(gray: np.ndarray) -> np.ndarray:
    """Return the light paper of a picture, as if there were no ink on it: a closing with a large window, smoothed."""
    height, width = gray.shape
    scale = min(1.0, CELLS / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    cells = _resized(gray, columns, rows, Image.Resampling.BOX)
    window = min(WINDOW, round(WINDOW / CELLS * max(rows, columns))) | 1
    cells = extreme(extreme(cells, window, np.maximum), window, np.minimum)
    return _resized(mean(cells, window // 2 | 1), width, height, Image.Resampling.BILINEAR)


def _resized(values: np.ndarray, width: int, height: int, resample: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), resample))
