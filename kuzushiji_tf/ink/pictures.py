"""One picture of a character, from a file that nobody has to trust: its pixels, and its ink."""

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.ink.normalization import to_ink

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # some others of Pillow's start other programs
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")  # of the files in a class folder
LARGEST_IMAGE = 50_000_000  # pixels; a file of a few kilobytes can claim to be much larger
LONGEST_SIDE = 2048  # pixels; larger pictures are shrunk to this first, which no recognizer notices


def read_ink(
    source: str | Path | Image.Image | np.ndarray, polarity: Literal["auto", "dark", "light"] = "auto"
) -> np.ndarray:
    """Return the ink of a picture of any size, color and paper, white on black: uint8 `[h, w]`, as `to_ink` finds it.

    Args:
        source: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`.
        polarity: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable picture, too large, or without any ink.
    """
    ink = to_ink(source if isinstance(source, np.ndarray) else read_image(source), polarity)
    if not ink.any():
        name = source if isinstance(source, str | Path) else "The image"
        raise UserError(f"{name} shows no ink that stands out from its background.")
    return ink


def read_image(source: str | Path | Image.Image) -> np.ndarray:
    """Return a picture's pixels, uint8 `[h, w, 4]` (RGBA), upright, at most `LONGEST_SIDE` long.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable picture of one of the `FORMATS`, or too large.
    """
    if isinstance(source, Image.Image):
        return _pixels(source, "The image")
    if not Path(source).exists():
        raise MissingFileError(f"There is no image {source}.")
    if Path(source).is_dir():
        raise UserError(f"{source} is a folder; name the images in it.")
    if not Path(source).is_file():
        raise UserError(f"{source} is a device or a pipe, which holds no image.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's notes on odd metadata, and on sizes where our own limit is lower
        try:
            image = Image.open(source, formats=FORMATS)
        except Image.DecompressionBombError:
            raise _too_large(str(source)) from None
        except Exception as error:  # noqa: BLE001 (Pillow's readers raise whatever a damaged file leads them to)
            raise _unreadable(str(source), error) from None
        with image:
            return _pixels(image, str(source))


def _pixels(image: Image.Image, name: str) -> np.ndarray:
    if image.width * image.height > LARGEST_IMAGE:
        raise _too_large(name)
    try:
        # Phones store their pictures on the side.
        image = _to_eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except Exception as error:  # noqa: BLE001 (as above)
        raise _unreadable(name, error) from None
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(image)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of 16 or more bits a pixel stretched to 8; Pillow alone would cut off what is above 255."""
    if image.mode not in ("I", "F", "I;16", "I;16B", "I;16L"):
        return image
    values = np.asarray(image, np.float64)
    low, high = values.min(), values.max()
    return Image.fromarray(np.rint((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))


def _too_large(name: str) -> UserError:
    return UserError(f"{name} has more than {LARGEST_IMAGE:,} pixels, the most that is read; cut the character out.")


def _unreadable(name: str, error: Exception) -> UserError:
    reason = reason_of(error)
    return UserError(f"{name} is not an image that can be read ({reason}); save it again as PNG or JPEG.")
