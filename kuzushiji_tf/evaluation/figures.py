"""Drawing without a screen and with Japanese glyphs, on machines that have neither; pyplot is never involved."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from kuzushiji_tf.characters.labels import to_code_point

DPI = 100
BLUE, ORANGE, GRAY = "#2a6f97", "#d1603d", "#8a8a8a"  # of all that is drawn
# Latin text comes from the first; what it lacks, all Japanese, from the second.
FONTS = ("DejaVu Sans", "IPAexGothic")


@cache
def _japanese_glyphs() -> frozenset[int]:
    # The package changes matplotlib's default font when imported: that choice is the program's, not this library's.
    with matplotlib.rc_context():
        import matplotlib_fontja
    return frozenset(FT2Font(matplotlib_fontja.get_font_ttf_path()).get_charmap())


def shown(character: str) -> str:
    """Return the character, or its code point where the font has no glyph (38 of the 3,832 Kuzushiji kanji)."""
    return character if all(ord(part) in _japanese_glyphs() for part in character) else to_code_point(character)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` pixels."""
    _japanese_glyphs()
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, format="png", dpi=DPI)


def to_array(figure: Figure) -> np.ndarray:
    """Return a figure as RGB, uint8 `[height, width, 3]`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


class Sheet:
    """A page measured in pixels, x to the right and y down, on which images and text are placed."""

    def __init__(self, width: int, height: int):
        self.figure = new_figure(width, height)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._width, self._height = width, height
        self._fix_limits()

    def image(self, image: np.ndarray, x: float, y: float, height: float) -> None:
        """Place an image, uint8 `[h, w]`, with its top left corner at (x, y), scaled to `height`."""
        width = height * image.shape[1] / image.shape[0]
        color = np.repeat(image[..., np.newaxis], 3, axis=2)  # as it is: a color map would change some values by one
        self._axes.imshow(color, extent=(x, x + width, y + height, y))
        self._fix_limits()

    def text(self, x: float, y: float, text: str, size: float = 10, **style: str) -> None:
        """Place text whose vertical middle is at y.

        Args:
            x: its horizontal middle, unless `ha` says otherwise.
            y: of its middle.
            text: of one line or several.
            size: in points.
            style: matplotlib's `ha` and `color`.
        """
        given: dict[str, Any] = {"ha": "center", "color": "black", **style}
        self._axes.text(x, y, text, size=size, va="center", fontfamily=FONTS, **given)

    def _fix_limits(self) -> None:
        self._axes.set(xlim=(0, self._width), ylim=(self._height, 0), aspect="auto")
