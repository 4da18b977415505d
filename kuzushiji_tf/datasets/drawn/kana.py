"""The embedded default: hiragana and katakana drawn from KanjiVG's strokes with the variation of handwriting.

Nothing is downloaded, and nobody wrote these images: both splits are synthetic, and differ in their seeds only. The
accuracy on the test split therefore says how well the model has learned the drawing, never how well it reads people;
the data set `tomoe` does.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import fold_small
from kuzushiji_tf.datasets.core import CharacterDataset, in_lots
from kuzushiji_tf.datasets.drawn.fonts import Font, draw_glyphs, is_font, open_fonts
from kuzushiji_tf.datasets.drawn.handwriting import DRAWN_AT_ONCE, draw_handwriting
from kuzushiji_tf.datasets.drawn.variation import Form, Variation
from kuzushiji_tf.datasets.kanjivg import CREDIT, LICENCE, has_strokes, load_kaisho, load_strokes, path_to_stroke
from kuzushiji_tf.datasets.locations import user_folder
from kuzushiji_tf.datasets.own.npz_files import load_npz
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.strokes import Strokes

IMAGE_SIZE = 32
FONT_SHARE = 0.3  # of a character's drawings are glyphs of fonts, where there are any
# Told apart by the direction of their strokes alone, or (エ and ユ) by where two meet, which even careless hands keep
# to: they vary less.
DIRECTED, DIRECTED_VARIATION = frozenset("シツソンジヅゾエ"), 0.5
KAISHO_WEIGHT = 0.5  # of the form that the hand writes, where KanjiVG has it beside the one that is printed
TEST_PER_CLASS = 50  # synthetic figures deserve no more time than this
HIRAGANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
    "がぎぐげござじずぜぞだぢづでどばびぶべぼぱぴぷぺぽ"
)
KATAKANA = "".join(chr(ord(character) + 0x60) for character in HIRAGANA)
# What the last strokes of a voiced character add to its base: two short strokes (dakuten) or a ring (handakuten).
_DAKUTEN = dict(
    zip("がぎぐげござじずぜぞだぢづでどばびぶべぼ", "かきくけこさしすせそたちつてとはひふへほ", strict=True)
)
_HANDAKUTEN = dict(zip("ぱぴぷぺぽ", "はひふへほ", strict=True))
VARIANTS_FILE = files("kuzushiji_tf.datasets") / "tables" / "stroke_variants.json"


def load_hiragana(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 71 hiragana (46, 20 voiced, 5 semi-voiced; no small ones: size is normalized away).

    Images are uint8 `[71 * options.per_class, size, size]` with size `options.image_size` or 32, in class order; the
    test split has at most 50 of each class.
    Image `i` of a class depends on `options.seed`, the split and `i` alone.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    return _load("kana", HIRAGANA, split, options)


def load_katakana(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 71 katakana; as `load_hiragana`."""
    return _load("katakana", KATAKANA, split, options)


def load_both(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 71 hiragana, then the 71 katakana; as `load_hiragana`.

    A few are written alike (へ and ヘ, り and リ): no model can tell those apart without context.
    """
    return _load("hiragana+katakana", HIRAGANA + KATAKANA, split, options)


@dataclass(frozen=True)
class Hands:
    """Who draws.

    Attributes:
        variation: how strongly writing varies.
        fonts: whose glyphs stand for `FONT_SHARE` of the drawings of the characters that they have.
    """

    variation: Variation = field(default_factory=Variation)
    fonts: tuple[Font, ...] = ()


def draw_characters(
    characters: Iterable[str], per_class: int, entropy: tuple[int, int], image_size: int, hands: Hands | None = None
) -> np.ndarray:
    """Draw each character `per_class` times; any character that KanjiVG or `tables/stroke_variants.json` has.

    Args:
        entropy: what decides about the drawings: a seed, and 0 for training or 1 for tests.
        hands: None means `Hands()`.

    Returns:
        uint8 `[characters * per_class, image_size, image_size]`, normalized, in the order of `characters`: the drawings
        of each from strokes first, then those from fonts.

    Raises:
        UserError: KanjiVG has no such character or is not installed.
    """
    hands, images = hands or Hands(), []
    for character in characters:
        own = *entropy, ord(character)
        varied = hands.variation.scaled(DIRECTED_VARIATION) if character in DIRECTED else hands.variation
        glyphs = [glyph for glyph in (font.glyph(character) for font in hands.fonts) if glyph is not None]
        from_fonts = round(FONT_SHARE * per_class) if glyphs else 0
        images.append(draw_handwriting(forms_of(character), per_class - from_fonts, own, image_size, varied))
        if from_fonts:
            images.append(draw_glyphs(glyphs, from_fonts, own, image_size, varied))
    return np.concatenate(images)


def about(options: LoadOptions) -> dict[str, Any]:
    """Return what a drawn data set says of itself: licence, credit, ink and normalization."""
    images = [Path(form).stem for form in options.forms if not is_font(form)]
    credit = "; ".join([CREDIT, *(f"images of {name}" for name in images)])
    return {"licence": LICENCE, "credit": credit, "ink": "synthetic", "normalization": "ink-box"}


def hands_of(options: LoadOptions, image_size: int) -> Hands:
    """Return who draws under these options: the fonts among `options.forms` take part.

    Raises:
        UserError: a font is missing or cannot be read.
    """
    return Hands(fonts=open_fonts([form for form in options.forms if is_font(form)], image_size))


def written_images(characters: str, split: str, size: int, options: LoadOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return what people wrote, from the `.npz` files of `options.forms`: uint8 `[n, size, size]` and labels `[n]`.

    These are the images of their training splits, and only trained on: none are in the `test` split. Small kana stand
    for large ones, since a drawing scaled to its own box has lost its size.

    Raises:
        UserError: a file is missing or damaged.
    """
    images, labels = [np.zeros((0, size, size), np.uint8)], [np.zeros(0, np.int64)]
    names = [form for form in options.forms if split == "train" and not is_font(form)]
    for path in (_data_file(name, options.data_dir) for name in names):
        own = load_npz(path, "train", replace(options, image_size=None))
        numbers = np.array([characters.find(fold_small(character)) for character in own.classes])[own.labels]
        rows = np.flatnonzero(numbers >= 0)
        labels.append(numbers[rows])
        for part in in_lots(len(rows), DRAWN_AT_ONCE):
            images.append(np.rint(fit_image(own.images[rows[part]], size, box=True)).astype(np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def _data_file(name: str, data_dir: Path | None) -> Path:
    """Return where a file is: as it is named, or below the user's folder of data."""
    folder = user_folder(data_dir)
    return Path(name) if Path(name).exists() or folder is None else folder / name


@cache
def forms_of(character: str) -> tuple[Form, ...]:
    """Return the ways to write a character: KanjiVG's one or two, and the variants of `tables/stroke_variants.json`.

    Raises:
        UserError: KanjiVG has no such character or is not installed.
    """
    if not has_strokes(character):
        if character in _variants():
            return _variants()[character]
        character = unicodedata.normalize("NFKC", character)  # a full-width sign has the strokes of the plain one
    model = load_strokes([character])[character]
    offset = 0x60 if character in KATAKANA else 0
    hiragana = chr(ord(character) - offset)
    base, marks = _DAKUTEN.get(hiragana), 2
    if base is None:
        base, marks = _HANDAKUTEN.get(hiragana), 1
    if base is None:
        kaisho = load_kaisho(character)
        variants = (Form(kaisho, KAISHO_WEIGHT),) if kaisho else _variants().get(character, ())
        return (Form(model, 1 - sum(form.weight for form in variants)), *variants)
    base = chr(ord(base) + offset)
    forms = forms_of(base)
    own = Form(model, forms[0].weight, marks)
    place = load_strokes([base])[base], model[:-marks]
    return (own, *(Form(_moved(form.strokes, *place) + model[-marks:], form.weight, marks) for form in forms[1:]))


@lru_cache(maxsize=1)
def _variants() -> dict[str, tuple[Form, ...]]:
    """Return the hand-made forms that people write and KanjiVG lacks."""
    table = json.loads(VARIANTS_FILE.read_text(encoding="utf-8"))["variants"]
    return {
        character: tuple(
            Form([path_to_stroke(path) for path in entry["strokes"]], entry["weight"]) for entry in entries
        )
        for character, entries in table.items()
    }


def _moved(strokes: Strokes, source: Strokes, target: Strokes) -> Strokes:
    """Return strokes moved and scaled as `source` would have to be to fill the box of `target`."""
    (source_low, source_size), (low, size) = (
        (points.min(axis=0), np.ptp(points, axis=0)) for points in (np.concatenate(source), np.concatenate(target))
    )
    return [low + (stroke - source_low) * size / source_size for stroke in strokes]


def _load(name: str, characters: str, split: str, options: LoadOptions) -> CharacterDataset:
    size = options.image_size or options.stroke_size or IMAGE_SIZE
    per_class = min(options.per_class, TEST_PER_CLASS) if split == "test" else options.per_class
    images = draw_characters(characters, per_class, (options.seed, int(split == "test")), size, hands_of(options, size))
    labels = np.repeat(np.arange(len(characters)), per_class)
    written, written_labels = written_images(characters, split, size, options)
    images, labels = np.concatenate([images, written]), np.concatenate([labels, written_labels]).astype(np.int32)
    return CharacterDataset(name, split, images, labels, Labels(tuple(characters)), **about(options))
