"""One way to look at a picture: whatever somebody photographs, scans, cuts out or draws, only its character is left.

`read_ink` opens and shrinks it (here), finds what is ink (`background`), erases rules (`rules`), leaves out specks and
neighbors (`components`), and cuts the character out (`cutting`). docs/ink.md says what each step does, and its limits.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.ink.background import FLATTEST, find_ink
from kuzushiji_tf.ink.components import character_of
from kuzushiji_tf.ink.cutting import cut_out
from kuzushiji_tf.ink.rules import erase_rules

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # some others of Pillow's start other programs
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")  # of the files in a class folder
LARGEST_IMAGE = 50_000_000  # pixels; a file of a few kilobytes can claim to be much larger
MOST_SCANS = 100  # of a JPEG picture: one that builds up has about ten, and each costs as much as a whole picture
LONGEST_SIDE = 256  # pixels; larger pictures are shrunk to this first, which no recognizer notices
FULL_SCALES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # white, in pictures of more than 8 bits a pixel
VISIBLE = 1 / 16  # of full opacity: what is fainter everywhere is nothing
MOSTLY = 0.5  # of a picture: what is opaque there and shows a contrast is paper and ink, less is ink

Polarity = Literal["auto", "dark", "light"]


def read_ink(source: str | Path | Image.Image | np.ndarray, polarity: Polarity = "auto") -> np.ndarray:
    """Return the ink of the character that a picture shows, white on black, uint8 `[h, w]`, as `to_ink` finds it.

    Args:
        source: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`, of any size.
        polarity: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable picture, too large, or without any ink; the polarity has another name.
    """
    if isinstance(source, str | Path):
        with _opened(source) as image:
            decode_small(image)
            ink = _to_ink(image, polarity, str(source))
    else:
        ink = to_ink(source, polarity)
    if not ink.any():
        name = source if isinstance(source, str | Path) else "The image"
        raise UserError(f"{name} shows no ink that stands out from its background.")
    return ink


def to_ink(image: Image.Image | np.ndarray, polarity: Polarity = "auto") -> np.ndarray:
    """Return the ink of the character that a picture shows, cut out of it unless it fills it already.

    Args:
        image: a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` (RGB) or `[h, w, 4]` (RGBA). Where a part of it is
            transparent, what is opaque is the ink, whatever its color.
        polarity: as in `read_ink`.

    Returns:
        uint8 `[h, w]`, at most `LONGEST_SIDE` long: the paper 0, the typical ink 255; all 0 where there is no contrast.

    Raises:
        UserError: the image has another type or shape or is too large, or the polarity has another name.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.size == 0 or image.ndim < 2 or image.shape[2:] not in ((), (3,), (4,)):
            raise UserError(f"An image must be uint8 [h, w], [h, w, 3] or [h, w, 4], not {image.dtype} {image.shape}.")
        image = Image.fromarray(image)
    return _to_ink(image, polarity, "The image")


def read_gray(path: str | Path) -> np.ndarray:
    """Return the gray levels of a picture as they are, uint8 `[h, w]`.

    Raises:
        MissingFileError, UserError: as `read_ink`.
    """
    with _opened(path) as image:
        return np.asarray(image.convert("L"))


def decode_small(image: Image.Image) -> None:
    """Let a JPEG picture of which only the header has been read be decoded small and gray, in a fraction of the time.

    The image says then that it is as small as this.
    """
    image.draft("L", (LONGEST_SIDE, LONGEST_SIDE))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Yield a file's picture, of which only the header has been read; whatever is wrong with it is a UserError."""
    if not Path(path).exists():
        raise MissingFileError(f"There is no image {path}.")
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; name the images in it.")
    if not Path(path).is_file():
        raise UserError(f"{path} is a device or a pipe, which holds no image.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's notes on odd metadata, and on sizes where our own limit is lower
        try:
            with Image.open(path, formats=FORMATS) as image:
                _check_cost(image, str(path))
                yield image
        except (UserError, MissingFileError):
            raise
        except Image.DecompressionBombError:
            raise _too_large(str(path)) from None
        except Exception as error:  # noqa: BLE001 (Pillow's readers raise whatever a damaged file leads them to)
            raise _unreadable(str(path), error) from None


def _to_ink(image: Image.Image, polarity: Polarity, name: str) -> np.ndarray:
    if polarity not in ("auto", "dark", "light"):
        raise UserError(f"The polarity is {polarity!r}; it must be auto, dark or light.")
    _check_cost(image, name)
    try:
        small = _shrunk(image)
    except Exception as error:  # noqa: BLE001 (as above)
        raise _unreadable(name, error) from None
    ink = _opaque_ink(small)
    if ink is None:
        ink = find_ink(_levels(small, polarity), None if polarity == "auto" else polarity == "dark")
    ink = erase_rules(ink)
    return cut_out(ink, character_of(ink)) if ink.any() else np.zeros(ink.shape, np.uint8)


def _shrunk(image: Image.Image) -> Image.Image:
    """Return a picture upright and at most `LONGEST_SIDE` long, of mode L, RGBA, or F if it has more than 8 bits."""
    image.load()  # a TIFF picture is turned by this alone
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if image.mode in ("P", "PA", "LA", "La", "1") or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "L")
    elif image.mode.startswith("I"):
        image = image.convert("F")
    coarse = max(image.size) // (2 * LONGEST_SIDE)
    if coarse > 1:  # a mean of whole pixels first, which needs no memory
        image = image.reduce(coarse)
    if image.mode not in ("L", "F", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "L")
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    small.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(small)


def _opaque_ink(image: Image.Image) -> np.ndarray | None:
    """Return the opaque part of a picture as its ink, float32 `[h, w]`, 0..1; None where its colors tell the ink."""
    if image.mode != "RGBA":
        return None
    opacity: np.ndarray = np.asarray(image)[..., 3].astype(np.float32) / 255
    most = float(opacity.max())
    if most < VISIBLE:
        return np.zeros_like(opacity)
    if most - opacity.min() < VISIBLE:
        return None
    opaque = opacity > 0.9 * most
    gray = np.asarray(image.convert("RGB").convert("L"))[opaque]
    if opaque.mean() > MOSTLY and np.ptp(np.quantile(gray, [0.02, 0.98])) > 255 * 2 * FLATTEST:
        return None  # as of a screenshot with round corners
    return opacity / most


def _levels(image: Image.Image, polarity: Polarity) -> np.ndarray:
    """Return the gray levels of a picture, 0 black .. 1 white, float32 `[h, w]`; what is transparent is paper."""
    if image.mode == "F":
        levels: np.ndarray = np.maximum(np.asarray(image), 0)
        most = float(levels.max())
        return levels / next((scale for scale in FULL_SCALES if scale >= most), most)
    if image.mode == "RGBA":
        paper = Image.new("RGBA", image.size, "black" if polarity == "light" else "white")
        image = Image.alpha_composite(paper, image).convert("L")
    return np.asarray(image, np.float32) / 255


def _check_cost(image: Image.Image, name: str) -> None:
    """Refuse a picture that a small file makes expensive."""
    if image.width * image.height > LARGEST_IMAGE:
        raise _too_large(name)
    if isinstance(image, JpegImageFile) and _count_scans(image) > MOST_SCANS:
        raise UserError(f"{name} is a JPEG picture of more than {MOST_SCANS} scans, as none is; save it again as PNG.")


def _count_scans(image: JpegImageFile) -> int:
    """Return how many scans a JPEG picture that is not decoded yet has, those of thumbnails among them."""
    stream = image.fp
    if stream is None:
        return 0
    place, count, last = stream.tell(), 0, b""
    stream.seek(0)
    while chunk := stream.read(1 << 20):
        count += (last + chunk).count(b"\xff\xda")
        last = chunk[-1:]
    stream.seek(place)
    return count


def _too_large(name: str) -> UserError:
    return UserError(f"{name} has more than {LARGEST_IMAGE:,} pixels, the most that is read; cut the character out.")


def _unreadable(name: str, error: Exception) -> UserError:
    reason = reason_of(error)
    return UserError(f"{name} is not an image that can be read ({reason}); save it again as PNG or JPEG.")
