"""What people write on a touchscreen today, drawn from strokes: kana, signs, digits, letters, kanji, and what is none.

The classes end in `UNKNOWN`, what a recognizer answers to a scribble. As with `kana`, both splits are synthetic: the
figures that count are those of people's hands.
"""

import string

import numpy as np

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.characters.scripts import in_script
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.drawn import inks
from kuzushiji_tf.datasets.drawn.alphabets import Face, draw_letters, foreign_faces
from kuzushiji_tf.datasets.drawn.kana import (
    HIRAGANA,
    KATAKANA,
    TEST_PER_CLASS,
    about,
    draw_characters,
    forms_of,
    hands_of,
    written_images,
)
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.drawn.surfaces import draw_surface
from kuzushiji_tf.datasets.drawn.variation import Variation
from kuzushiji_tf.datasets.kanjivg import characters_with_strokes
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.subsets import joyo_characters, joyo_kanji
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.strokes import Strokes

IMAGE_SIZE = 64
TEST_IMAGES = 40_000  # about, at most: synthetic figures deserve no more time than this
UNKNOWN_SHARE = 1 / 10  # of the images are no characters (at least as many as a class has)
# Of these: letters of scripts that Japanese is not written with, and what a camera sees; the rest are scribbles.
LETTER_SHARE, SURFACE_SHARE = 0.35, 0.15
WRITTEN = ("LATIN", "GREEK", "CYRILLIC")  # the scripts of capitals that are classes, or look like them
KANA = HIRAGANA + KATAKANA + "ヴゐゑヰヱ"
# What Japanese is written with besides: iteration marks, the long vowel, a round zero, punctuation, digits, capitals.
SIGNS = "々ゝゞヽヾ〆〇ー、。「」・？！" + string.digits + string.ascii_uppercase
# How often signs and voiced kana are drawn, where other kana are drawn once; `LoadOptions.rare_kanji` says it of those.
# What may be either is what is in common use sooner.
SIGN_SHARE, VOICED_SHARE = 1 / 3, 1 / 2


def load_touch_kana(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 147 hiragana and katakana, 51 signs, digits and letters, and things that are no character.

    Images are uint8 `[n, size, size]` with size `options.image_size` or 64, in class order, `options.per_class` of each
    kana and common kanji, half as many of each voiced kana, a third as many of each sign, and the share
    `options.rare_kanji` of each rare kanji. A tenth more, and at least `per_class`, are no characters. The training
    split has the images of the `.npz` files of `options.forms` behind these.

    Raises:
        UserError: the package `kanjivg` is not installed, or a file of `options.forms` is missing or damaged.
    """
    return _load("touch-kana", KANA + SIGNS, split, options)


def load_touch_joyo(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the classes of `touch-kana` and the 2,136 joyo kanji; as `load_touch_kana`."""
    return _load("touch-joyo", KANA + SIGNS + "".join(joyo_kanji()), split, options)


def load_touch_all(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the classes of `touch-joyo` and every other kanji that KanjiVG has, 6,422 in all; as `load_touch_kana`."""
    joyo = "".join(joyo_kanji())
    others = [kanji for kanji in characters_with_strokes() if _is_kanji(kanji) and kanji not in SIGNS + joyo]
    return _load("touch-all", KANA + SIGNS + joyo + "".join(others), split, options)


def _is_kanji(character: str) -> bool:
    """Return whether it is a kanji that is not a compatibility ideograph, which is another's twin."""
    return in_script(character, "kanji") and not "\uf900" <= character <= "\ufaff"


def _is_rare(kanji: str) -> bool:
    """Return whether a kanji is neither joyo nor of the first level of JIS X 0208, the 2,965 most used."""
    if kanji in joyo_characters():
        return False
    try:
        code = kanji.encode("euc_jp")
    except UnicodeEncodeError:
        return True
    return len(code) != 2 or not 0xB0 <= code[0] <= 0xCF


def _count(character: str, most: int, rare_kanji: float) -> int:
    """Return how often a character is drawn where a common one is drawn `most` times."""
    if character in SIGNS:
        share = SIGN_SHARE
    elif in_script(character, "kanji") and _is_rare(character):
        share = rare_kanji
    else:
        share = VOICED_SHARE if forms_of(character)[0].marks else 1
    return max(round(share * most), 1)


def _load(name: str, characters: str, split: str, options: LoadOptions) -> CharacterDataset:
    size = options.image_size or options.stroke_size or IMAGE_SIZE
    enough = min(TEST_PER_CLASS, max(TEST_IMAGES // len(characters), 1))
    most = min(options.per_class, enough) if split == "test" else options.per_class
    counts = [_count(character, most, options.rare_kanji) for character in characters]
    ends = np.cumsum([*counts, max(most, round(UNKNOWN_SHARE * sum(counts)))])
    written, written_labels = written_images(characters, split, size, options)
    images = np.empty((ends[-1] + len(written), size, size), np.uint8)
    entropy, hands = (options.seed, int(split == "test")), hands_of(options, size)
    for character, count, end in zip(characters, counts, ends[:-1], strict=True):
        images[end - count : end] = draw_characters(character, count, entropy, size, hands)
    models = [form.strokes for character in characters for form in forms_of(character)]
    faces = foreign_faces(tuple(font.file for font in hands.fonts), WRITTEN)
    images[ends[-2] : ends[-1]] = _draw_others(ends[-1] - ends[-2], (*entropy, ord(UNKNOWN)), size, models, faces)
    images[ends[-1] :] = written
    labels = np.repeat(np.arange(len(characters) + 1), np.diff(ends, prepend=0))
    labels = np.concatenate([labels, written_labels]).astype(np.int32)
    return CharacterDataset(name, split, images, labels, Labels((*characters, UNKNOWN)), **about(options))


def _draw_others(
    count: int, entropy: tuple[int, ...], size: int, models: list[Strokes], faces: tuple[Face, ...]
) -> np.ndarray:
    """Draw what is no character, in the ink that characters have; uint8 `[count, size, size]`.

    Strokes of the models are thrown together, letters taken from the faces.
    """
    letters, surfaces = round(LETTER_SHARE * count), round(SURFACE_SHARE * count)
    scribbles = draw_scribbles(count - letters - surfaces, entropy, size, models)
    pictures = np.empty((letters + surfaces, size, size), np.float32)
    ink = np.empty((letters + surfaces, inks.DRAWS), np.float32)
    for number in range(len(pictures)):
        random = np.random.default_rng([*entropy, count, number])
        drawn = draw_letters(random, size, faces) if number < letters else draw_surface(random, size)
        pictures[number], ink[number] = fit_image(255 * drawn, size, box=True), random.random(inks.DRAWS)
    return np.concatenate([scribbles, np.rint(inks.weather(pictures, ink, Variation())).astype(np.uint8)])
