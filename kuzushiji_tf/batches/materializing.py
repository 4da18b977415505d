"""A data set, as it is or balanced, written out for others: arrays as EfficientNet-KuzushijiKanji reads, or TFRecords.

What a killed call has written is used by the next one with the same arguments; since each image is a function of its
position, the result is bit by bit that of an uninterrupted one.
"""

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.batches.resumable import resumable_folder
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.own.array_folders import ABOUT, IMAGES, INDEX, LABELS, ORIGIN, ORIGINALS
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.runtime import versions_of

# TensorFlow takes seconds to load and plain arrays need none of it: what needs it is imported where it is used.

LOT = 256  # images made at a time
WINDOW = 64 * LOT  # images that are mapped into memory together, and after which progress is noted
_PROGRESS = "progress.json"
_SMALL_FILES = 1 << 20  # bytes


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be written.

    Attributes:
        dataset: the originals, classes in the order of the result.
        count: images of the result.
        lots: (first, stride) -> images, labels and original rows at the places first, first + 1 ... of the result, LOT
            at a time; place p shows position p * stride % count.
        origin: what `origin.json` says, and what a call must have in common with the one that it completes.
    """

    dataset: CharacterDataset
    count: int
    lots: Callable[[int, int], Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]]
    origin: dict[str, Any]


def materialize(
    dataset: CharacterDataset,
    folder: str | Path,
    balance: int = 0,
    seed: int = 0,
    augmentation: ImageAugmentation | None = None,
    split: str | None = None,
    format: Literal["npy", "tfrecord"] = "npy",
    *,
    overwrite: bool = False,
) -> Path:
    """Write a data set as files, and go on with an earlier call that was stopped.

    Classes are numbered in the order of their code points' names, as the source project's folders are. `npy` writes
    `images.npy` uint8 `[n, h, w]`, `labels.npy` int32 `[n]`, `index.json`, `originals.npy` int32 `[n]` (the data set's
    row each image was made from) and `origin.json`. `tfrecord` writes `images-00000-of-00008.tfrecord` and so on
    (features `image`: PNG, `label`, `character`: UTF-8, `original`; the classes in mixed order) and the two JSON files.

    Args:
        folder: the target; an existing one is refused, unless it is empty.
        balance: images of each class, as `sampling.BalancedPlan` has them; 0 writes the images as they are.
        seed: of the copies.
        augmentation: of the copies; None or one that changes nothing: the source project's (`balancing.copy_changes`).
        split: the name of the split, for the record; None: the data set's own.
        overwrite: replace a folder that was written by this function, and start anew what was stopped.

    Returns:
        The folder.

    Raises:
        UserError: the target is there or in use, or the disk is too small.
    """
    folder = Path(folder).resolve()
    try:
        _check_target(folder, overwrite)
        task = _task(dataset, balance, seed, augmentation or ImageAugmentation(), split or dataset.split, format)
        with resumable_folder(folder, ORIGIN, task.origin, overwrite, _is_worth_keeping) as hidden:
            (_write_arrays if format == "npy" else _write_records)(task, hidden, folder)
            task.dataset.classes.write_index_json(hidden / INDEX)
            (hidden / _PROGRESS).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def _task(
    dataset: CharacterDataset, balance: int, seed: int, augmentation: ImageAugmentation, split: str, format: str
) -> _Task:
    if format not in ("npy", "tfrecord"):
        raise UserError(f"There is no format {format!r}; choose npy or tfrecord.")
    if not len(dataset) or min(balance, seed) < 0:
        problem = "balance and seed must not be negative" if len(dataset) else "there is no image to write"
        raise UserError(f"{dataset.name}: {problem}.")
    origin = {
        "dataset": dataset.name,
        "split": split,
        "balance": balance,
        "seed": seed,
        "augmentation": asdict(augmentation) if balance and augmentation != ImageAugmentation() else None,
        "format": format,
        "source_hash": dataset.content_hash,
        **{key: getattr(dataset, key) for key in ABOUT},
        # Another version may round otherwise.
        "versions": versions_of(("tensorflow", "keras", "numpy")),
    }
    dataset = _in_source_order(dataset)
    if not balance:
        return _Task(dataset, len(dataset), lambda first, stride: _plain_lots(dataset, first, stride), origin)
    from kuzushiji_tf.batches.balancing import balanced_maker
    from kuzushiji_tf.batches.sampling import BalancedPlan

    plan = BalancedPlan(dataset.labels, np.arange(len(dataset)), balance, seed)
    make, count = balanced_maker(dataset, plan, augmentation), len(plan)
    return _Task(dataset, count, lambda first, stride: _balanced_lots(make, count, first, stride), origin)


def _in_source_order(dataset: CharacterDataset) -> CharacterDataset:
    """Return the data set with its classes in the order of `U+3042` and so on as text."""
    order = sorted(range(len(dataset.classes)), key=dataset.classes.code_point)
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order))
    classes = Labels(tuple(dataset.classes[index] for index in order))
    return replace(dataset, labels=places[dataset.labels], classes=classes)


def _plain_lots(dataset: CharacterDataset, first: int, stride: int) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(first, len(dataset), LOT):
        rows = np.arange(start, min(start + LOT, len(dataset))) * stride % len(dataset)
        yield dataset.images[rows], dataset.labels[rows], rows


def _balanced_lots(make: Callable, count: int, first: int, stride: int) -> Iterator[tuple[np.ndarray, ...]]:
    import tensorflow as tf

    def lot(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return make((start + tf.range(LOT, dtype=tf.int64)) * stride % count)  # always LOT: one shape is compiled

    lots = tf.data.Dataset.range(first, count, LOT).map(lot, num_parallel_calls=tf.data.AUTOTUNE)
    for start, parts in zip(range(first, count, LOT), lots.prefetch(tf.data.AUTOTUNE).as_numpy_iterator(), strict=True):
        yield tuple(part[: count - start] for part in parts)


def _write_arrays(task: _Task, hidden: Path, folder: Path) -> None:
    arrays = {
        IMAGES: ((task.count, *task.dataset.image_size), np.dtype(np.uint8)),
        LABELS: ((task.count,), np.dtype(np.int32)),
        ORIGINALS: ((task.count,), np.dtype(np.int32)),
    }
    size = sum(task.count * _item(*array) for array in arrays.values())
    _require_space(folder, size - _taken(hidden))
    starts = [_reserve(hidden / name, *array) for name, array in arrays.items()]
    done = _done(hidden)
    lots = task.lots(done, 1)
    with tqdm(total=task.count, initial=done, desc=folder.name, unit=" images", disable=None) as bar:
        for begin in range(done, task.count, WINDOW):
            length = min(WINDOW, task.count - begin)
            windows = [
                np.memmap(hidden / name, dtype, "r+", start + begin * _item(shape, dtype), (length, *shape[1:]))
                for start, (name, (shape, dtype)) in zip(starts, arrays.items(), strict=True)
            ]
            for at in range(0, length, LOT):
                for window, part in zip(windows, next(lots), strict=True):
                    window[at : at + LOT] = part
                bar.update(min(LOT, length - at))
            for window in windows:
                window.flush()
            write_json(hidden / _PROGRESS, {"images": begin + length})
    images, labels = (np.load(hidden / name, mmap_mode="r") for name in (IMAGES, LABELS))
    written = replace(task.dataset, images=images, labels=labels, groups=None, sources=None)
    write_json(hidden / ORIGIN, {**task.origin, "content_hash": written.content_hash})


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


def _done(hidden: Path) -> int:
    """Return how many images an earlier call has finished."""
    try:
        return json.loads((hidden / _PROGRESS).read_text(encoding="utf-8"))["images"]
    except FileNotFoundError:
        return 0


def _write_records(task: _Task, hidden: Path, folder: Path) -> None:
    from kuzushiji_tf.batches.records import SHARD, mixing_stride, record_size, shard_paths, write_shard

    for stray in hidden.glob(".*"):
        stray.unlink()  # the unfinished file of a call that was killed
    paths, stride, classes = shard_paths(hidden, task.count), mixing_stride(task.count), task.dataset.classes
    done = sum(path.exists() for path in paths)  # they are written one after the other
    finished = min(done * SHARD, task.count)
    if finished < task.count:
        _require_space(folder, math.ceil((task.count - finished) * record_size(task.lots(0, stride), classes)))
    lots = task.lots(finished, stride)
    with tqdm(total=task.count, initial=finished, desc=folder.name, unit=" images", disable=None) as bar:
        for start, path in list(zip(range(0, task.count, SHARD), paths, strict=True))[done:]:
            write_shard(path, min(SHARD, task.count - start), lots, classes, bar.update)


def _check_target(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; a folder is to be written there: move it away or name another.")
    names = [part.name for part in folder.iterdir()] if folder.exists() else []
    ours = (IMAGES, LABELS, INDEX, ORIGIN, ORIGINALS)
    others = [name for name in names if name not in ours and not name.endswith(".tfrecord")]
    if others or (names and ORIGIN not in names):
        raise UserError(f"{folder} holds other files ({(others or names)[0]}); name another folder.")
    if names and not overwrite:
        raise UserError(f"{folder} holds a data set already: name another folder, or replace it with --overwrite.")


def _is_worth_keeping(hidden: Path) -> bool:
    return bool(_done(hidden) or any(hidden.glob("*.tfrecord")))


def _taken(hidden: Path) -> int:
    """Return the bytes on disk of what an earlier call has reserved."""
    return sum(part.stat().st_blocks * 512 for part in hidden.glob("*.npy"))


def _require_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder.parent).free
    if size + _SMALL_FILES > free:
        raise UserError(
            f"{folder} needs {_readable(size + _SMALL_FILES)} more where only {_readable(free)} are free: free some "
            "space, name a folder on another disk, or lower --balance."
        )


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _unwritable(folder: Path, error: OSError) -> Exception:
    """Return the sentence for what the system refused; an error that is a sentence already stays as it is."""
    if isinstance(error, UserError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(
            f"The disk of {folder} is full: free some space and run the same command again; it goes on where it was."
        )
    return UserError(f"{folder} cannot be written: {error.strerror}.")
