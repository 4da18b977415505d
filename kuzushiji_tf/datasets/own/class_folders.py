"""A folder of your own: class folders of pictures (`あ/1.png` or `U+3042/1.png`), or arrays."""

import hashlib
import os
import re
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels, from_code_point
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.decoded import open_decoded, read_left_out, write_left_out
from kuzushiji_tf.datasets.own.array_folders import is_array_folder, read_array_folder, read_licence
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import held_out_rows
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import SUFFIXES, read_ink

SIZE = 64  # pixels; of the images where the user names none, and of those that decide about the split
IGNORED = ("thumbs.db", "desktop.ini", "__macosx")  # what systems leave in folders, besides names that begin with a dot

INVISIBLE = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs")  # Unicode categories that are no character one could draw


@dataclass
class _Listing:
    """The class folders by character, and the pictures in each."""

    folders: dict[str, Path] = field(default_factory=dict)
    pictures: dict[str, list[os.DirEntry]] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)  # files that are no pictures by their names


def load_folder(path: Path, split: str, options: LoadOptions) -> CharacterDataset:
    """Load one split of a folder: of arrays (see `array_folders`), or of class folders of pictures.

    A class folder is named by its character, or by its code point (`U+3042`; several joined by a space). Pictures may
    have any size, color and paper; each is brought to white ink on black as `predict` brings what it reads, and to
    `options.image_size` (64 if None). The first use decodes them into the cache; later ones map that into memory,
    until a file changes. A seventh of each class, chosen by content at 64 x 64 pixels, is the test split. Classes are
    in code point order. Licence and credit are the first two lines of `licence.txt`, if there is one.

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
        return read_array_folder(path, split, options)
    if split not in ("train", "test"):
        raise UserError(f"{path} has no {split!r} split; a folder of your own has: train, test.")
    listing = _list_classes(path)
    size = options.image_size or SIZE
    identity = {
        "form": 1,
        "source": str(path.resolve()),
        "size": size,
        "listing": _digest(listing),
    }

    def decode(folder: Path) -> None:
        _decode(path, listing, size, options.skip_damaged, folder)

    decoded = open_decoded("folder", identity, decode)
    is_test = np.load(decoded / "is_test.npy")
    first_test = len(is_test) - int(is_test.sum())  # training images come first, so that both splits stay mapped
    if split == "test" and first_test == len(is_test):
        raise UserError(f"{path} has too few pictures to hold some out for testing; add more of each character.")
    rows = slice(first_test, None) if split == "test" else slice(0, first_test)
    images = np.load(decoded / "images.npy", mmap_mode="r")[rows]
    labels = np.load(decoded / "labels.npy")[rows]
    classes = Labels.read(decoded / "labels.txt")
    left_out = read_left_out(decoded)
    return CharacterDataset(path.resolve().name, split, images, labels, classes, *read_licence(path), left_out=left_out)


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


def _list_pictures(folder: Path, others: list[Path]) -> list[os.DirEntry]:
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


def _entries(folder: Path) -> list[os.DirEntry]:
    """Return a folder's entries by name, without what systems hide in it."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from None
    return sorted((entry for entry in visible if entry.name.lower() not in IGNORED), key=lambda entry: entry.name)


def _character_of(folder: Path) -> str:
    """Return the class that a folder's name stands for.

    Some systems store が as か with a mark, so several code points are composed; a single one is left as it is, since
    composing would turn compatibility ideographs into others.
    """
    name = folder.name
    is_code_point = re.match(r"u\+", name, re.IGNORECASE)
    text = from_code_point(name.upper(), folder) if is_code_point else name
    composed = text if len(text) == 1 else unicodedata.normalize("NFC", text)
    kinds = [unicodedata.category(character) for character in composed]
    is_one = is_code_point or all(kind.startswith("M") for kind in kinds[1:])
    if is_one and not any(kind in INVISIBLE for kind in kinds):
        return composed
    hint = f"; if it holds the class folders, name {folder} as the data set" if _has_folders(folder) else ""
    raise UserError(
        f"{folder}: the name {name!r} is neither one character nor a code point such as U+3042; rename the folder to "
        f"the character whose pictures it holds, or move it away{hint}."
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


def _state(entry: os.DirEntry) -> tuple[int, int]:
    try:
        state = entry.stat()
    except OSError:  # a link that leads nowhere: reading it will say so
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _decode(path: Path, listing: _Listing, size: int, skip_damaged: bool, folder: Path) -> None:
    """Write the arrays of a listing: training images first, then test images, each by code point and file name."""
    if listing.others:
        print(f"{len(listing.others):,} files left out, no pictures: {listing.others[0]} ...", file=sys.stderr)
    files = [(character, entry.path) for character in sorted(listing.pictures) for entry in listing.pictures[character]]
    fitted, keys, kept, damaged = [], [], [], []
    for character, file in tqdm(files, f"decoding {path.name}", unit=" images", disable=None, leave=False):
        try:
            ink = read_ink(file)
        except UserError as error:
            if not skip_damaged:
                raise
            damaged.append(error)
            continue
        image = np.rint(fit_image(ink, size, box=False)).astype(np.uint8)
        fixed = image if size == SIZE else np.rint(fit_image(ink, SIZE, box=False)).astype(np.uint8)
        fitted.append(image)
        keys.append(content_keys(fixed[np.newaxis])[0])
        kept.append(character)
    if damaged:
        print(f"{len(damaged):,} of {len(files):,} pictures left out, the first: {damaged[0]}", file=sys.stderr)
    _write(path, kept, fitted, np.array(keys, "S32"), folder)
    write_left_out(folder, {"damaged": len(damaged), "no pictures": len(listing.others)})


def _write(path: Path, characters: list[str], images: list[np.ndarray], keys: np.ndarray, folder: Path) -> None:
    if not images:
        raise UserError(f"{path} holds no picture that can be read.")
    classes = Labels(tuple(dict.fromkeys(characters)))
    labels = np.array([classes.index_of(character) for character in characters], np.int32)
    is_test = held_out_rows(keys, labels, len(classes))
    order = np.argsort(is_test, kind="stable")
    stored = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(images), *images[0].shape))
    for row, index in enumerate(order):
        stored[row] = images[index]
    stored.flush()
    np.save(folder / "labels.npy", labels[order])
    np.save(folder / "is_test.npy", is_test[order])
    classes.write(folder / "labels.txt")
