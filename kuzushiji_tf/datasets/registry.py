"""The registered data sets: name -> what it is and how it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.errors import UserError, unknown_name

Ink = Literal["scanned", "pen", "synthetic"]


@dataclass(frozen=True)
class LoadOptions:
    """What a loader may need; each takes what concerns it.

    Attributes:
        data_dir: where the user's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        image_size: wanted height and width in pixels; None means the data set's own.
        stroke_size: at which data sets are drawn from strokes where `image_size` leaves it open.
        per_class: images rendered for each class, for data sets drawn from strokes.
        seed: of the drawing, for data sets drawn from strokes.
        classes: the classes to keep, as `subsets.select_classes` takes them; None keeps all.
        skip_damaged: leave unreadable images out when a data set is decoded for the first time.
        random_split: divide all the images anew, by class, and forget the writers: what comparing with others takes
            who split so. The same writers are then on both sides.
    """

    data_dir: Path | None = None
    image_size: int | None = None
    stroke_size: int | None = None
    per_class: int = 1000
    seed: int = 0
    classes: str | None = None
    skip_damaged: bool = False
    random_split: bool = False

    @classmethod
    def of_run(cls, config: TrainingConfig, data_dir: Path | None = None) -> "LoadOptions":
        """Return how the data set of a training run is loaded."""
        return cls(
            data_dir,
            config.image_size,
            per_class=config.per_class,
            seed=config.seed,
            classes=config.classes,
            random_split=config.random_split,
        )


@dataclass(frozen=True)
class DatasetEntry:
    """One registered data set.

    Attributes:
        loader: `module:function`, imported when first asked for.
        description: one line.
        classes: how many it has.
        images: how many it has in all splits, or None where that is the user's choice.
        size: height x width in pixels, or what it depends on.
        licence: one line.
        where: where its files come from.
        finder: `module:function` that takes `data_dir` and returns where its files are, or None; absent for data sets
            that need no files.
        downloader: `module:function` that downloads it and returns the paths; absent where nothing can be.
        splits: their names.
        ink: where the images come from: `scanned` from paper, drawn from strokes that people made with a `pen`, or
            `synthetic`: drawn from strokes with a program's variation.
    """

    loader: str
    description: str
    classes: int
    images: int | None
    size: str
    licence: str
    where: str
    finder: str | None = None
    downloader: str | None = None
    splits: tuple[str, ...] = ("train", "test")
    ink: Ink = "scanned"


def _drawn(function: str, description: str, classes: int) -> DatasetEntry:
    package = "drawn by the program from the package kanjivg"
    return DatasetEntry(function, description, classes, None, "any", "CC BY-SA 3.0", package, ink="synthetic")


def _etl(name: str, description: str, classes: int, images: int, size: str) -> DatasetEntry:
    licence = "free after registration; no redistribution"
    own = "your own files, after registering with AIST"
    loader, finder = f"etl.loaders:load_{name}", f"etl.loaders:find_{name}"
    return DatasetEntry(loader, description, classes, images, size, licence, own, finder)


def _codh(
    loader: str, description: str, classes: int, images: int, size: str, files: tuple[str, str], **others: Any
) -> DatasetEntry:
    return DatasetEntry(
        loader, description, classes, images, size, "CC BY-SA 4.0", "download from CODH", *files, **others
    )


_KKANJI_FILES = ("kkanji:find_source", "kkanji:download")
_ENTRIES = {
    "kana": _drawn("drawn.kana:load_hiragana", "hiragana drawn from KanjiVG strokes", 71),
    "katakana": _drawn("drawn.kana:load_katakana", "katakana drawn from KanjiVG strokes", 71),
    "hiragana+katakana": _drawn("drawn.kana:load_both", "both, drawn from KanjiVG strokes", 142),
    "touch-kana": _drawn("drawn.touch:load_touch_kana", "both, and scribbles that are no character", 143),
    "touch-joyo": _drawn("drawn.touch:load_touch_joyo", "kana, the joyo kanji, and scribbles that are no character", 2279),
    "kmnist": _codh(
        "kmnist:load_kmnist",
        "Kuzushiji-MNIST: one cursive hiragana of each of ten rows",
        10,
        70_000,
        "28 x 28",
        ("kmnist:find_kmnist", "kmnist:download_kmnist"),
    ),
    "k49": _codh(
        "kmnist:load_k49",
        "Kuzushiji-49: all cursive hiragana and the iteration mark",
        49,
        270_912,
        "28 x 28",
        ("kmnist:find_k49", "kmnist:download_k49"),
    ),
    "kkanji": _codh("kkanji:load_kkanji", "Kuzushiji-Kanji: cursive kanji", 3832, 140_396, "64 x 64", _KKANJI_FILES),
    "kkanji-low-shot": _codh(
        "kkanji:load_low_shot",
        "Kuzushiji-Kanji with classes that are never trained on",
        3832,
        140_396,
        "64 x 64",
        _KKANJI_FILES,
        splits=("train", "support", "test"),
    ),
    "etl1": _etl("etl1", "hand-printed digits, capitals, symbols, katakana", 99, 141_319, "64 x 63"),
    "etl2": _etl("etl2", "printed kanji, kana, letters (Mincho, Gothic)", 2184, 52_796, "60 x 60"),
    "etl6": _etl("etl6", "hand-printed katakana, digits, capitals, symbols", 114, 157_662, "64 x 63"),
    "etl7": _etl("etl7", "hand-printed hiragana", 48, 33_600, "64 x 63"),
    "etl8b": _etl("etl8b", "hand-written hiragana and school kanji, two levels", 956, 152_960, "64 x 63"),
    "etl8g": _etl("etl8g", "the same, 16 levels", 956, 152_960, "128 x 127"),
    "etl9b": _etl("etl9b", "hand-written hiragana and JIS level 1 kanji, two levels", 3036, 607_200, "64 x 63"),
    "etl9g": _etl("etl9g", "the same, 16 levels", 3036, 607_200, "128 x 127"),
    "tomoe": DatasetEntry(
        "tomoe:load_tomoe",
        "characters that people drew with a pen",
        3009,
        3045,
        "any",
        "Apache-2.0 or CC BY 4.0",
        "tomoe_data, from your own folder",
        "tomoe:find",
        splits=("test",),
        ink="pen",
    ),
}


def dataset_entries() -> dict[str, DatasetEntry]:
    """Return the registered data sets by name."""
    return dict(_ENTRIES)


def entry_of(name: str) -> DatasetEntry:
    """Return a registered data set's entry.

    Raises:
        UserError: the name is unknown; the sentence suggests the nearest.
    """
    if name not in _ENTRIES:
        raise unknown_name("data set", name, _ENTRIES)
    return _ENTRIES[name]


def parts_of(name: str) -> tuple[str, ...]:
    """Return the registered names that `a+b` joins, or the name alone.

    Raises:
        UserError: one of them is unknown.
    """
    parts = (name,) if name in _ENTRIES or is_folder(name) else tuple(name.split("+"))
    if not is_folder(name):
        for part in parts:
            entry_of(part)
    return parts


def is_folder(name: str) -> bool:
    """Return whether a data set's name is a folder of the user's own: it has a slash, or there is such a folder."""
    return name not in _ENTRIES and ("/" in name or Path(name).is_dir())


def ink_of(name: str) -> Ink:
    """Return where a data set's images come from, as `DatasetEntry.ink`; `scanned` for a folder and a mixture."""
    parts = (name,) if name in _ENTRIES else name.split("+")
    kinds = {_ENTRIES[part].ink if part in _ENTRIES else "scanned" for part in parts}
    return kinds.pop() if len(kinds) == 1 else "scanned"


def locate(name: str, data_dir: Path | None = None) -> Any:
    """Return where a registered data set's files are, None if they are nowhere, or True if it needs none.

    Nothing is downloaded, decoded or verified.
    """
    finder = entry_of(name).finder
    return resolve(finder)(data_dir) if finder else True


def load_dataset(name: str, split: str, options: LoadOptions | None = None) -> CharacterDataset:
    """Load one split of a data set.

    Args:
        name: a registered name, several of them joined by `+`, or a folder of the user's own images or arrays.
        split: `train` or `test` (a few sets have others).

    Raises:
        UserError: the name or the split is unknown, or a file is not what it should be.
        MissingFileError: the files are neither in the given folder nor in the cache, and cannot be downloaded.
    """
    options = options or LoadOptions()
    if options.random_split:
        # Divided by what the images are, which must not depend on the size that is asked for.
        dataset = resolve("splits:divided_anew")(
            *(_load_classes(name, part, replace(options, image_size=None)) for part in ("train", "test")), split
        )
    else:
        dataset = _load_classes(name, split, options)
    if options.image_size:
        dataset = dataset.resized(options.image_size)
    return dataset


def _load_classes(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    dataset = _load(name, split, options)
    return resolve("subsets:select_classes")(dataset, options.classes) if options.classes else dataset


def _load(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    if is_folder(name):
        return resolve("own.class_folders:load_folder")(Path(name), split, options)
    parts = parts_of(name)
    if len(parts) > 1:
        return resolve("combined:load_combined")(parts, split, options)
    entry = entry_of(name)
    if split not in entry.splits:
        raise UserError(f"The data set {name!r} has no {split!r} split; it has: {', '.join(entry.splits)}.")
    return resolve(entry.loader)(split, options)


def resolve(reference: str) -> Callable[..., Any]:
    """Return the function that `module:function` names; its module is imported only now."""
    module, function = reference.split(":")
    return getattr(import_module(f"kuzushiji_tf.datasets.{module}"), function)
