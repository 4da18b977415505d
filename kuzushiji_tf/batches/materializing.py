"""A data set, as it is or balanced, written out for others: arrays, class folders of pictures, or TFRecords.

What a killed call has written is used by the next one with the same arguments; since each image is a function of its
position, the result is bit by bit that of an uninterrupted one.
"""

import errno
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.batches.forms import (
    ARRAY_FILES,
    PROGRESS,
    Lot,
    Task,
    images_done,
    write_arrays,
    write_folders,
)
from kuzushiji_tf.batches.resumable import resumable_folder
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import LARGEST_NUMBER, ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.datasets.own.array_folders import INDEX
from kuzushiji_tf.datasets.own.origins import ABOUT, LICENCE_FILES, ORIGIN
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import write_text
from kuzushiji_tf.runtime import versions_of

# TensorFlow takes seconds to load and plain arrays need none of it: what needs it is imported where it is used.

LOT = 256  # images made at a time; compiled for this number alone
FORMS = ("npy", "folders", "tfrecord")


@dataclass(frozen=True)
class Balance:
    """How many images of each class are written, and what their copies are.

    Attributes:
        per_class: images of each class, as `sampling.BalancedPlan` has them; 0 writes the images as they are.
        seed: of the copies.
        augmentation: of the copies; one that changes nothing stands for the source project's, as in
            `balancing.copy_changes`.
    """

    per_class: int = 0
    seed: int = 0
    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)


AS_IT_IS = Balance()


def materialize(
    dataset: CharacterDataset,
    folder: str | Path,
    balance: Balance = AS_IT_IS,
    *,
    form: str = "npy",
    overwrite: bool = False,
) -> Path:
    """Write a data set as files, and go on with an earlier call that was stopped.

    Classes are numbered in the order of their code points' names, as the source project's folders are. `npy` writes
    `images.npy` uint8 `[n, h, w]`, `labels.npy` int32 `[n]` and `originals.npy` int32 `[n]` (the data set's row that
    each image was made from). `folders` writes `U+3042/0000012-34.png` and so on (the image's place, then its
    original). `tfrecord` writes `images-00000-of-00008.tfrecord` and so on (features `image`: PNG, `label`,
    `character`: UTF-8, `original`; the classes in mixed order). Each has `index.json` and `origin.json` beside it.

    Args:
        folder: the target; an existing one is refused, unless it is empty.
        form: `npy`, `folders` or `tfrecord`.
        overwrite: replace a folder that was written by this function, and start anew what was stopped.

    Returns:
        The folder.

    Raises:
        UserError: the target is there or in use, or the disk is too small.
    """
    if form not in FORMS:
        raise UserError(f"There is no format {form!r}; choose one of: {', '.join(FORMS)}.")
    folder = Path(folder).resolve()
    try:
        _check_target(folder, overwrite)
        task = _task(dataset, balance, form)
        with resumable_folder(folder, ORIGIN, task.origin, overwrite, _is_worth_keeping) as hidden:
            _writer(form)(task, hidden, folder)
            task.dataset.classes.write_index_json(hidden / INDEX)
            if form == "folders":
                write_text(hidden / LICENCE_FILES[0], f"{dataset.licence}\n{dataset.credit}\n")
            (hidden / PROGRESS).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def _writer(form: str) -> Callable[[Task, Path, Path], None]:
    if form == "tfrecord":
        from kuzushiji_tf.batches.records import write_records

        return write_records
    return write_arrays if form == "npy" else write_folders


def _task(dataset: CharacterDataset, balance: Balance, form: str) -> Task:
    if not len(dataset):
        raise UserError(f"{dataset.name}: there is no image to write.")
    if not (0 <= balance.per_class <= LARGEST_NUMBER and 0 <= balance.seed <= LARGEST_NUMBER):
        raise UserError(f"{dataset.name}: balance and seed must be in 0 <= value <= {LARGEST_NUMBER:,}.")
    is_own = balance.per_class and balance.augmentation != ImageAugmentation()
    origin = {
        "dataset": dataset.name,
        "split": dataset.split,
        "balance": balance.per_class,
        "seed": balance.seed,
        "augmentation": asdict(balance.augmentation) if is_own else None,
        "format": form,
        "image_size": max(dataset.image_size),
        "source_hash": dataset.content_hash,
        **{key: getattr(dataset, key) for key in ABOUT},
        # Another version may round otherwise.
        "versions": versions_of(("tensorflow", "keras", "numpy")),
    }
    dataset = _in_source_order(dataset)
    if not balance.per_class:
        return Task(dataset, len(dataset), lambda first, stride: _plain_lots(dataset, first, stride), origin)
    from kuzushiji_tf.batches.balancing import balanced_maker
    from kuzushiji_tf.batches.sampling import BalancedPlan

    plan = BalancedPlan(dataset.labels, np.arange(len(dataset)), balance.per_class, balance.seed)
    make, count = balanced_maker(dataset, plan, balance.augmentation), len(plan)
    return Task(dataset, count, lambda first, stride: _balanced_lots(make, count, first, stride), origin)


def _in_source_order(dataset: CharacterDataset) -> CharacterDataset:
    """Return the data set with its classes in the order of `U+3042` and so on as text."""
    order = sorted(range(len(dataset.classes)), key=dataset.classes.code_point)
    indices = np.empty(len(order), np.int32)
    indices[order] = np.arange(len(order))
    classes = Labels(tuple(dataset.classes[index] for index in order))
    return replace(dataset, labels=indices[dataset.labels], classes=classes)


def _plain_lots(dataset: CharacterDataset, first: int, stride: int) -> Iterator[Lot]:
    for part in in_lots(len(dataset) - first, LOT):
        rows = (first + np.arange(part.start, part.stop)) * stride % len(dataset)
        yield dataset.images[rows], dataset.labels[rows], rows


def _balanced_lots(make: Callable[..., Any], count: int, first: int, stride: int) -> Iterator[Lot]:
    import tensorflow as tf

    def lot(start: tf.Tensor) -> Any:
        return make((start + tf.range(LOT, dtype=tf.int64)) * stride % count)  # always LOT: one shape is compiled

    lots = tf.data.Dataset.range(first, count, LOT).map(lot, num_parallel_calls=tf.data.AUTOTUNE)
    for start, parts in zip(range(first, count, LOT), lots.prefetch(tf.data.AUTOTUNE).as_numpy_iterator(), strict=True):
        images, labels, rows = (part[: count - start] for part in parts)
        yield images, labels, rows


def _check_target(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; a folder is to be written there: move it away or name another.")
    names = [part.name for part in folder.iterdir()] if folder.exists() else []
    ours = (*ARRAY_FILES, INDEX, ORIGIN, LICENCE_FILES[0])
    others = [name for name in names if name not in ours and not name.endswith(".tfrecord") and name[:2] != "U+"]
    if others or (names and ORIGIN not in names):
        raise UserError(f"{folder} holds other files ({(others or names)[0]}); name another folder.")
    if names and not overwrite:
        raise UserError(f"{folder} holds a data set already: name another folder, or replace it with --overwrite.")


def _is_worth_keeping(hidden: Path) -> bool:
    return bool(images_done(hidden) or any(hidden.glob("*.tfrecord")))


def _unwritable(folder: Path, error: OSError) -> Exception:
    """Return the sentence for what the system refused; an error that is a sentence already stays as it is."""
    if isinstance(error, UserError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"The disk of {folder} is full: free some space and run the same command again to continue.")
    return UserError(f"{folder} cannot be written: {error.strerror}.")
