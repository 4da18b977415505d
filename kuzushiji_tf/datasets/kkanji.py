"""Kuzushiji-Kanji as published by CODH (https://github.com/rois-codh/kmnist), with a split that leaks nothing.

The authors published no split. This one takes a seventh of each class for testing, as the sister sets do, and is a
function of the images alone (`splits.held_out_rows`); `python -m kuzushiji_tf data split kkanji` writes it down.
"""

import hashlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels, from_code_point, to_code_point
from kuzushiji_tf.datasets.archives import read_members
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.decoded import open_decoded, read_left_out, write_left_out
from kuzushiji_tf.datasets.download import fetch
from kuzushiji_tf.datasets.kmnist import CREDIT, LICENCE
from kuzushiji_tf.datasets.locations import cache_folder, folders_of, is_leftover
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import held_out_rows
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of, shown
from kuzushiji_tf.files import write_json

SIZE = 64  # pixels, height and width
PUBLISHED_IMAGES = 140_424  # 28 of them blank
FOLDER = "kkanji2"
ARCHIVES = ("kkanji.tar", "kkanji.tar.xz", "kkanji.tar.gz")
SHA256 = "6c65024b7b79de6661a049c89decfddae8bb908f71fcd7fdf1bd9a7f220a1cda"  # of kkanji.tar as CODH offers it
MIRRORS = ("https://codh.rois.ac.jp/kmnist/dataset/kkanji/", "http://codh.rois.ac.jp/kmnist/dataset/kkanji/")

# The low-shot split: a fifth of the classes that have enough images are never trained on.
NOVEL_FRACTION = 0.2
NOVEL_MINIMUM = 10  # images
SUPPORT = 5  # images of each novel class that a method may look at


@dataclass
class _Decoded:
    """What was read so far; `found` has the class, the file's name and the pixels of each image."""

    found: list[tuple[str, str, np.ndarray]] = field(default_factory=list)
    blank: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return len(self.found) + len(self.blank) + len(self.damaged)


def load_kkanji(split: str, options: LoadOptions) -> CharacterDataset:
    """Load Kuzushiji-Kanji: 3,832 classes, 140,396 images of 64 x 64 pixels, memory-mapped.

    Read from `kkanji.tar` (also `.tar.xz`, `.tar.gz`) or an extracted `kkanji2/` in `options.data_dir`, or else in
    `KUZUSHIJI_DATA`, or downloaded; a folder may hold them as `kkanji/<file>` or directly. The first use decodes all
    of it into the cache, which takes a minute. The 28 blank images are left out, which leaves one class without any.
    Classes are in code point order.

    Raises:
        MissingFileError: `options.data_dir` is given and holds neither.
        UserError: the archive is damaged or not the published one, or cannot be downloaded.
    """
    folder = _decoded(options)
    is_test = np.load(folder / "is_test.npy")
    first_test = int(np.argmax(is_test))  # training images come first, so that both splits stay memory-mapped
    rows = slice(first_test, None) if split == "test" else slice(0, first_test)
    return _dataset("kkanji", split, folder, rows)


def load_low_shot(split: str, options: LoadOptions) -> CharacterDataset:
    """Load Kuzushiji-Kanji for low-shot learning: some classes are never trained on.

    A fifth of the classes with at least ten images are novel: those whose code point has the lowest SHA-256. `train`
    holds every image of the other classes, `support` five images of each novel class (those with the lowest content
    keys), `test` the rest of them. All three number the classes as `kkanji` does.

    Raises:
        MissingFileError, UserError: as `load_kkanji`.
    """
    folder = _decoded(options)
    labels, keys = np.load(folder / "labels.npy"), np.load(folder / "keys.npy")
    classes = Labels.read(folder / "labels.txt")
    counts = np.bincount(labels, minlength=len(classes))
    candidates = [index for index in range(len(classes)) if counts[index] >= NOVEL_MINIMUM]
    candidates.sort(key=lambda index: hashlib.sha256(classes.code_point(index).encode()).digest())
    novel = np.zeros(len(classes), bool)
    novel[candidates[: round(len(candidates) * NOVEL_FRACTION)]] = True
    if split == "train":
        rows = np.flatnonzero(~novel[labels])
        known = keys[novel[labels]]
        return _dataset("kkanji-low-shot", split, folder, rows[~np.isin(keys[rows], known)])
    order = np.lexsort((keys, labels))
    place = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    chosen = (place < SUPPORT) == (split == "support")
    return _dataset("kkanji-low-shot", split, folder, np.sort(order[chosen & novel[labels[order]]]))


def _dataset(name: str, split: str, folder: Path, rows: slice | np.ndarray) -> CharacterDataset:
    images = np.load(folder / "images.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy")
    classes = Labels.read(folder / "labels.txt")
    left_out = read_left_out(folder)
    return CharacterDataset(name, split, images[rows], labels[rows], classes, LICENCE, CREDIT, left_out=left_out)


def _decoded(options: LoadOptions) -> Path:
    """Return the folder with the decoded images, having decoded them if need be."""
    source = find_kkanji(options.data_dir)
    if source is None:
        if options.data_dir:
            raise MissingFileError(
                f"There is no {', '.join(ARCHIVES)} or {FOLDER}/ in {options.data_dir} or "
                f"{options.data_dir / 'kkanji'}; put it there, or leave --data-dir out to have it downloaded."
            )
        source = download_kkanji()
    return open_decoded(
        "kkanji",
        source,
        _state(source),
        lambda folder: _decode(source, folder, options.skip_damaged),
        skip_damaged=options.skip_damaged,
    )


def find_kkanji(data_dir: Path | None) -> Path | None:
    """Return the archive or the extracted folder in `data_dir` (None: `KUZUSHIJI_DATA`, then the cache), or None."""
    for place in folders_of("kkanji", data_dir, cached=True):
        for path in (*(place / name for name in ARCHIVES), place / FOLDER):
            if path.is_dir() if path.name == FOLDER else path.is_file():
                return path
    return None


def download_kkanji() -> Path:
    """Return the path of the published archive in the cache, downloading it first unless it is there.

    Raises:
        UserError: no host gave it.
    """
    return fetch([mirror + ARCHIVES[0] for mirror in MIRRORS], f"sha256:{SHA256}", cache_folder() / "kkanji")


def _state(source: Path) -> dict[str, object]:
    """Return what changes when the source does; for a folder the times of its class folders."""
    state = source.stat()
    identity: dict[str, object] = {"form": 3, "bytes": state.st_size, "changed": state.st_mtime_ns}
    if source.is_dir():
        times = sorted(
            (folder.name, folder.stat().st_mtime_ns) for folder in source.iterdir() if not is_leftover(folder.name)
        )
        identity["folders"] = hashlib.sha256(repr(times).encode()).hexdigest()
    return identity


def _decode(source: Path, folder: Path, skip_damaged: bool) -> None:
    decoded = _Decoded()
    files = _tree_files(source) if source.is_dir() else read_members(source)
    for name, data in tqdm(files, f"decoding {source.name}", PUBLISHED_IMAGES, unit=" images", disable=None):
        if name.suffix == ".png" and not any(map(is_leftover, name.parts)):
            _decode_one(source, name, data, decoded, skip_damaged)
            if decoded.seen > PUBLISHED_IMAGES:  # said before whatever follows fills the memory
                break
    if decoded.seen != PUBLISHED_IMAGES:
        more = " or more" if decoded.seen > PUBLISHED_IMAGES else ""
        raise UserError(
            f"{source} holds {decoded.seen:,}{more} images where Kuzushiji-Kanji has {PUBLISHED_IMAGES:,}: it is cut "
            "short or another data set; fetch it again, or name a folder of your own images with --dataset."
        )
    _write(decoded, folder)


def _tree_files(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    for path in sorted(source.glob("*/*.png")):
        yield PurePosixPath(path.relative_to(source.parent)), path.read_bytes()


def _decode_one(source: Path, name: PurePosixPath, data: bytes, decoded: _Decoded, skip_damaged: bool) -> None:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != (SIZE, SIZE):
                raise ValueError(f"{image.width} x {image.height} pixels")
            pixels = np.asarray(image.convert("L"))
    except Exception as error:  # noqa: BLE001 (Pillow's readers raise whatever a damaged file leads them to)
        if not skip_damaged:
            reason = reason_of(error)
            raise UserError(
                f"{name} in {source} is not a PNG image of {SIZE} x {SIZE} pixels ({reason}); fetch the "
                "data set again, or leave such images out: python -m kuzushiji_tf data inspect kkanji --skip-damaged"
            ) from None
        tqdm.write(f"left out: {shown(str(name))}, which is damaged", file=sys.stderr)
        decoded.damaged.append(str(name))
        return
    character = from_code_point(name.parent.name, f"{source}, {name}")
    if pixels.any():
        decoded.found.append((character, name.stem, pixels))
    else:
        decoded.blank.append(str(name))


def _write(decoded: _Decoded, folder: Path) -> None:
    """Write the arrays: training images first, then test images, each by code point and file name."""
    decoded.found.sort(key=lambda image: image[:2])
    blank = {from_code_point(PurePosixPath(name).parent.name) for name in decoded.blank}
    classes = Labels(tuple(sorted(blank.union(character for character, _, _ in decoded.found))))
    labels = np.array([classes.index_of(character) for character, _, _ in decoded.found], np.int32)
    keys = content_keys(np.stack([pixels for _, _, pixels in decoded.found]))
    is_test = held_out_rows(keys, labels, len(classes))
    order = np.argsort(is_test, kind="stable")
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(order), SIZE, SIZE))
    for row, index in enumerate(order):
        images[row] = decoded.found[index][2]
    images.flush()
    for name, values in {"labels": labels, "keys": keys, "is_test": is_test}.items():
        np.save(folder / f"{name}.npy", values[order])
    classes.write(folder / "labels.txt")
    names = [f"{to_code_point(decoded.found[index][0])}/{decoded.found[index][1]}.png" for index in order]
    write_json(folder / "files.json", {"images": names, "blank": decoded.blank, "damaged": decoded.damaged})
    write_left_out(folder, {"blank": len(decoded.blank), "damaged": len(decoded.damaged)})
