"""Array folders: `images.npy`, `labels.npy` and `index.json`, laid out as EfficientNet-KuzushijiKanji reads them.

Those that this project writes have two files more: `origin.json` says which split of which data set the images were
made from, and `originals.npy` which of its rows each image was made from, so that copies of one original stay together.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.arrays import read_npy_header
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys, in_lots
from kuzushiji_tf.datasets.decoded import open_decoded
from kuzushiji_tf.datasets.own.origins import ORIGIN, check_split, read_about, read_origin, rows_of
from kuzushiji_tf.datasets.splits import held_out_rows
from kuzushiji_tf.errors import MissingFileError, UserError

IMAGES, LABELS, INDEX, ORIGINALS = "images.npy", "labels.npy", "index.json", "originals.npy"


@dataclass(frozen=True, eq=False)
class _Arrays:
    """The checked files of a folder; images are memory-mapped."""

    path: Path
    images: np.ndarray
    labels: np.ndarray
    classes: Labels
    origin: dict[str, Any] | None
    originals: np.ndarray | None


def is_array_folder(path: Path) -> bool:
    """Return whether a folder has one of the two arrays."""
    return (path / IMAGES).exists() or (path / LABELS).exists()


def read_array_folder(path: Path, split: str) -> CharacterDataset:
    """Load one split of an array folder; its images are memory-mapped where the split is the whole folder.

    With `origin.json` there is only the split that the images were made from, and `groups` are the originals.
    Without, the folder's images are split by content (`splits.held_out_rows`), or taken as they are for the split
    `all`; if it holds augmented images, nobody knows which of them are copies of one original, and figures on its test
    split are too good.

    Raises:
        MissingFileError: a file is not there.
        UserError: a file is damaged or of another form, the files disagree, or there is no such split.
    """
    arrays = _open(path)
    check_split(path, split, arrays.origin)
    rows = _rows_of(arrays, split) if arrays.origin is None else slice(None)
    return CharacterDataset(
        path.resolve().name,
        split,
        arrays.images[rows],
        arrays.labels[rows],
        arrays.classes,
        groups=None if arrays.originals is None else arrays.originals[rows],
        **read_about(path, arrays.origin),
    )


def verify_array_folder(path: Path) -> dict[str, Any]:
    """Check everything about an array folder that can be checked, and say what is in it.

    Returns:
        Plain values: `images`, `classes`, `height`, `width`, `counts` (images of each class by character),
        `empty_classes`, `origin` (the content of `origin.json`, or None) and `content_hash` (that of the images,
        labels and classes: `CharacterDataset.content_hash`).

    Raises:
        MissingFileError: a file is not there.
        UserError: the first thing that is wrong, with the number of the image where it is one.
    """
    arrays = _open(path)
    if arrays.originals is not None:
        _check_originals(arrays, arrays.originals)
    with tqdm(total=len(arrays.images), desc="verifying", unit=" images", disable=None, leave=False) as progress:
        for part in in_lots(len(arrays.images)):
            is_blank = ~arrays.images[part].any(axis=(1, 2))
            if is_blank.any():
                raise UserError(f"{path / IMAGES}: image {part.start + int(is_blank.argmax())} is all black.")
            progress.update(part.stop - part.start)
    dataset = CharacterDataset(path.name, "train", arrays.images, arrays.labels, arrays.classes, "", "")
    recorded = (arrays.origin or {}).get("content_hash")
    if recorded not in (None, dataset.content_hash):
        raise UserError(
            f"{path}: the content has the hash {dataset.content_hash}, but {ORIGIN} records {recorded}: a file was "
            "changed after it was written; write the folder again."
        )
    counts = np.bincount(arrays.labels, minlength=len(arrays.classes)).tolist()
    return {
        "images": len(dataset),
        "classes": len(arrays.classes),
        "height": dataset.image_size[0],
        "width": dataset.image_size[1],
        "counts": dict(zip(arrays.classes, counts, strict=True)),
        "empty_classes": counts.count(0),
        "origin": arrays.origin,
        "content_hash": dataset.content_hash,
    }


def map_array(path: Path, kinds: str, dimensions: int) -> np.ndarray:
    """Return an `.npy` file as a read-only memory map; its header is checked first, and nothing is unpickled.

    Args:
        kinds: what the items may be: `uint8`, or `integer` for any type of integers.
        dimensions: how many the array must have.

    Raises:
        MissingFileError: no such file.
        UserError: another array, or the file is damaged.
    """
    try:
        with open(path, "rb") as stream:
            shape, fortran_order, dtype = read_npy_header(stream)
            start, size = stream.tell(), os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        raise MissingFileError(f"There is no {path}; an array folder holds {IMAGES}, {LABELS} and {INDEX}.") from None
    except (ValueError, OSError):
        raise UserError(f"{path} is damaged or not an .npy file; write the folder again.") from None
    fits = dtype == np.uint8 if kinds == "uint8" else dtype.kind in "iu"
    if not fits or len(shape) != dimensions or min(shape, default=0) < 1:
        raise UserError(
            f"{path} holds an array {str(dtype)[:40]} {list(shape)[:5]} where a filled {kinds} array of {dimensions} "
            "dimensions is expected; is it the right file?"
        )
    expected = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size != expected:
        raise UserError(f"{path} has {size:,} bytes where its header promises {expected:,}; write the folder again.")
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran_order else "C")


def _open(path: Path) -> _Arrays:
    images = map_array(path / IMAGES, "uint8", 3)
    labels = _read_numbers(path / LABELS, len(images))
    classes = Labels.read_index_json(path / INDEX)
    if labels.max() >= len(classes):
        row = int((labels >= len(classes)).argmax())
        raise UserError(
            f"{path / LABELS}: image {row} has the label {labels[row]}, but {INDEX} ends at {len(classes) - 1}."
        )
    origin = read_origin(path)
    originals = _read_numbers(path / ORIGINALS, len(images)) if (path / ORIGINALS).exists() else None
    if origin and originals is None:
        raise MissingFileError(f"There is no {path / ORIGINALS}, which belongs to {ORIGIN}; write the folder again.")
    return _Arrays(path, images, labels, classes, origin, originals)


def _read_numbers(path: Path, count: int) -> np.ndarray:
    """Return an array of `count` row or class numbers as int32."""
    values = map_array(path, "integer", 1)
    if len(values) != count:
        raise UserError(f"{path} holds {len(values):,} numbers for the {count:,} images in {IMAGES}.")
    out_of_range = (values < 0) | (values > np.iinfo(np.int32).max)
    if out_of_range.any():
        row = int(out_of_range.argmax())
        raise UserError(f"{path}: image {row} has {values[row]}; numbers count from 0.")
    return np.array(values, np.int32)


def _rows_of(arrays: _Arrays, split: str) -> slice | np.ndarray:
    if split == "all":
        return slice(None)

    def build(folder: Path) -> None:
        np.save(folder / "is_test.npy", held_out_rows(content_keys(arrays.images), arrays.labels, len(arrays.classes)))

    states = [(arrays.path / name).stat() for name in (IMAGES, LABELS)]
    identity = {"form": 1, "files": [(state.st_size, state.st_mtime_ns) for state in states]}
    is_test = np.load(open_decoded("array-folder-split", arrays.path, identity, build) / "is_test.npy")
    return rows_of(arrays.path, is_test, split)


def _check_originals(arrays: _Arrays, originals: np.ndarray) -> None:
    names, numbers = np.unique(originals, return_inverse=True)  # of which the largest says nothing about their count
    label_of = np.empty(len(names), np.int32)
    label_of[numbers] = arrays.labels
    wrong = label_of[numbers] != arrays.labels
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{arrays.path / ORIGINALS}: image {row} shares its original, {originals[row]}, with images of "
            "another class."
        )
