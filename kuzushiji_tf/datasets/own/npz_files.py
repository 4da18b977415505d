"""An `.npz` file of one's own: `images` and the character of each, and who wrote it where that is known."""

from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import Labels, parse_character
from kuzushiji_tf.config import LARGEST_SIZE
from kuzushiji_tf.datasets.arrays import read_npz_arrays
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.own.origins import UNKNOWN_LICENCE, check_split, rows_of
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import held_out_groups, held_out_rows
from kuzushiji_tf.errors import UserError, shown
from kuzushiji_tf.ink.background import is_dark_on_light
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import LARGEST_IMAGE, to_ink

LOOKED_AT = 1000  # images, evenly spaced, that show whether a file's ink is dark or light


def load_npz(path: Path, split: str, options: LoadOptions) -> CharacterDataset:
    """Load one split of an `.npz` file of images.

    It holds `images` uint8 `[n, height, width]`, `labels` (text `[n]`: characters, or code points such as `U+3042`)
    and, where known, `writers` (text or integers `[n]`). All of a file is dark on light or all is light on dark. The
    character is found in each image as in any picture (see `pictures.to_ink`), and brought to `options.image_size`
    pixels square, or the longer side of the file's images, at most 1,024. Images without ink are left out. `all` has
    every image; `train` and `test` are split by writer, or else by class and content.

    Raises:
        MissingFileError: no such file.
        UserError: the file is damaged, holds pickled objects or other arrays, its images are too large, or it has no
            such split.
    """
    check_split(path, split)
    arrays = read_npz_arrays(path, {"images": ("uint8", (3, 4)), "labels": ("text", (1,))}, {"writers": ("any", (1,))})
    images, labels, writers = _gray(path, arrays["images"]), arrays["labels"], arrays.get("writers")
    for name, values in (("labels", labels), ("writers", writers)):
        if values is not None and len(values) != len(images):
            raise UserError(f"{path} holds {len(images):,} images, but {len(values):,} {name}; it needs one for each.")
    size = options.image_size or _longer_side(path, images)
    classes, numbers = _classes(path, labels)
    groups = None if writers is None else np.unique(writers, return_inverse=True)[1].astype(np.int32)
    # By what the file holds, and not by the ink: the same images are held out in whatever way ink is found.
    if groups is None:
        is_test = held_out_rows(content_keys(images), numbers, len(classes))
    else:
        is_test = held_out_groups(groups, numbers, len(classes))
    chosen = np.arange(len(images))[rows_of(path, is_test, split)]
    inks = _as_ink(images, chosen)
    has_ink = np.array([ink.any() for ink in inks])
    if not has_ink.any():
        raise UserError(f"{path} holds no image with any ink.")
    rows, blank = chosen[has_ink], int((~has_ink).sum())
    return CharacterDataset(
        path.stem,
        split,
        _fitted([ink for ink in inks if ink.any()], size),
        numbers[rows],
        classes,
        UNKNOWN_LICENCE,
        UNKNOWN_LICENCE,
        groups=None if groups is None else groups[rows],
        left_out={"blank": blank} if blank else {},
    )


def _gray(path: Path, images: np.ndarray) -> np.ndarray:
    if images.ndim == 4 and images.shape[3] != 1:
        raise UserError(f"{path}: images has {images.shape[3]} channels; it must be gray, [n, height, width].")
    if images.shape[1] * images.shape[2] > LARGEST_IMAGE:
        raise UserError(f"{path}: its images have more than {LARGEST_IMAGE:,} pixels; cut the characters out.")
    return images.reshape(images.shape[:3])


def _longer_side(path: Path, images: np.ndarray) -> int:
    side = max(images.shape[1:])
    if side > LARGEST_SIZE:
        raise UserError(f"{path}: its images are {side:,} pixels long; say with --image-size how large they get.")
    return side


def _as_ink(images: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return the ink of some rows, as `to_ink` finds it; all images are dark on light, or all light on dark."""
    looked_at = images[:: max(len(images) // LOOKED_AT, 1)]
    dark = np.mean([is_dark_on_light(image.astype(np.float32) / 255) for image in looked_at]) > 0.5
    return [to_ink(images[row], "dark" if dark else "light") for row in rows]


def _classes(path: Path, labels: np.ndarray) -> tuple[Labels, np.ndarray]:
    """Return the classes by code point, and each image's number among them."""
    names, positions = np.unique(labels, return_inverse=True)
    characters = []
    for name in names.tolist():
        character = parse_character(name)
        if character is None:
            raise UserError(
                f"{path}: the label {shown(name)} is neither one character nor a code point such as U+3042."
            )
        characters.append(character)
    classes = Labels(tuple(sorted(set(characters))))
    numbers = np.array([classes.index_of(character) for character in characters], np.int32)
    return classes, numbers[positions]


def _fitted(inks: list[np.ndarray], size: int) -> np.ndarray:
    return np.stack([np.rint(fit_image(ink, size, box=False)).astype(np.uint8) for ink in inks])
