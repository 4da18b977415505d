"""A recogniser in use: any picture of one character in, ranked characters out. TensorFlow is not needed."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.normalization import fit_image, to_ink
from kuzushiji_tf.predictors import load_predictor

LARGEST_IMAGE = 50_000_000  # pixels; a file of a few kilobytes can claim to be much larger
LONGEST_SIDE = 2048  # pixels; larger pictures are shrunk to this first, which no recogniser notices


@dataclass(frozen=True)
class Candidate:
    """One reading of a character.

    Attributes:
        character: e.g. `あ`.
        code_point: e.g. `U+3042`.
        probability: 0..1.
    """

    character: str
    code_point: str
    probability: float


class Recognizer:
    """Reads pictures of single characters.

    Args:
        path: an exported folder, or anything else that `predictors.load_predictor` takes.
        file: which file of a folder; None means the float32 `.tflite` file of an exported folder.
        num_threads: threads of LiteRT.

    Raises:
        MissingFileError, UserError: as `load_predictor`.
    """

    def __init__(self, path: str | Path, *, file: str | None = None, num_threads: int = 1):
        self.predictor = load_predictor(path, file, num_threads=num_threads)

    def recognize(
        self,
        image: str | Path | Image.Image | np.ndarray,
        top_k: int = 5,
        polarity: Literal["auto", "dark", "light"] = "auto",
    ) -> list[Candidate]:
        """Return the `top_k` most probable characters, best first.

        Args:
            image: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`, of any size.
            top_k: at most so many; a recogniser with fewer classes returns them all.
            polarity: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

        Raises:
            MissingFileError: no such file.
            UserError: not a readable picture, too large, without any ink, or `top_k` is below 1.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it must be at least 1.")
        ink = to_ink(image if isinstance(image, np.ndarray) else _read(image), polarity)
        if not ink.any():
            name = image if isinstance(image, str | Path) else "The image"
            raise UserError(f"{name} shows no ink that stands out from its background.")
        predictor = self.predictor
        fitted = fit_image(ink, predictor.image_size[0], box=predictor.normalization == "ink-box")
        probabilities = predictor.predict(np.rint(fitted).astype(np.uint8)[None])[0]
        return [
            Candidate(predictor.labels[index], predictor.labels.code_point(index), float(probabilities[index]))
            for index in map(int, np.argsort(-probabilities, kind="stable")[:top_k])
        ]


def _read(source: str | Path | Image.Image) -> np.ndarray:
    """Return a picture's pixels, uint8 `[h, w, 4]`, upright, at most `LONGEST_SIDE` long."""
    if isinstance(source, Image.Image):
        return _pixels(source, "The image")
    if not Path(source).exists():
        raise MissingFileError(f"There is no image {source}.")
    if Path(source).is_dir():
        raise UserError(f"{source} is a folder; name the images in it.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's notes on odd metadata, and on sizes where our own limit is lower
        try:
            image = Image.open(source)
        except Image.DecompressionBombError:
            raise _too_large(str(source)) from None
        except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
            raise _unreadable(str(source), error) from None
        with image:
            return _pixels(image, str(source))


def _pixels(image: Image.Image, name: str) -> np.ndarray:
    if image.width * image.height > LARGEST_IMAGE:
        raise _too_large(name)
    try:
        # Phones store their pictures on the side.
        image = _to_eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except Exception as error:  # as above
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
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{name} is not an image that can be read ({reason}); save it again as PNG or JPEG.")
