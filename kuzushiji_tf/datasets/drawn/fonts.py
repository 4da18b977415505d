"""Characters as fonts have them: other people's hands, brushes and print beside the forms of KanjiVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kuzushiji_tf.datasets.drawn import inks
from kuzushiji_tf.datasets.drawn.variation import Variation
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.normalization import fit_image

SUFFIXES = (".ttf", ".otf", ".ttc")  # of what Pillow reads everywhere
FINENESS = 1.5  # pixels of a glyph for one of the image
_MISSING = "\U0010ffff"  # no font has it: its glyph is the one that stands for those that are missing


@dataclass(frozen=True)
class Font:
    """A font that draws characters.

    Attributes:
        name: of its file: a path, or the bare name of a font that the system has installed.
        pixels: the size of its glyphs.
    """

    name: str
    pixels: int

    @property
    def file(self) -> Path:
        """Where the font is."""
        return Path(str(_opened(self.name, self.pixels).path))

    def glyph(self, character: str) -> Image.Image | None:
        """Return the picture of a character, white on black, or None where the font lacks it or leaves it blank."""
        mask = _picture(_opened(self.name, self.pixels), character, self.pixels)
        is_missing = mask.getbbox() is None or mask.tobytes() == _missing(self.name, self.pixels)
        return None if is_missing else mask


def is_font(path: str) -> bool:
    """Return whether a file's name is that of a font."""
    return path.lower().endswith(SUFFIXES)


def open_fonts(names: Sequence[str], image_size: int) -> tuple[Font, ...]:
    """Return fonts whose glyphs are large enough for images of a size.

    Raises:
        MissingFileError: there is no such file; the sentence says what helps.
        UserError: a file is not a font.
    """
    fonts = tuple(Font(name, round(FINENESS * image_size)) for name in names)
    for font in fonts:
        _opened(font.name, font.pixels)
    return fonts


def draw_glyphs(
    glyphs: Sequence[Image.Image], count: int, entropy: Sequence[int], image_size: int, variation: Variation
) -> np.ndarray:
    """Draw the glyphs of a character `count` times, each time another, thicker or thinner, bent, aslant or worn.

    Image `i` depends on the glyphs, `entropy`, the variation and `i` alone.

    Returns:
        uint8 `[count, image_size, image_size]`, normalized as `normalization.fit_image(box=True)` does.
    """
    table = np.random.default_rng([*entropy, len(glyphs)]).random((count, 10 + inks.DRAWS), dtype=np.float32)
    images = np.empty((count, image_size, image_size), np.float32)
    for row, numbers in enumerate(table):
        glyph = glyphs[int(numbers[0] * len(glyphs))]
        changed = _slanted(_thickened(glyph, numbers[1], image_size), 2 * numbers[2:10] - 1, variation)
        images[row] = fit_image(np.asarray(changed), image_size, box=True)
    return np.rint(inks.weather(images, table[:, 10:], variation)).astype(np.uint8)


def _thickened(glyph: Image.Image, number: float, image_size: int) -> Image.Image:
    """Return a glyph with its strokes thinner or thicker, by up to 2 pixels of an image of 64; none are lost."""
    change = round((1.5 * number - 0.6) * FINENESS * image_size / 64)  # on each side of a stroke
    if change >= 0:
        return glyph.filter(ImageFilter.MaxFilter(2 * change + 1))
    thinner = glyph.filter(ImageFilter.MinFilter(2 * -change + 1))
    is_whole = np.asarray(thinner).sum() > 0.35 * np.asarray(glyph).sum()
    return thinner if is_whole else glyph


def _slanted(glyph: Image.Image, signed: np.ndarray, variation: Variation) -> Image.Image:
    """Return a glyph turned, sheared, stretched and bent at two corners, half as much as strokes are."""
    side = glyph.width
    angle, shear = variation.rotation / 2 * signed[0], variation.shear / 2 * signed[1]
    stretch = np.exp(variation.aspect / 2 * signed[2])
    cosine, sine = np.cos(angle), np.sin(angle)
    corners = side / 2 * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[stretch, shear], [0, 1 / stretch]])
    moved = corners @ matrix.T
    moved[1] += 2 * variation.warp * side * signed[3:5]
    moved[3] += 2 * variation.warp * side * signed[5:7]
    source = tuple((moved + side / 2).ravel())  # upper left, lower left, lower right, upper right
    return glyph.transform((side, side), Image.Transform.QUAD, source, Image.Resampling.BILINEAR)


@lru_cache(maxsize=64)
def _opened(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(name, pixels)
    except OSError:
        if Path(name).is_file():
            raise UserError(f"{name} is not a font that can be read; name .ttf, .otf or .ttc files.") from None
        raise MissingFileError(
            f"There is no font {name}, neither here nor among the system's; install it or leave it out of forms."
        ) from None


@lru_cache(maxsize=64)
def _missing(name: str, pixels: int) -> bytes:
    """Return the pixels of the glyph with which a font answers for what it lacks."""
    return _picture(_opened(name, pixels), _MISSING, pixels).tobytes()


def _picture(font: ImageFont.FreeTypeFont, character: str, pixels: int) -> Image.Image:
    picture = Image.new("L", (2 * pixels, 2 * pixels))
    ImageDraw.Draw(picture).text((pixels, pixels), character, fill=255, font=font, anchor="mm")
    box = picture.getbbox() or (0, 0, 1, 1)
    side = max(box[2] - box[0], box[3] - box[1]) * 4 // 3  # what varies needs space around the glyph
    square = Image.new("L", (side, side))
    square.paste(picture.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
    return square
