"""A folder of your own: class folders of pictures (`あ/1.png` or `U+3042/1.png`), or arrays."""

import hashlib
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels, parse_character
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.decoded import open_decoded, read_left_out, write_left_out
from kuzushiji_tf.datasets.locations import is_leftover
from kuzushiji_tf.datasets.own.array_folders import is_array_folder, read_array_folder
from kuzushiji_tf.datasets.own.origins import check_split, read_about, read_origin, rows_of
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import held_out_rows
from kuzushiji_tf.errors import MissingFileError, UserError, shown
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import SUFFIXES, read_gray, read_ink

SIZE = 64  # pixels; of the images where the user names none, and of those that decide about the split
_MADE = re.compile(r"\d+-(\d+)\.png")  # the name of a picture that this project wrote: its place, then its original


@dataclass
class _Listing:
    """The class folders by character, and the pictures in each."""

    folders: dict[str, Path] = field(default_factory=dict)
    pictures: dict[str, list[os.DirEntry[str]]] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)  # files that are no pictures by their names


@dataclass(frozen=True)
class _Reading:
    """How the pictures are read: at what size, and whether they are as `batches.materializing` writes them."""

    size: int
    skip_damaged: bool
    made_by_us: bool


@dataclass(frozen=True, eq=False)
class _Picture:
    """One picture: uint8 `[size, size]`, its content key, and the number of its original (-1: not said)."""

    character: str
    image: np.ndarray
    key: bytes
    original: int


def load_folder(path: Path, split: str, options: LoadOptions) -> CharacterDataset:
    """Load one split of a folder: of arrays (see `array_folders`), or of class folders of pictures.

    A class folder is named by its character or its code point, as `labels.parse_character` reads it. Pictures may have
    any size, color and paper; each is brought to white ink on black as `predict` brings what it reads, and to
    `options.image_size` (64 if None). The first use decodes them into the cache; later ones map that into memory,
    until a file changes. A seventh of each class, chosen by content at 64 x 64 pixels, is the test split; `all` has
    every image. Classes are in code point order. Licence and credit are the first two lines of `licence.txt`, if there
    is one. A folder with `origin.json` is one that this project wrote: its pictures are taken as they are, for the
    split that they were made from, and `groups` are the originals.

    Raises:
        MissingFileError: no such folder.
        UserError: a folder's name is no character, two name the same one, one has no pictures, a picture cannot be
            read or shows no ink (unless `options.skip_damaged`), or there is no such split.
    """
    path = Path(path)
    if not path.is_dir():
        if path.exists():
            raise UserError(f"{path} is a file; name the folder that holds the class folders.")
        raise MissingFileError(f"There is no folder {path}.")
    if is_array_folder(path):
        return read_array_folder(path, split)
    origin = read_origin(path)
    check_split(path, split, origin)
    listing = _list_classes(path)
    size = options.image_size or (origin or {}).get("image_size", SIZE)
    identity = {"form": 3, "image_size": size, "listing": _digest(listing), "made_by_us": origin is not None}

    reading = _Reading(size, options.skip_damaged, made_by_us=origin is not None)
    decoded = open_decoded(
        "folder",
        path,
        identity,
        lambda folder: _decode(path, listing, reading, folder),
        skip_damaged=options.skip_damaged,
    )
    rows = slice(None) if origin else rows_of(path, np.load(decoded / "is_test.npy"), split)
    originals = np.load(decoded / "originals.npy")[rows]
    return CharacterDataset(
        path.resolve().name,
        split,
        np.load(decoded / "images.npy", mmap_mode="r")[rows],
        np.load(decoded / "labels.npy")[rows],
        Labels.read(decoded / "labels.txt"),
        groups=originals if origin and len(originals) and originals.min() >= 0 else None,
        left_out=read_left_out(decoded),
        **read_about(path, origin),
    )


def _list_classes(path: Path) -> _Listing:
    listing = _Listing()
    for entry in _entries(path):
        if not entry.is_dir():
            continue
        folder = Path(entry.path)
        character = _character_of(folder)
        if character in listing.folders:
            first = listing.folders[character]
            raise UserError(f"{first} and {folder} are both folders of {character!r}; put their pictures into one.")
        listing.folders[character] = folder
        listing.pictures[character] = _list_pictures(folder, listing.others)
    if not listing.folders and any(path.glob("*.tfrecord")):
        raise UserError(f"{path} holds TFRecord shards, which are for other programs; name a folder written as npy.")
    if not listing.folders:
        raise UserError(
            f"{path} has no class folders; put the pictures of each character into a folder that it names, as in "
            f"{path / 'あ' / '1.png'} or {path / 'U+3042' / '1.png'}."
        )
    return listing


def _list_pictures(folder: Path, others: list[Path]) -> list[os.DirEntry[str]]:
    pictures = []
    for entry in _entries(folder):
        if entry.is_dir():
            raise UserError(f"{entry.path} is a folder within a class folder; move its pictures up into {folder}.")
        if Path(entry.name).suffix.lower() in SUFFIXES:
            pictures.append(entry)
        else:
            others.append(Path(entry.path))
    if not pictures:
        raise UserError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}); put some into it, or remove the folder.")
    return pictures


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return a folder's entries by name, without what systems hide in it."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not is_leftover(entry.name)]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from None
    return sorted(visible, key=lambda entry: entry.name)


def _character_of(folder: Path) -> str:
    character = parse_character(folder.name)
    if character is not None:
        return character
    hint = f"; if it holds the class folders, name {folder} as the data set" if _has_folders(folder) else ""
    raise UserError(
        f"{folder}: the name {folder.name!r} is neither one character nor a code point such as U+3042; rename the "
        f"folder to the character whose pictures it holds, or move it away{hint}."
    )


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() for entry in _entries(folder))


def _digest(listing: _Listing) -> str:
    """Return what changes when a picture is added, removed, renamed or written anew."""
    digest = hashlib.sha256()
    for character, entries in listing.pictures.items():
        for entry in entries:
            digest.update(repr((character, entry.name, *_state(entry))).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        state = entry.stat()
    except OSError:  # a link that leads nowhere: reading it will say so
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _decode(path: Path, listing: _Listing, reading: _Reading, folder: Path) -> None:
    """Write the arrays of a listing: training images first, then test images, each by code point and file name."""
    if listing.others:
        more = ", ..." if len(listing.others) > 1 else ""
        first = shown(str(listing.others[0]))
        tqdm.write(f"{len(listing.others):,} files left out, no pictures: {first}{more}", file=sys.stderr)
    files = [(character, entry) for character in sorted(listing.pictures) for entry in listing.pictures[character]]
    pictures, damaged = [], []
    for character, entry in tqdm(files, f"decoding {path.name}", unit=" images", disable=None, leave=False):
        try:
            # What this project wrote is white ink on black already, or without any.
            ink = read_gray(entry.path) if reading.made_by_us else read_ink(entry.path)
        except UserError as error:
            if not reading.skip_damaged:
                raise
            damaged.append(error)
            continue
        image = np.rint(fit_image(ink, reading.size, box=False)).astype(np.uint8)
        fixed = image if reading.size == SIZE else np.rint(fit_image(ink, SIZE, box=False)).astype(np.uint8)
        made_from = _MADE.fullmatch(entry.name)
        original = int(made_from[1]) if made_from else -1
        pictures.append(_Picture(character, image, content_keys(fixed[np.newaxis])[0], original))
    if damaged:
        tqdm.write(f"{len(damaged):,} of {len(files):,} pictures left out, the first: {damaged[0]}", file=sys.stderr)
    if not pictures:
        raise UserError(f"{path} holds no picture that can be read.")
    _write(pictures, folder, whole=reading.made_by_us)
    write_left_out(folder, {"damaged": len(damaged), "no pictures": len(listing.others)})


def _write(pictures: list[_Picture], folder: Path, *, whole: bool) -> None:
    """Write the arrays; unless the pictures are a whole split, some of them are for testing."""
    classes = Labels(tuple(dict.fromkeys(picture.character for picture in pictures)))
    labels = np.array([classes.index_of(picture.character) for picture in pictures], np.int32)
    keys = np.array([picture.key for picture in pictures], "S32")
    is_test = np.zeros(len(labels), bool) if whole else held_out_rows(keys, labels, len(classes))
    order = np.argsort(is_test, kind="stable")
    shape = (len(pictures), *pictures[0].image.shape)
    stored = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    for row, index in enumerate(order):
        stored[row] = pictures[index].image
    stored.flush()
    originals = np.array([picture.original for picture in pictures], np.int32)
    for name, values in {"labels": labels, "is_test": is_test, "originals": originals}.items():
        np.save(folder / f"{name}.npy", values[order])
    classes.write(folder / "labels.txt")
