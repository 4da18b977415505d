"""The registered data sets: name -> what it is and how it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.errors import UserError, unknown_name


@dataclass(frozen=True)
class LoadOptions:
    """What a loader may need; each takes what concerns it.

    Attributes:
        data_dir: where the user's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        image_size: wanted height and width in pixels; None means the data set's own.
        per_class: images rendered for each class, for data sets drawn from strokes.
        seed: of the drawing, for data sets drawn from strokes.
    """

    data_dir: Path | None = None
    image_size: int | None = None
    per_class: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class DatasetEntry:
    """One registered data set.

    Attributes:
        loader: `module:function`, imported when first asked for.
        splits: which of `train` and `test` there are.
        description: one line.
        ink: where the images come from: `scanned` from paper, drawn from strokes that people made with a `pen`, or
            `synthetic`: drawn from strokes with a program's variation.
    """

    loader: str
    splits: tuple[str, ...]
    description: str
    ink: Literal["scanned", "pen", "synthetic"]


_BOTH = ("train", "test")
_ENTRIES = {
    "kana": DatasetEntry("kana:load_hiragana", _BOTH, "71 hiragana drawn from KanjiVG strokes", "synthetic"),
    "katakana": DatasetEntry("kana:load_katakana", _BOTH, "71 katakana drawn from KanjiVG strokes", "synthetic"),
    "hiragana+katakana": DatasetEntry("kana:load_both", _BOTH, "both, drawn from KanjiVG strokes", "synthetic"),
    "kmnist": DatasetEntry("kmnist:load_kmnist", _BOTH, "Kuzushiji-MNIST: 10 classes, 70,000 images", "scanned"),
    "k49": DatasetEntry("kmnist:load_k49", _BOTH, "Kuzushiji-49: 49 classes, 270,912 images", "scanned"),
    "tomoe": DatasetEntry("tomoe:load_tomoe", ("test",), "characters that people drew with a pen", "pen"),
}


def dataset_descriptions() -> dict[str, str]:
    """Return the registered names with a line about each."""
    return {name: entry.description for name, entry in _ENTRIES.items()}


def ink_of(name: str) -> str:
    """Return where a data set's images come from, as `DatasetEntry.ink`; `scanned` for a name not registered."""
    return _ENTRIES[name].ink if name in _ENTRIES else "scanned"


def load_dataset(name: str, split: str, options: LoadOptions | None = None) -> CharacterDataset:
    """Load one split (`train` or `test`) of a registered data set.

    Raises:
        UserError: the name or the split is unknown, or a file is not what it should be.
        MissingFileError: the files are neither in the given folder nor in the cache, and cannot be downloaded.
    """
    if name not in _ENTRIES:
        raise unknown_name("data set", name, _ENTRIES)
    entry = _ENTRIES[name]
    if split not in entry.splits:
        raise UserError(f"The data set {name!r} has no {split!r} split; it has: {', '.join(entry.splits)}.")
    options = options or LoadOptions()
    dataset = _loader(entry)(split, options)
    if options.image_size:
        dataset = dataset.resized(options.image_size)
    return dataset


def _loader(entry: DatasetEntry) -> Callable[[str, LoadOptions], CharacterDataset]:
    module, function = entry.loader.split(":")
    return getattr(import_module(f"kuzushiji_tf.datasets.{module}"), function)
