"""What is said about the user's own images: licence, credit, which data set they were made from, and how they split."""

from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.config import LARGEST_SIZE
from kuzushiji_tf.datasets.core import INKS, NORMALIZATIONS
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import read_json, read_text

ORIGIN = "origin.json"
ABOUT = ("licence", "credit", "ink", "normalization")  # of a data set, in `origin.json`
LICENCE_FILES = ("licence.txt", "license.txt")
UNKNOWN_LICENCE = "unknown: the images are your own"
SPLITS = ("train", "test", "all")


def read_origin(folder: Path) -> dict[str, Any] | None:
    """Return what `origin.json` says, which materializing writes; None where a folder has none.

    Raises:
        UserError: the file does not say what it should.
    """
    path = folder / ORIGIN
    if not path.exists():
        return None
    try:
        origin = read_json(path)
        values = [origin["dataset"], origin["split"], *(origin.get(key, "") for key in ABOUT)]
        is_known = origin.get("ink", "scanned") in INKS and origin.get("normalization", "none") in NORMALIZATIONS
        size = origin.get("image_size", 1)
        is_known = is_known and type(size) is int and 1 <= size <= LARGEST_SIZE
    except (UserError, LookupError, TypeError, AttributeError):
        values, is_known = [None], False
    if not is_known or not all(isinstance(value, str) for value in values):
        raise UserError(
            f"{path} does not say, as JSON, which dataset and split the folder was made from, "
            f"with an ink of {', '.join(INKS)}, a normalization of {', '.join(NORMALIZATIONS)} and images of at most "
            f"{LARGEST_SIZE} pixels; write it again."
        )
    return origin


def read_about(folder: Path, origin: dict[str, Any] | None) -> dict[str, Any]:
    """Return licence, credit and, where the origin has them, ink and normalization.

    Without an origin the licence and the credit are the first and the second line of `licence.txt`, or unknown.
    """
    if origin is not None:
        unknown = dict.fromkeys(("licence", "credit"), UNKNOWN_LICENCE)
        return unknown | {key: origin[key] for key in ABOUT if key in origin}
    lines: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.lower() in LICENCE_FILES and path.is_file():
            lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
            break
    licence, credit, *_ = [*lines, UNKNOWN_LICENCE, UNKNOWN_LICENCE]
    return {"licence": licence, "credit": credit}


def check_split(path: Path, split: str, origin: dict[str, Any] | None = None) -> None:
    """Refuse a split that the user's own images do not have.

    Raises:
        UserError: there is no such split; made from another data set's, they have that one alone.
    """
    if origin is not None and split != origin["split"]:
        raise UserError(
            f"{path} was made from the {origin['split']!r} split of {origin['dataset']} and has no {split!r} split; "
            f"for that one name the data set itself: --dataset {origin['dataset']}."
        )
    if origin is None and split not in SPLITS:
        raise UserError(f"{path} has no {split!r} split; images of your own have: {', '.join(SPLITS)}.")


def rows_of(path: Path, is_test: np.ndarray, split: str) -> slice | np.ndarray:
    """Return the rows of a split: a slice, which leaves images memory-mapped, where they follow each other.

    Args:
        is_test: bool `[n]`.

    Raises:
        UserError: there are none.
    """
    if split == "all":
        return slice(None)
    rows = np.flatnonzero(is_test == (split == "test"))
    if not len(rows):
        raise UserError(f"{path} has too few images to hold some out for testing; add more of each character.")
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows
