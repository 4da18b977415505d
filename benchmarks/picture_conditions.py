"""What happens to pictures of characters before a recognizer sees them: margins, light, paper, rules, neighbors, files.

Each condition is a function of a character's ink, a neighbor's, and a random generator; the same seed makes the same
picture.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 200  # pixels of a character in its picture
MARGIN = 0.25  # of that side, around it, where the condition is not the margin
INK = 0.88  # of the paper's light that ink takes away

Picture = np.ndarray | Image.Image


@dataclass(frozen=True, eq=False)
class Subject:
    """What a picture shows.

    Attributes:
        ink: uint8 `[h, h]`, white on black, without a margin.
        neighbor: likewise, of another character that may stand beside it.
        random: of everything that varies.
    """

    ink: np.ndarray
    neighbor: np.ndarray
    random: np.random.Generator


def on_paper(ink: np.ndarray, margin: float) -> np.ndarray:
    """Return the light of white paper with dark ink on it, float32 `[h, h]`, 0..1; the margin is a fraction of it."""
    border = int(margin * SIDE)
    cover = np.zeros((SIDE + 2 * border,) * 2, np.float32)
    resized = Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    cover[border : border + SIDE, border : border + SIDE] = np.asarray(resized) / 255
    return 1 - INK * cover


def clean(subject: Subject) -> Picture:
    """The character alone, as large as its picture, black on white."""
    return 255 - subject.ink


def with_margin(subject: Subject, margin: float) -> Picture:
    return _pixels(0.97 * on_paper(subject.ink, margin))


def in_shadow(subject: Subject, least: float) -> Picture:
    """Light that falls off to one side, to this fraction."""
    paper = on_paper(subject.ink, MARGIN)
    rows, columns = np.mgrid[: len(paper), : len(paper)] / len(paper) - 0.5
    angle = subject.random.uniform(0, 2 * np.pi)
    across = (np.cos(angle) * columns + np.sin(angle) * rows) / 0.7
    return _pixels(0.95 * paper * (least + (1 - least) / (1 + np.exp(-6 * across))))


def on_rough_paper(subject: Subject) -> Picture:
    paper = on_paper(subject.ink, MARGIN)
    return _pixels(paper * (0.82 + 0.05 * _noise(subject, paper, 1) + 0.06 * _noise(subject, paper, 12)))


def on_rules(subject: Subject) -> Picture:
    """Two printed lines through the whole picture, one above and one below the character."""
    image, draw, gray, width = _printed(subject)
    for row in (0.5 * MARGIN / (1 + 2 * MARGIN), 1 - 0.5 * MARGIN / (1 + 2 * MARGIN)):
        start = int(row * image.height + subject.random.integers(-3, 4))
        end = start + int(subject.random.integers(-3, 4))
        draw.line([(0, start), (image.width, end)], fill=gray, width=width)
    return np.asarray(image)


def in_box(subject: Subject) -> Picture:
    image, draw, gray, width = _printed(subject)
    inset = int(subject.random.uniform(0.03, 0.09) * image.width)
    draw.rectangle([inset, inset, image.width - inset, image.height - inset], outline=gray, width=width)
    return np.asarray(image)


def on_cross(subject: Subject) -> Picture:
    """A box with a dashed cross in it, as paper for practicing has it."""
    image, draw, gray, width = _printed(subject)
    side, inset = image.width, int(subject.random.uniform(0.02, 0.06) * image.width)
    draw.rectangle([inset, inset, side - inset, side - inset], outline=gray, width=width)
    for start in range(inset, side - inset, 12):
        end = min(start + 7, side - inset)
        for dash in ([(start, side // 2), (end, side // 2)], [(side // 2, start), (side // 2, end)]):
            draw.line(dash, fill=min(gray + 40, 200), width=max(1, width - 1))
    return np.asarray(image)


def beside_neighbors(subject: Subject, count: int) -> Picture:
    """Another character on so many sides, cut off by the picture's edge."""
    cover = 1 - on_paper(subject.ink, MARGIN)
    other, side = 1 - on_paper(subject.neighbor, 0), len(cover)
    start = (side - SIDE) // 2
    for turn in subject.random.permutation(4)[:count]:
        depth = int(subject.random.uniform(0.10, 0.17) * side)
        strip = np.zeros_like(cover)  # along the top; the neighbor is turned so that it stands upright in the end
        strip[:depth, start : start + SIDE] = np.rot90(other, -turn)[SIDE - depth :]
        cover = np.maximum(cover, np.rot90(strip, turn))
    return _pixels(1 - cover)


def with_specks(subject: Subject) -> Picture:
    image = Image.fromarray(_pixels(on_paper(subject.ink, MARGIN)))
    draw = ImageDraw.Draw(image)
    for column, row in subject.random.uniform(0, image.width, (25, 2)):
        radius = subject.random.uniform(0.5, 1.8)
        box = [column - radius, row - radius, column + radius, row + radius]
        draw.ellipse(box, fill=int(subject.random.integers(30, 120)))
    return np.asarray(image)


def blurred(subject: Subject) -> Picture:
    image = Image.fromarray(_pixels(on_paper(subject.ink, MARGIN)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.012 * image.width)))


def as_jpeg(subject: Subject) -> Picture:
    file = io.BytesIO()
    Image.fromarray(_pixels(on_paper(subject.ink, MARGIN))).save(file, "JPEG", quality=30)
    return Image.open(file)


def in_pencil(subject: Subject) -> Picture:
    cover = (1 - on_paper(subject.ink, MARGIN)) / INK
    texture = np.clip(0.55 + 0.25 * _noise(subject, cover, 1), 0, 1)
    return _pixels(0.93 - 0.55 * cover * texture + 0.01 * subject.random.normal(size=cover.shape))


def in_chalk(subject: Subject) -> Picture:
    cover = (1 - on_paper(subject.ink, MARGIN)) / INK
    texture = np.clip(0.8 + 0.2 * _noise(subject, cover, 1), 0, 1)
    board = 0.2 + 0.03 * _noise(subject, cover, 8) + 0.015 * subject.random.normal(size=cover.shape)
    return _pixels(board + 0.65 * cover * texture)


def askew(subject: Subject) -> Picture:
    image = Image.fromarray(_pixels(on_paper(subject.ink, MARGIN)))
    return np.asarray(image.rotate(3 * int(subject.random.choice([-1, 1])), Image.Resampling.BICUBIC, fillcolor=255))


def in_sixteen_bits(subject: Subject) -> Picture:
    return Image.fromarray((0.9 * 65_535 * on_paper(subject.ink, MARGIN)).astype(np.uint16))


def on_nothing(subject: Subject) -> Picture:
    """Black or white ink, and everything else transparent."""
    opacity = _pixels((1 - on_paper(subject.ink, MARGIN)) / INK)
    pixels = np.full((*opacity.shape, 4), subject.random.choice([0, 255]), np.uint8)
    pixels[..., 3] = opacity
    return Image.fromarray(pixels)


CONDITIONS: dict[str, Callable[[Subject], Picture]] = {
    "clean": clean,
    **{f"margin{percent}": partial(with_margin, margin=percent / 100) for percent in (0, 25, 60, 100)},
    "shadow_mild": partial(in_shadow, least=0.6),
    "shadow_strong": partial(in_shadow, least=0.22),
    "rough": on_rough_paper,
    "rules": on_rules,
    "box": in_box,
    "cross": on_cross,
    **{f"neighbors{count}": partial(beside_neighbors, count=count) for count in (1, 2, 4)},
    "specks": with_specks,
    "blur": blurred,
    "jpeg30": as_jpeg,
    "pencil": in_pencil,
    "chalk": in_chalk,
    "askew": askew,
    "bits16": in_sixteen_bits,
    "alpha": on_nothing,
}


def _pixels(light: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(light * 255), 0, 255).astype(np.uint8)


def _noise(subject: Subject, like: np.ndarray, grain: int) -> np.ndarray:
    """Return smooth noise of about -1..1 whose patches are so many pixels large."""
    rows, columns = (max(2, side // grain) for side in like.shape)
    noise = Image.fromarray(subject.random.normal(size=(rows, columns)).astype(np.float32))
    return np.asarray(noise.resize(like.shape[::-1], Image.Resampling.BICUBIC))


def _printed(subject: Subject) -> tuple[Image.Image, ImageDraw.ImageDraw, int, int]:
    """Return a picture, how to draw on it, and the gray and the width of what is printed on its paper."""
    image = Image.fromarray(_pixels(on_paper(subject.ink, MARGIN)))
    gray, width = int(subject.random.integers(90, 170)), int(subject.random.integers(2, 4))
    return image, ImageDraw.Draw(image), gray, width
