"""The forms in which a set of images is written: arrays, and class folders of pictures (`records` has another)."""

import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.own.array_folders import IMAGES, LABELS, ORIGINALS
from kuzushiji_tf.datasets.own.origins import ORIGIN
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import write_json

ARRAY_FILES = (IMAGES, LABELS, ORIGINALS)
PROGRESS = "progress.json"
WINDOW = 1 << 14  # images that are mapped into memory together, and after which progress is noted
_SMALL_FILES = 1 << 20  # bytes
_BLOCK = 4096  # bytes; the least that a file takes on most disks
_SAMPLE = 64  # pictures that the size is estimated from

Lot = tuple[np.ndarray, np.ndarray, np.ndarray]  # images uint8 [k, h, w], labels [k], the rows they are made from [k]


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be written.

    Attributes:
        dataset: the originals, classes in the order of the result.
        count: images of the result.
        lots: (first, stride) -> the images at the places first, first + 1 ... of the result, some at a time; place p
            shows position p * stride % count.
        origin: what `origin.json` says, and what a call must have in common with the one that it completes.
    """

    dataset: CharacterDataset
    count: int
    lots: Callable[[int, int], Iterator[Lot]]
    origin: dict[str, Any]


def write_arrays(task: Task, hidden: Path, folder: Path) -> None:
    """Write the arrays of an array folder, as far as they are not in `hidden` yet."""
    arrays: dict[str, tuple[tuple[int, ...], np.dtype]] = {
        IMAGES: ((task.count, *task.dataset.image_size), np.dtype(np.uint8)),
        LABELS: ((task.count,), np.dtype(np.int32)),
        ORIGINALS: ((task.count,), np.dtype(np.int32)),
    }
    size = sum(task.count * _item(shape, dtype) for shape, dtype in arrays.values())
    require_space(folder, size - _taken(hidden))
    starts = [_reserve(hidden / name, shape, dtype) for name, (shape, dtype) in arrays.items()]
    for begin, length, lots in _windows(task, hidden, folder):
        windows = [
            np.memmap(hidden / name, dtype, "r+", start + begin * _item(shape, dtype), (length, *shape[1:]))
            for start, (name, (shape, dtype)) in zip(starts, arrays.items(), strict=True)
        ]
        at = 0
        for lot in lots:
            for window, part in zip(windows, lot, strict=True):
                window[at : at + len(part)] = part
            at += len(lot[0])
        for window in windows:
            window.flush()
    images, labels = (np.load(hidden / name, mmap_mode="r") for name in (IMAGES, LABELS))
    written = replace(task.dataset, images=images, labels=labels, groups=None, sources=None)
    write_json(hidden / ORIGIN, {**task.origin, "content_hash": written.content_hash})


def write_folders(task: Task, hidden: Path, folder: Path) -> None:
    """Write class folders of PNG files, named by the image's place and its original."""
    classes = task.dataset.classes
    folders = [hidden / classes.code_point(index) for index in range(len(classes))]
    images, _, _ = next(task.lots(0, 1))
    sizes = [max(len(_png(image)), _BLOCK) for image in images[:_SAMPLE]]
    require_space(folder, math.ceil((task.count - images_done(hidden)) * sum(sizes) / len(sizes)))
    for number in np.unique(task.dataset.labels):
        folders[number].mkdir(exist_ok=True)
    for begin, _, lots in _windows(task, hidden, folder):
        place = begin
        for lot in lots:
            for image, label, original in zip(*lot, strict=True):
                (folders[label] / f"{place:07d}-{original}.png").write_bytes(_png(image))
                place += 1


def images_done(hidden: Path) -> int:
    """Return how many images an earlier call has finished."""
    try:
        return int(json.loads((hidden / PROGRESS).read_text(encoding="utf-8"))["images"])
    except FileNotFoundError:
        return 0


def _windows(task: Task, hidden: Path, folder: Path) -> Iterator[tuple[int, int, Iterator[Lot]]]:
    """Yield where each window of images that is still to be written begins, how many it has, and its lots."""
    done = images_done(hidden)
    lots = task.lots(done, 1)
    with tqdm(total=task.count, initial=done, desc=folder.name, unit=" images", disable=None) as bar:
        for begin in range(done, task.count, WINDOW):
            length = min(WINDOW, task.count - begin)
            yield begin, length, _counted(lots, length, bar)
            write_json(hidden / PROGRESS, {"images": begin + length})


def _counted(lots: Iterator[Lot], count: int, bar: tqdm) -> Iterator[Lot]:
    """Yield lots until `count` images have come; a window holds whole lots."""
    while count > 0:
        lot = next(lots)
        yield lot
        count -= len(lot[0])
        bar.update(len(lot[0]))


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _reserve(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Give an `.npy` file its full size, disk blocks included, and leave its data alone; return where they begin.

    Without the blocks a full disk would end the process (SIGBUS) when the memory map is written to.
    """
    with open(path, "r+b" if path.exists() else "w+b") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.flush()
        start = stream.tell()
        os.posix_fallocate(stream.fileno(), 0, start + shape[0] * _item(shape, dtype))
    return start


def _item(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape[1:]) * dtype.itemsize


def _taken(hidden: Path) -> int:
    """Return the bytes on disk of what an earlier call has reserved."""
    return sum(part.stat().st_blocks * 512 for part in hidden.glob("*.npy"))


def require_space(folder: Path, size: int) -> None:
    """Refuse to write so many bytes where fewer are free.

    Raises:
        UserError: that is so.
    """
    free = shutil.disk_usage(folder.parent).free
    if size + _SMALL_FILES > free:
        raise UserError(
            f"{folder} needs {_readable(size + _SMALL_FILES)} more where only {_readable(free)} are free: free some "
            "space, name a folder on another disk, or lower --balance."
        )


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
