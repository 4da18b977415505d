"""Data sets by name: those of the project, those that a program or an installed package adds, and paths."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from importlib.metadata import EntryPoint
from numbers import Integral
from pathlib import Path
from typing import Any

from kuzushiji_tf.config import LARGEST_CLASS, LARGEST_SIZE, SMALLEST_SIZE, TrainingConfig
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.entries import ENTRIES, DatasetEntry, resolve
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.runtime import extra_needed, load_plugin, plugins_of

PLUGINS = "kuzushiji_tf.datasets"  # the group of entry points; each names a loader
NPZ = ".npz"
_registered: dict[str, DatasetEntry] = {}


@dataclass(frozen=True)
class LoadOptions:
    """What a loader may need; each takes what concerns it.

    Attributes:
        data_dir: where the user's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        image_size: wanted height and width in pixels; None means the data set's own.
        stroke_size: the size at which data sets are drawn from strokes where `image_size` leaves it open.
        per_class: images rendered for each class, for data sets drawn from strokes.
        rare_kanji: how often the touch sets draw a rare kanji where a common one is drawn once.
        seed: of the drawing, for data sets drawn from strokes.
        forms: files with more ways to write what is drawn from strokes: fonts, and `.npz` files of images that people
            wrote, of which the training splits are taken.
        classes: the classes to keep, as `subsets.select_classes` takes them; None keeps all.
        skip_damaged: leave unreadable images out when a data set is decoded for the first time.
        random_split: divide all the images anew, by class, and forget the writers: what comparing with others takes
            who split so. The same writers are then on both sides.
        refuse: share of the images that are to be no character, as `others.with_others` adds them; 0 adds none.

    Raises:
        UserError: a number is not whole, a number is too small or too large, or `refuse` is no share.
    """

    data_dir: Path | None = None
    image_size: int | None = None
    stroke_size: int | None = None
    per_class: int = TrainingConfig.per_class  # what a run trains on
    rare_kanji: float = TrainingConfig.rare_kanji
    seed: int = 0
    forms: tuple[str, ...] = ()
    classes: str | None = None
    skip_damaged: bool = False
    random_split: bool = False
    refuse: float = 0.0

    def __post_init__(self) -> None:
        sizes = (SMALLEST_SIZE, LARGEST_SIZE)
        for name, (smallest, largest) in {
            "image_size": sizes,
            "stroke_size": sizes,
            "per_class": (1, LARGEST_CLASS),
        }.items():
            value = getattr(self, name)
            if not isinstance(value, Integral | None):
                raise UserError(f"{name} is {value!r}; it must be a whole number.")
            if value is not None and not smallest <= int(value) <= largest:
                raise UserError(f"{name} is {value}; it must be in {smallest} <= value <= {largest:,}.")
        if not 0 <= self.refuse < 1:
            raise UserError(f"refuse is {self.refuse}; it must be in 0 <= value < 1.")


Loader = Callable[[str, LoadOptions], CharacterDataset]


@extra_needed()
def load_dataset(
    name: str | os.PathLike[str], split: str = "train", options: LoadOptions | None = None, **changes: Any
) -> CharacterDataset:
    """Load one split of a data set.

    Args:
        name: a registered name, several of them joined by `+`, or a path of the user's own images: a folder of class
            folders, a folder of arrays, or an `.npz` file.
        split: `train` or `test` (a few sets have others; `all` of what is the user's own).
        options: how it is loaded.
        changes: fields of `LoadOptions`, on top of `options`: `image_size=64`, `data_dir="data"`.

    Raises:
        UserError: the name, the split or a keyword is unknown, or a file is not what it should be.
        MissingFileError: the files are neither in the given folder nor in the cache, and cannot be downloaded.
    """
    name = os.fspath(name)
    options = _changed(options or LoadOptions(), changes)
    if options.random_split:
        # Divided by what the images are, which must not depend on the size that is asked for.
        dataset = resolve("splits:divided_anew")(
            *(_load_classes(name, part, replace(options, image_size=None)) for part in ("train", "test")), split
        )
    else:
        dataset = _load_classes(name, split, options)
    if options.image_size:
        dataset = dataset.resized(options.image_size)
    if options.refuse:
        dataset = resolve("drawn.others:with_others")(dataset, options.refuse, options.seed)
    return dataset


def dataset_names() -> list[str]:
    """Return the registered names, those of installed packages among them, sorted."""
    return sorted(dataset_entries())


def register_dataset(
    name: str, loader: Loader, description: str = "", splits: tuple[str, ...] = ("train", "test")
) -> None:
    """Make a data set of one's own known by a name, for this process.

    A package that is installed does so for every process, with an entry point of the group `kuzushiji_tf.datasets`
    that names the loader.

    Args:
        name: without `+` and `/`; whoever runs a cell of a notebook again may register the same function again.
        loader: takes a split's name and `LoadOptions`, and returns a `CharacterDataset`.
        description: one line.
        splits: their names.

    Raises:
        UserError: the name is taken, or could be mistaken for a mixture or a path.
    """
    before = dataset_entries().get(name)
    if before is not None and _origin(before.loader) != _origin(loader):
        raise UserError(f"The name {name!r} is taken by another data set ({before.where}); choose another.")
    if not name.strip() or {"+", "/"}.intersection(name) or name.endswith(NPZ):
        raise UserError(f"{name!r} cannot be a data set's name: it must not be empty, hold + or /, or end in {NPZ}.")
    description = description or (loader.__doc__ or "").partition("\n")[0]
    _registered[name] = DatasetEntry(loader, description, splits=splits)


def dataset_entries() -> dict[str, DatasetEntry]:
    """Return the registered data sets by name."""
    return {**_plugins(), **_registered, **ENTRIES}


def entry_of(name: str) -> DatasetEntry:
    """Return a registered data set's entry.

    Raises:
        UserError: the name is unknown; the sentence suggests the nearest.
    """
    # Looking for packages takes longer than all else here: only where the name is not one of our own.
    entry = ENTRIES.get(name) or dataset_entries().get(name)
    if entry is None:
        raise unknown_name("data set", name, dataset_entries())
    return entry


def parts_of(name: str) -> tuple[str, ...]:
    """Return the registered names that `a+b` joins, or the name or path alone.

    Raises:
        UserError: one of them is unknown.
    """
    if is_path(name):
        return (name,)
    parts = (name,) if name in ENTRIES else tuple(name.split("+"))
    for part in parts:
        entry_of(part)
    return parts


def is_path(name: str) -> bool:
    """Return whether a name is a path of the user's own: with a slash, an `.npz` file, or a folder that is there."""
    if "/" in name or name.endswith(NPZ):
        return True
    return name not in ENTRIES and Path(name).is_dir() and name not in dataset_entries()


def is_same(name: str, other: str) -> bool:
    """Return whether two names stand for one data set, in whatever way its path is written."""
    return name == other or (is_path(name) and is_path(other) and os.path.realpath(name) == os.path.realpath(other))


def splits_of(name: str) -> tuple[str, ...]:
    """Return the splits that a data set has: for a mixture, those that all of its parts have.

    Raises:
        UserError: it is unknown.
    """
    if is_path(name):
        return ("train", "test")
    first, *others = [entry_of(part).splits for part in parts_of(name)]
    return tuple(split for split in first if all(split in other for other in others))


def default_split(name: str, trained_on: str | None = None, forms: Iterable[str] = ()) -> str:
    """Return the split that a recognizer is evaluated on where none is named.

    That is `test`, but all of an `.npz` file, unless it is the one that the recognizer was trained on, or has the name
    of one of the `forms` that it learned from, wherever they lay.
    """
    is_known = trained_on is not None and is_same(name, trained_on)
    is_known |= any(Path(form).name == Path(name).name for form in forms)
    return "all" if name.endswith(NPZ) and not is_known else "test"


def locate(name: str, data_dir: Path | None = None) -> Any:
    """Return where a registered data set's files are, None if they are nowhere, or True if it needs none.

    Nothing is downloaded, decoded or verified.
    """
    finder = entry_of(name).finder
    return resolve(finder)(data_dir) if finder else True


def _changed(options: LoadOptions, changes: dict[str, Any]) -> LoadOptions:
    names = [field.name for field in fields(LoadOptions)]
    for name in changes:
        if name not in names:
            raise unknown_name("keyword of load_dataset", name, names)
    if changes.get("data_dir") is not None:
        changes = changes | {"data_dir": Path(changes["data_dir"])}
    return replace(options, **changes)


def _load_classes(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    dataset = _load(name, split, options)
    return resolve("subsets:select_classes")(dataset, options.classes) if options.classes else dataset


def _load(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    if is_path(name):
        loader = "own.npz_files:load_npz" if name.endswith(NPZ) else "own.class_folders:load_folder"
        return resolve(loader)(Path(name), split, options)
    parts = parts_of(name)
    if len(parts) > 1:
        return resolve("combined:load_combined")(parts, split, options)
    entry = entry_of(name)
    if split not in entry.splits:
        raise UserError(f"The data set {name!r} has no {split!r} split; it has: {', '.join(entry.splits)}.")
    dataset = resolve(entry.loader)(split, options)
    if not isinstance(dataset, CharacterDataset):
        raise UserError(
            f"The loader of the data set {name!r} ({entry.where}) returned a {type(dataset).__name__}; it must return "
            "a CharacterDataset."
        )
    return dataset


@cache
def _plugins() -> dict[str, DatasetEntry]:
    """Return the data sets that installed packages offer; nothing of theirs is imported before it is loaded."""
    return {name: _plugin_entry(point) for name, point in plugins_of(PLUGINS).items()}


def _plugin_entry(point: EntryPoint) -> DatasetEntry:
    package = f"the package {point.dist.name}" if point.dist else "an installed package"
    return DatasetEntry(partial(_load_from, point), f"of {package}", where=package)


def _load_from(point: EntryPoint, split: str, options: LoadOptions) -> CharacterDataset:
    return load_plugin(point)(split, options)


def _origin(loader: str | Loader) -> Any:
    """Return what stays the same when a notebook defines a function anew."""
    return (loader.__module__, loader.__qualname__) if hasattr(loader, "__qualname__") else loader
