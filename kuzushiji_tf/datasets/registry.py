"""The registered data sets: name -> what it is and how it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

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
    """One registered data set; `loader` is `module:function`, imported when first asked for."""

    loader: str
    splits: tuple[str, ...]
    description: str


_ENTRIES = {
    "kana": DatasetEntry("kana:load_hiragana", ("train", "test"), "hiragana drawn from KanjiVG strokes (no download)"),
    "katakana": DatasetEntry("kana:load_katakana", ("train", "test"), "katakana drawn from KanjiVG strokes"),
    "hiragana+katakana": DatasetEntry("kana:load_both", ("train", "test"), "both, drawn from KanjiVG strokes"),
    "kmnist": DatasetEntry("kmnist:load_kmnist", ("train", "test"), "Kuzushiji-MNIST, 10 classes, 70,000 images"),
    "k49": DatasetEntry("kmnist:load_k49", ("train", "test"), "Kuzushiji-49, 49 classes, 270,912 images"),
    "tomoe": DatasetEntry("tomoe:load_tomoe", ("test",), "characters drawn by people with a pen, for tests only"),
}


def dataset_names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_ENTRIES)


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
