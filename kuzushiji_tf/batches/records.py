"""Images as TFRecord files, for those who train elsewhere; plain tf.data reads them."""

import errno
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kuzushiji_tf.batches.forms import Lot, Task, require_space
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.files import atomic_path

SHARD = 1 << 15  # images of a file
_SAMPLE = 64  # images that the size is estimated from
_FRAME = 16  # bytes around each record: its length and two checksums


def write_records(task: Task, hidden: Path, folder: Path) -> None:
    """Write TFRecord files, as far as they are not in `hidden` yet."""
    for stray in hidden.glob(".*"):
        stray.unlink()  # the unfinished file of a call that was killed
    paths, stride, classes = shard_paths(hidden, task.count), mixing_stride(task.count), task.dataset.classes
    done = sum(path.exists() for path in paths)  # they are written one after the other
    finished = min(done * SHARD, task.count)
    if finished < task.count:
        require_space(folder, math.ceil((task.count - finished) * record_size(task.lots(0, stride), classes)))
    lots = task.lots(finished, stride)
    with tqdm(total=task.count, initial=finished, desc=folder.name, unit=" images", disable=None) as bar:
        for start, path in list(zip(range(0, task.count, SHARD), paths, strict=True))[done:]:
            write_shard(path, min(SHARD, task.count - start), lots, classes, bar.update)


def shard_paths(folder: Path, count: int) -> list[Path]:
    """Return the files that take `count` images: `images-00000-of-00008.tfrecord` and so on."""
    shards = math.ceil(count / SHARD)
    return [folder / f"images-{shard:05d}-of-{shards:05d}.tfrecord" for shard in range(shards)]


def mixing_stride(count: int) -> int:
    """Return a step that visits all of `count` places in an order that spreads each stretch evenly (golden ratio)."""
    stride = max(round(count * (math.sqrt(5) - 1) / 2), 1)
    while math.gcd(stride, count) > 1:
        stride += 1
    return stride


def write_shard(path: Path, size: int, lots: Iterator[Lot], classes: Labels, report: Callable[[int], object]) -> None:
    """Write the next `size` images of `lots` as one file, which appears whole.

    Each record is a `tf.train.Example` with the features `image` (a PNG), `label` (int64), `character` (UTF-8) and
    `original` (int64).

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            while size > 0:
                lot = next(lots)
                for record in _records(*lot, classes):
                    writer.write(record)
                size -= len(lot[0])
                report(len(lot[0]))
    except tf.errors.OpError as error:
        code = errno.ENOSPC if isinstance(error, tf.errors.ResourceExhaustedError) else errno.EIO
        raise OSError(code, error.message) from None


def record_size(lots: Iterator[Lot], classes: Labels) -> float:
    """Return the bytes of a record, estimated from the first images of `lots` and rounded up a little."""
    images, labels, rows = (part[:_SAMPLE] for part in next(lots))
    sizes = [len(record) + _FRAME for record in _records(images, labels, rows, classes)]
    return 1.1 * sum(sizes) / len(sizes)


def _records(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, classes: Labels) -> Iterator[bytes]:
    for image, label, row in zip(images, labels, rows, strict=True):
        features = {
            "image": _bytes(tf.io.encode_png(image[..., None]).numpy()),
            "label": _integer(label),
            "character": _bytes(classes[label].encode()),
            "original": _integer(row),
        }
        yield tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
