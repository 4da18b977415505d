"""The page's icons as PNG files, drawn as `web/icon.svg` is: の in the white of paper on a vermilion seal."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from svgelements import Path as SvgPath

from kuzushiji_tf.ink.strokes import render

SVG = "{http://www.w3.org/2000/svg}"
MASK_SAFE = 0.8  # of the side: a phone may cut a maskable icon down to this circle
OVERSAMPLING = 4


def draw_icon(source: Path, size: int, maskable: bool = False) -> Image.Image:
    """Return the icon of `icon.svg`, RGBA `size` x `size`; `maskable` fills the whole square."""
    root = ElementTree.parse(source).getroot()
    (square,), (mark,) = root.iter(f"{SVG}rect"), root.iter(f"{SVG}path")
    side = float(square.attrib["width"])
    # Piece by piece: a point of the whole path takes its length, and that seconds where SciPy is missing.
    _, *pieces = SvgPath(mark.attrib["d"])
    points = np.concatenate([piece.npoint(np.linspace(0, 1, 40)) for piece in pieces]).astype(np.float32) / side
    scale = MASK_SAFE if maskable else 1.0
    points = 0.5 + (points - 0.5) * scale
    width = float(mark.attrib["stroke-width"]) / side * scale * size
    ink = Image.fromarray(render([points], size, width))
    radius = 0 if maskable else float(square.attrib["rx"]) / side * size * OVERSAMPLING
    seal = Image.new("L", (size * OVERSAMPLING,) * 2)
    ImageDraw.Draw(seal).rounded_rectangle((0, 0, *(length - 1 for length in seal.size)), radius, fill=255)
    icon = Image.new("RGB", (size, size), square.attrib["fill"])
    icon.paste(Image.new("RGB", icon.size, mark.attrib["stroke"]), mask=ink)
    icon.putalpha(seal.resize(icon.size, Image.Resampling.LANCZOS))
    return icon
