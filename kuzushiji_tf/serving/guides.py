"""Stroke order for the touch page: KanjiVG's paths and the places of their numbers, as compact JSON."""

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from kuzushiji_tf.datasets import kanjivg

Guide = list[list]  # one stroke each: the SVG path, and x and y of its number, in KanjiVG's box of 109

_PATH = "{http://www.w3.org/2000/svg}path"
_TEXT = "{http://www.w3.org/2000/svg}text"
_NUMBER = re.compile(r"-?\d*\.?\d+")


def stroke_guides(characters: Iterable[str]) -> dict[str, Guide]:
    """Return the stroke order of each character that KanjiVG has, coordinates to a tenth of a unit.

    Raises:
        MissingFileError: the package `kanjivg` is not installed.
    """
    return {character: _read(character) for character in characters if kanjivg.has_strokes(character)}


def _read(character: str) -> Guide:
    root = ElementTree.parse(kanjivg.file_of(character)).getroot()
    paths = [shorten(element.attrib["d"]) for element in root.iter(_PATH)]
    places = [_place(element.attrib["transform"]) for element in root.iter(_TEXT)]
    return [[path, *place] for path, place in zip(paths, places, strict=True)]


def _place(transform: str) -> list[int]:
    """Return where `matrix(1 0 0 1 22.51 35)` moves a number to."""
    return [round(float(number)) for number in _NUMBER.findall(transform)[-2:]]


def shorten(path: str) -> str:
    """Return an SVG path with its numbers to one decimal, which nobody can see in a drawing of this size."""
    path = _NUMBER.sub(lambda match: f"{_tenth(match[0])} ", path)
    path = re.sub(r"[\s,]+", " ", path)
    return re.sub(r" ?([A-Za-z-]) ?", r"\1", path).strip()


def _tenth(number: str) -> str:
    text = f"{float(number):.1f}".removesuffix(".0")
    return "0" if text == "-0" else re.sub(r"^(-?)0\.", r"\1.", text)
