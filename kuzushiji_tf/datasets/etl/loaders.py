"""The ETL Character Database (AIST), from the user's own files: hand-printed and printed characters of 1973 to 1984.

It may not be passed on, and whoever wants it registers with AIST, so nothing is ever downloaded here. The first use
decodes a data set into one `.npz` file in the cache, which plain `np.load` reads: `images` uint8 `[n, size, size]`,
`labels` int32 `[n]`, `groups` int32 `[n]`, `characters` `U1` `[classes]` and `is_test` bool `[n]`, training rows first.
"""

import zipfile
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys, in_lots
from kuzushiji_tf.datasets.decoded import open_decoded, read_left_out, write_left_out
from kuzushiji_tf.datasets.etl.files import find_source, record_files
from kuzushiji_tf.datasets.etl.sets import SETS, read_batches
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import held_out_groups, held_out_rows
from kuzushiji_tf.errors import MissingFileError, UserError

IMAGE_SIZE = 64
LICENCE = "free to use after registration with AIST; may not be redistributed"
CREDIT = (
    "ETL Character Database, Electrotechnical Laboratory (now AIST), Japanese Technical Committee for Optical "
    "Character Recognition, 1973-1984"
)


@dataclass(frozen=True)
class _Kept:
    """What is known of the images that were kept, in arrays one after the other: content keys, characters, writers."""

    keys: list[np.ndarray] = field(default_factory=list)
    characters: list[np.ndarray] = field(default_factory=list)
    writers: list[np.ndarray] = field(default_factory=list)


def _find(name: str, data_dir: Path | None) -> Path | None:
    """Return the folder or the archive with a data set's files, as `files.find_source`."""
    return find_source(SETS[name].folder, SETS[name].pattern, data_dir)


def _load(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    """Load a data set, as many of its files as there are; images are memory-mapped.

    Read from `etl/<NAME>/`, `etl/<NAME>.zip`, `<NAME>/` or `<NAME>.zip`, or the files themselves, in
    `options.data_dir` or else in `KUZUSHIJI_DATA`. Images are `options.image_size` (or 64) pixels square, ink white.
    Classes are in code point order. A seventh is for testing: whole writers, or in ETL2, which is printed, images.

    Raises:
        MissingFileError: there are no such files.
        UserError: a file is damaged, holds a code that its standard does not have, or more records than published.
    """
    source = _find(name, options.data_dir)
    if source is None:
        raise _missing(SETS[name].folder, options.data_dir)
    size = options.image_size or IMAGE_SIZE
    files = record_files(source, SETS[name].pattern)
    changed = {str(path.resolve()): path.stat().st_mtime_ns for path in {file.path for file in files}}
    identity = {"form": 1, "image_size": size, "changed": changed, "files": [[str(file), file.size] for file in files]}
    folder = open_decoded(
        name,
        source,
        identity,
        lambda folder: _build(name, source, size, options.skip_damaged, folder),
        skip_damaged=options.skip_damaged,
    )
    return replace(_open(name, split, folder / f"{name}.npz"), left_out=read_left_out(folder))


load_etl1, find_etl1 = partial(_load, "etl1"), partial(_find, "etl1")
load_etl2, find_etl2 = partial(_load, "etl2"), partial(_find, "etl2")
load_etl3, find_etl3 = partial(_load, "etl3"), partial(_find, "etl3")
load_etl4, find_etl4 = partial(_load, "etl4"), partial(_find, "etl4")
load_etl5, find_etl5 = partial(_load, "etl5"), partial(_find, "etl5")
load_etl6, find_etl6 = partial(_load, "etl6"), partial(_find, "etl6")
load_etl7, find_etl7 = partial(_load, "etl7"), partial(_find, "etl7")
load_etl8b, find_etl8b = partial(_load, "etl8b"), partial(_find, "etl8b")
load_etl8g, find_etl8g = partial(_load, "etl8g"), partial(_find, "etl8g")
load_etl9b, find_etl9b = partial(_load, "etl9b"), partial(_find, "etl9b")
load_etl9g, find_etl9g = partial(_load, "etl9g"), partial(_find, "etl9g")


def _missing(folder: str, data_dir: Path | None) -> MissingFileError:
    searched = f"in {data_dir}" if data_dir else "in the folder that KUZUSHIJI_DATA names"
    return MissingFileError(
        f"There is no {folder}/ or {folder}.zip {searched} or its folder etl: register with the ETL Character Database "
        f"of AIST (Japan's National Institute of Advanced Industrial Science and Technology), download {folder} there "
        "and put it in that folder, or name another with --data-dir; it may not be passed on, so it is never "
        "downloaded for you."
    )


def _build(name: str, source: Path, size: int, skip_damaged: bool, folder: Path) -> None:
    """Write `<name>.npz` and, beside it, how many records were left out and why.

    Images without any ink are left out, and all but the first of equal ones: they would be on both sides of a split.
    """
    left_out, kept, seen = Counter[str](), _Kept(), set[bytes]()
    pixels = folder / "pixels.bin"  # on disk until their order is known: ETL9G has 2.5 GB of them
    with open(pixels, "wb") as stream, tqdm(desc=f"decoding {name}", unit=" images", disable=None) as progress:
        for batch in read_batches(name, source, size, skip_damaged):
            left_out.update(batch.left_out)
            inked = batch.images.any(axis=(1, 2))
            keys = content_keys(batch.images)
            fresh = inked & _first_seen(keys, seen)
            left_out.update({"blank": int((~inked).sum()), "repeated": int((inked & ~fresh).sum())})
            stream.write(batch.images[fresh].tobytes())
            kept.keys.append(keys[fresh])
            kept.characters.append(batch.characters[fresh])
            kept.writers.append(batch.writers[fresh])
            progress.update(len(fresh))
    count = sum(map(len, kept.keys))
    if not count:
        raise UserError(f"{source} holds no image of {SETS[name].folder} with any ink; is it the right data set?")
    images = np.memmap(pixels, np.uint8, "r", shape=(count, size, size))
    _write(folder / f"{name}.npz", images, kept, SETS[name].by_writer)
    pixels.unlink()
    write_left_out(folder, left_out)


def _first_seen(keys: np.ndarray, seen: set[bytes]) -> np.ndarray:
    """Return which keys are not in `seen`, bool `[n]`, and put them there."""
    first = np.zeros(len(keys), bool)
    for row, key in enumerate(keys.tolist()):
        first[row] = key not in seen
        seen.add(key)
    return first


def _write(path: Path, images: np.ndarray, kept: _Kept, by_writer: bool) -> None:
    classes, labels = np.unique(np.concatenate(kept.characters), return_inverse=True)
    groups = _as_int32(np.concatenate(kept.writers))
    if by_writer:
        is_test = held_out_groups(groups, labels, len(classes))
    else:
        is_test = held_out_rows(np.concatenate(kept.keys), labels, len(classes))
    order = np.argsort(is_test, kind="stable")  # so that each split is one piece of the file, and stays on disk
    np.savez(
        path, characters=classes, labels=labels.astype(np.int32)[order], groups=groups[order], is_test=is_test[order]
    )
    header = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
    with zipfile.ZipFile(path, "a") as archive, archive.open("images.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in in_lots(len(order)):
            stream.write(images[order[part]].tobytes())


def _as_int32(writers: np.ndarray) -> np.ndarray:
    """Return the numbers of writers; those too large are numbered anew, in the same order."""
    if writers.max() > np.iinfo(np.int32).max:
        writers = np.unique(writers, return_inverse=True)[1]
    return writers.astype(np.int32)


def _open(name: str, split: str, path: Path) -> CharacterDataset:
    with np.load(path, allow_pickle=False) as arrays:
        labels, groups, is_test, characters = (arrays[part] for part in ("labels", "groups", "is_test", "characters"))
    training = int(np.count_nonzero(~is_test))
    rows = slice(training, None) if split == "test" else slice(0, training)
    return CharacterDataset(
        name,
        split,
        _mapped_images(path)[rows],
        labels[rows],
        Labels(tuple(characters.tolist())),
        LICENCE,
        CREDIT,
        groups=groups[rows] if SETS[name].by_writer else None,
    )


def _mapped_images(path: Path) -> np.ndarray:
    """Return the images of a file that `_write` wrote, memory-mapped: they stand in it uncompressed."""
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("images.npy").header_offset
    with open(path, "rb") as stream:
        stream.seek(start + 26)  # the lengths of the name and of the extra field in the local header
        name, extra = np.frombuffer(stream.read(4), "<u2").tolist()
        stream.seek(start + 30 + name + extra)
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        return np.memmap(path, dtype, "r", stream.tell(), shape)
