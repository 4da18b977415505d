"""Some of a data set's classes: from a named subset, a file, or the characters themselves."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import in_script
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.kmnist import K49_CLASSES
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.files import read_text

JOYO_FILE = files("kuzushiji_tf.datasets") / "tables" / "joyo.txt"
SHOWN = 10  # characters named in an error; there may be thousands


def select_classes(dataset: CharacterDataset, classes: str) -> CharacterDataset:
    """Return the images of some classes, in the data set's order of classes, numbered anew from 0.

    Args:
        classes: a named subset (`joyo`, `kanji`, `hiragana`, `katakana`, `k49`), a UTF-8 text file, whose characters
            other than white space are taken, or the characters themselves. Of a subset and of a file those that the
            data set has are taken; characters given directly must all be there. A class without images in this split
            stays a class, so that training and test images agree.

    Raises:
        UserError: none of the classes is in the data set, or one that was given directly is not, or the file cannot
            be read.
    """
    if classes in SUBSETS:
        wanted = {character for character in dataset.classes if SUBSETS[classes](character)}
    elif _is_file(classes):
        wanted = set(_split(read_text(classes), dataset.classes)) & set(dataset.classes)
    else:
        wanted = set(_split(classes, dataset.classes))
        _refuse_unknown(dataset, classes, wanted)
    if not wanted:
        raise UserError(
            f"{dataset.name} has none of the classes {classes!r}; its {len(dataset.classes):,} classes begin with "
            f"{''.join(dataset.classes.characters[:SHOWN])}."
        )
    kept = np.array([character in wanted for character in dataset.classes])
    if kept.all():
        return dataset
    number = np.cumsum(kept, dtype=np.int32) - 1
    selected = dataset.select(np.flatnonzero(kept[dataset.labels]))
    characters = tuple(character for character in dataset.classes if character in wanted)
    return replace(selected, labels=number[selected.labels], classes=Labels(characters))


@cache
def joyo_characters() -> frozenset[str]:
    """Return the 2,136 joyo kanji, and the more usual code points of four of them (剥填頬叱 for 剝塡頰𠮟)."""
    return frozenset(form for forms in _joyo_forms() for form in forms)


def joyo_kanji() -> tuple[str, ...]:
    """Return the 2,136 joyo kanji in the order of the list, four of them by their more usual code points."""
    return tuple(forms[-1] for forms in _joyo_forms())


@cache
def _joyo_forms() -> list[list[str]]:
    lines = JOYO_FILE.read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


SUBSETS: dict[str, Callable[[str], bool]] = {
    "hiragana": lambda character: in_script(character, "hiragana"),
    "joyo": lambda character: character in joyo_characters(),
    "k49": lambda character: character in K49_CLASSES,
    "kanji": lambda character: in_script(character, "kanji"),
    "katakana": lambda character: in_script(character, "katakana"),
}


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a long string of characters is no file name
        return False


def _split(text: str, classes: Labels) -> list[str]:
    """Return the classes that a text spells, the longest first at each place, and what else it holds one by one."""
    longest = max(map(len, classes), default=1)
    found, place = [], 0
    while place < len(text):
        lengths = range(min(longest, len(text) - place), 1, -1)
        length = next((length for length in lengths if text[place : place + length] in classes), 1)
        if not text[place].isspace() or text[place] in classes:
            found.append(text[place : place + length])
        place += length
    return found


def _refuse_unknown(dataset: CharacterDataset, classes: str, wanted: set[str]) -> None:
    unknown = sorted(wanted - set(dataset.classes))
    if not unknown:
        return
    if len(classes) > 1 and (classes.isascii() or {"/", "."}.intersection(unknown)):
        raise unknown_name("file or subset of classes", classes, SUBSETS)  # a slip, rather than characters
    more = f" and {len(unknown) - SHOWN:,} more" if len(unknown) > SHOWN else ""
    raise UserError(
        f"{dataset.name} has no class {' '.join(unknown[:SHOWN])}{more}; leave out what it lacks, or put the "
        "characters into a file, of which those are taken that it has."
    )
