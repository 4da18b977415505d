"""Stroke order data that installs with pip: KanjiVG's SVG files, read into strokes.

Copyright Ulrich Apel, CC BY-SA 3.0; http://kanjivg.tagaini.net. Its coordinates run from 0 to 109, y down.
"""

import importlib.metadata
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from svgelements import Move
from svgelements import Path as SvgPath

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of, shown
from kuzushiji_tf.ink.strokes import FARTHEST, Strokes

LICENCE = "CC BY-SA 3.0"
CREDIT = "KanjiVG, copyright Ulrich Apel"
BOX = 109.0  # side of the square in which KanjiVG draws
POINTS_PER_CURVE = 10
_PATH = "{http://www.w3.org/2000/svg}path"


def load_strokes(characters: Iterable[str]) -> dict[str, Strokes]:
    """Return the strokes of each character, in the order of writing, in the unit box.

    Raises:
        UserError: the package `kanjivg` is not installed, or has no such character.
    """
    return {character: list(_load_character(character)) for character in characters}


def load_kaisho(character: str) -> Strokes | None:
    """Return the strokes of a character as the hand writes it (kaisho) where that differs from print, or None.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    path = _files().get(_file_name(character, "-Kaisho"))
    return _read(path) if path else None


def has_strokes(character: str) -> bool:
    """Return whether KanjiVG has this character.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    return _file_name(character) in _files()


def characters_with_strokes() -> list[str]:
    """Return the characters that KanjiVG has, in the order of their code points.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    return sorted(chr(int(name.removesuffix(".svg"), 16)) for name in _files() if "-" not in name)


def file_of(character: str) -> Path:
    """Return the SVG file of a character.

    Raises:
        UserError: the package `kanjivg` is not installed, or has no such character.
    """
    if not has_strokes(character):
        raise UserError(f"KanjiVG has no strokes of {character!r}.")
    return _files()[_file_name(character)]


def path_to_stroke(path: str) -> np.ndarray:
    """Return an SVG path (one unbroken line in KanjiVG's coordinates) as a stroke in the unit box.

    Raises:
        UserError: the text is not such a path.
    """
    try:
        segments = list(SvgPath(path))
        times = np.linspace(0.0, 1.0, POINTS_PER_CURVE + 1)[1:]
        points = [np.array([(segments[0].end.x, segments[0].end.y)])]
        points += [np.asarray(segment.npoint(times)) for segment in segments[1:]]
    except (AttributeError, IndexError, TypeError, ValueError):
        raise UserError(f"{shown(path)} is not an SVG path.") from None
    if not isinstance(segments[0], Move) or any(isinstance(segment, Move) for segment in segments[1:]):
        raise UserError(f"The SVG path {shown(path)} is not one unbroken line.")
    stroke = np.concatenate(points) / BOX
    if not np.abs(stroke).max() <= FARTHEST:
        raise UserError(f"The SVG path {shown(path)} leads too far away.")
    return stroke.astype(np.float32)


@cache
def _load_character(character: str) -> tuple[np.ndarray, ...]:
    return tuple(_read(file_of(character)))


def _read(path: Path) -> Strokes:
    try:
        elements = list(ElementTree.parse(path).getroot().iter(_PATH))
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise UserError(f"{path} is damaged ({reason_of(error)}); install kanjivg again.") from None
    return [path_to_stroke(element.get("d", "")) for element in elements]


def _file_name(character: str, style: str = "") -> str:
    return f"{ord(character):05x}{style}.svg" if len(character) == 1 else ""


@lru_cache(maxsize=1)
def _files() -> dict[str, Path]:
    """Return the files of the installed package by name; its folder `kanji` has no `__init__` to import."""
    try:
        files = importlib.metadata.files("kanjivg") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = {file.name: Path(file.locate()) for file in files if file.suffix == ".svg"}
    if not found:
        raise MissingFileError("The stroke data is not installed; install it with: pip install kanjivg")
    return found
