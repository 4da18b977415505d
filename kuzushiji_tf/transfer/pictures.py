"""Strokes as SVG pictures: one path a stroke, in the order of writing, and animated so that they are written."""

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np

from kuzushiji_tf.datasets.kanjivg import BOX
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import Strokes

PEN_WIDTH = 3  # in KanjiVG's units, of which the picture's side has 109: as its own files are drawn
PAUSE = 1.5  # seconds for which an animation shows the finished character
GHOST = "#ddd"  # color of what is not yet written
_NAMESPACE = "http://www.w3.org/2000/svg"
_DOT = "h0"  # a line of no length: its round caps are a dot
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?"
_STROKE = re.compile(rf"M{_NUMBER},{_NUMBER}(?:{_DOT}|(?:L{_NUMBER},{_NUMBER})+)")


def to_svg(strokes: Strokes, title: str = "") -> str:
    """Return a picture of strokes, as KanjiVG's look: black on nothing, round caps, 109 units wide.

    Args:
        strokes: float32, in the unit box. Coordinates have nine digits, which `from_svg` turns back into the same
            float32 numbers.
        title: what a pointer shows, and what a screen reader says.
    """
    return _picture([f'<path d="{_to_path(stroke)}"/>' for stroke in strokes], title)


def from_svg(text: str) -> Strokes:
    """Return the strokes of a picture that `to_svg` wrote, exactly.

    Raises:
        UserError: the text is no such picture; an animated one is none.
    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        root = None
    if root is None or root.tag != _element("svg"):
        raise UserError("The text is not an SVG picture.")
    if root.find(f".//{_element('animate')}") is not None:
        raise UserError("The picture is animated; strokes can only be read from a still one.")
    return [_from_path(path.get("d", "")) for path in root.iter(_element("path"))]


def to_animated_svg(strokes: Strokes, seconds_per_stroke: float = 0.5, title: str = "") -> str:
    """Return a picture in which the strokes are written one after the other over a pale one, again and again.

    It needs no script (SMIL). What does not animate shows the finished character.

    Args:
        strokes: in the unit box.
        seconds_per_stroke: how long the pen takes for each.
        title: as `to_svg` takes it.

    Raises:
        UserError: the pen would take no time.
    """
    if not seconds_per_stroke > 0:
        raise UserError(f"A stroke cannot be written in {seconds_per_stroke} seconds; give it more than 0.")
    total = len(strokes) * seconds_per_stroke + PAUSE
    paths = [_to_path(stroke) for stroke in strokes]
    ghost = f'<path stroke="{GHOST}" d="{"".join(paths)}"/>'
    written = [
        _written(path, start * seconds_per_stroke / total, (start + 1) * seconds_per_stroke / total, total)
        for start, path in enumerate(paths)
    ]
    return _picture([ghost, *written], title)


def _written(path: str, start: float, end: float, total: float) -> str:
    """Return a path that appears between two moments, fractions of the total time.

    It is one dash as long as the path, which slides in from before its start: 100 of the path's own units, and 10 more
    since its round cap would show. The dash is set by the animation, so that without one the path is whole.
    """
    path = path.replace(_DOT, "h.01")  # a path without a length has no place for a dash
    return (
        f'<path pathLength="100" d="{path}"><set attributeName="stroke-dasharray" to="100 200"/>'
        f'<animate attributeName="stroke-dashoffset" values="110;110;0;0" keyTimes="0;{start:.5f};{end:.5f};1" '
        f'dur="{total:.6g}s" repeatCount="indefinite"/></path>'
    )


def _picture(paths: list[str], title: str) -> str:
    lines = [
        f'<svg xmlns="{_NAMESPACE}" width="{BOX:g}" height="{BOX:g}" viewBox="0 0 {BOX:g} {BOX:g}">',
        *([f"<title>{escape(title)}</title>"] if title else []),
        f'<g fill="none" stroke="#000" stroke-width="{PEN_WIDTH}" stroke-linecap="round" stroke-linejoin="round">',
        *paths,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _element(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _to_path(stroke: np.ndarray) -> str:
    points = [f"{x:.9g},{y:.9g}" for x, y in (stroke.astype(np.float64) * BOX).tolist()]
    return "M" + ("L".join(points) if len(points) > 1 else points[0] + _DOT)


def _from_path(path: str) -> np.ndarray:
    if not _STROKE.fullmatch(path):
        raise UserError(f"The path {path[:40]!r} is not one stroke of straight lines, as this project writes them.")
    points = path[1:].removesuffix(_DOT).split("L")
    return (np.array([point.split(",") for point in points], np.float64) / BOX).astype(np.float32)
