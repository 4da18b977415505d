"""What a registered data set is, and the table of those that come with the project."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from kuzushiji_tf.runtime import extra_needed

_PACKAGE = "kuzushiji_tf.datasets"


@dataclass(frozen=True)
class DatasetEntry:
    """One registered data set.

    Functions are given as they are, or as `module:function` below this package and imported when first asked for.

    Attributes:
        loader: takes the split's name and the `LoadOptions`, and returns a `CharacterDataset`.
        description: one line.
        classes: how many it has, or None where that is not known before it is loaded.
        images: how many it has in all splits, or None where that is the user's choice or not known.
        size: height x width in pixels, or what it depends on.
        licence: one line.
        where: where its files come from.
        finder: takes `data_dir` and returns where its files are, or None; absent for data sets that need no files.
        downloader: downloads it and returns the path; absent where nothing can be downloaded.
        splits: their names.
    """

    loader: str | Callable[..., Any]
    description: str
    classes: int | None = None
    images: int | None = None
    size: str = "its own"
    licence: str = "its own"
    where: str = "registered by the program"
    finder: str | Callable[..., Any] | None = None
    downloader: str | Callable[..., Any] | None = None
    splits: tuple[str, ...] = ("train", "test")


def resolve(reference: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, importing it where it is given as `module:function`.

    Raises:
        MissingExtraError: it needs packages that are not installed.
    """
    if not isinstance(reference, str):
        return reference
    module, function = reference.split(":")
    with extra_needed():
        return getattr(import_module(f"{_PACKAGE}.{module}"), function)


def _drawn(loader: str, description: str, classes: int) -> DatasetEntry:
    where = "drawn by the program from the package kanjivg"
    return DatasetEntry(loader, description, classes, size="any", licence="CC BY-SA 3.0", where=where)


def _codh(reference: str, description: str, classes: int, images: int, size: str) -> DatasetEntry:
    module, name = reference.split(":")
    return DatasetEntry(
        f"{module}:load_{name}",
        description,
        classes,
        images,
        size,
        "CC BY-SA 4.0",
        "download from CODH",
        f"{module}:find_{name}",
        f"{module}:download_{name}",
    )


def _etl(name: str, description: str, counts: tuple[int, int], size: str) -> DatasetEntry:
    return DatasetEntry(
        f"etl.loaders:load_{name}",
        description,
        *counts,
        size,
        "free after registration; no redistribution",
        "your own files, after registering with AIST",
        f"etl.loaders:find_{name}",
    )


_KKANJI = _codh("kkanji:kkanji", "Kuzushiji-Kanji: cursive kanji", 3832, 140_396, "64 x 64")
ENTRIES = {
    "kana": _drawn("drawn.kana:load_hiragana", "hiragana drawn from KanjiVG strokes", 71),
    "katakana": _drawn("drawn.kana:load_katakana", "katakana drawn from KanjiVG strokes", 71),
    "hiragana+katakana": _drawn("drawn.kana:load_both", "both, drawn from KanjiVG strokes", 142),
    "touch-kana": _drawn(
        "drawn.touch:load_touch_kana", "both, signs, digits, capitals, and scribbles that are not characters", 199
    ),
    "touch-joyo": _drawn("drawn.touch:load_touch_joyo", "the same and the joyo kanji", 2335),
    "touch-all": _drawn("drawn.touch:load_touch_all", "the same and every kanji that KanjiVG has", 6620),
    "kmnist": _codh(
        "kmnist:kmnist", "Kuzushiji-MNIST: one cursive hiragana of each of ten rows", 10, 70_000, "28 x 28"
    ),
    "k49": _codh("kmnist:k49", "Kuzushiji-49: all cursive hiragana and the iteration mark", 49, 270_912, "28 x 28"),
    "kkanji": _KKANJI,
    "kkanji-low-shot": replace(
        _KKANJI,
        loader="kkanji:load_low_shot",
        description="Kuzushiji-Kanji with classes that are never trained on",
        splits=("train", "support", "test"),
    ),
    "etl1": _etl("etl1", "hand-printed digits, capitals, symbols, katakana", (99, 141_319), "64 x 63"),
    "etl2": _etl("etl2", "printed kanji, kana, letters (Mincho, Gothic)", (2184, 52_796), "60 x 60"),
    "etl3": _etl("etl3", "hand-printed digits, capitals, symbols", (48, 9_600), "72 x 76"),
    "etl4": _etl("etl4", "hand-printed hiragana", (51, 6_120), "72 x 76"),
    "etl5": _etl("etl5", "hand-printed katakana", (51, 10_608), "72 x 76"),
    "etl6": _etl("etl6", "hand-printed katakana, digits, capitals, symbols", (114, 157_662), "64 x 63"),
    "etl7": _etl("etl7", "hand-printed hiragana", (48, 33_600), "64 x 63"),
    "etl8b": _etl("etl8b", "handwritten hiragana and school kanji, two levels", (956, 152_960), "64 x 63"),
    "etl8g": _etl("etl8g", "the same, 16 levels", (956, 152_960), "128 x 127"),
    "etl9b": _etl("etl9b", "handwritten hiragana and JIS level 1 kanji, two levels", (3036, 607_200), "64 x 63"),
    "etl9g": _etl("etl9g", "the same, 16 levels", (3036, 607_200), "128 x 127"),
    "tomoe": DatasetEntry(
        "tomoe:load_tomoe",
        "characters that people drew with a pen",
        3009,
        3045,
        "any",
        "Apache-2.0 or CC BY 4.0",
        "tomoe_data, from your own folder",
        "tomoe:find_tomoe",
        splits=("test",),
    ),
}
