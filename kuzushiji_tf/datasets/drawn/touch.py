"""What people write on a touchscreen today: kana, joyo kanji, and things that are no character; drawn from strokes.

The classes end in `UNKNOWN`, what a recognizer answers to a scribble. As with `kana`, both splits are synthetic: the
figure that counts is the one on `tomoe`.
"""

import numpy as np

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.drawn.kana import ABOUT, HIRAGANA, KATAKANA, TEST_PER_CLASS, draw_characters, forms_of
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.subsets import joyo_kanji

IMAGE_SIZE = 64
UNKNOWN_SHARE = 1 / 20  # of the images are no characters (at least as many as a class has)


def load_touch_kana(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 142 hiragana and katakana, and things that are no character.

    Images are uint8 `[142 * per_class + others, size, size]` with size `options.image_size` or 64, in class order. A
    twentieth of them, and at least `per_class`, are no characters; see `scribbles.draw_scribbles`.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    return _load("touch-kana", HIRAGANA + KATAKANA, split, options)


def load_touch_joyo(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the 142 kana, the 2,136 joyo kanji, and things that are no character; as `load_touch_kana`."""
    return _load("touch-joyo", HIRAGANA + KATAKANA + "".join(joyo_kanji()), split, options)


def _load(name: str, characters: str, split: str, options: LoadOptions) -> CharacterDataset:
    size = options.image_size or options.stroke_size or IMAGE_SIZE
    per_class = min(options.per_class, TEST_PER_CLASS) if split == "test" else options.per_class
    others = max(per_class, round(UNKNOWN_SHARE * per_class * len(characters)))
    count = per_class * len(characters)
    images = np.empty((count + others, size, size), np.uint8)
    entropy = options.seed, int(split == "test")
    for index, character in enumerate(characters):
        rows = slice(index * per_class, (index + 1) * per_class)
        images[rows] = draw_characters(character, per_class, entropy, size)
    models = [form.strokes for character in characters for form in forms_of(character)]
    images[count:] = draw_scribbles(others, (*entropy, ord(UNKNOWN)), size, models)
    labels = np.full(count + others, len(characters), np.int32)
    labels[:count] = np.repeat(np.arange(len(characters)), per_class)
    return CharacterDataset(name, split, images, labels, Labels((*characters, UNKNOWN)), **ABOUT)
