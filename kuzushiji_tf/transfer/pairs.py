"""Who is paired with whom: characters that both Kuzushiji-Kanji and KanjiVG have, split by character.

Which side a character is on is a function of its code point alone, so that more characters move none.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import to_code_point
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import unknown_name
from kuzushiji_tf.transfer.modern import modern_characters

DATASET = "kkanji"
UNSEEN_FRACTION = 0.10  # of the characters: no part of the chain meets their kuzushiji
VALIDATION_FRACTION = 0.05
FORMS_FILE = files("kuzushiji_tf.transfer") / "old_forms.json"
# The sides that a part takes characters from, the published splits that it takes images from, and the sides whose
# images it must not hold, under whatever character they stand.
_PARTS = {
    "train": (("train", "unpaired"), ("train",), ("validation", "unseen")),
    "test": (("train",), ("test",), ("validation", "unseen")),
    "validation": (("validation",), ("train", "test"), ("unseen",)),
    "unseen": (("unseen",), ("train", "test"), ()),
}


@dataclass(frozen=True)
class Pairing:
    """The characters of Kuzushiji-Kanji that have a modern counterpart.

    Attributes:
        characters: those that have images, in code point order.
        modern: the character of KanjiVG that each is paired with: itself, or its modern form.
        split: of each character: `train`, `validation` or `unseen`.
        variants: characters that KanjiVG lacks -> their modern forms, which it has. Paired only if asked for.
        missing: all characters that KanjiVG lacks.
    """

    characters: tuple[str, ...]
    modern: dict[str, str]
    split: dict[str, str]
    variants: dict[str, str]
    missing: tuple[str, ...]

    def of(self, split: str) -> tuple[str, ...]:
        """Return the characters of `train`, `validation` or `unseen`."""
        return tuple(character for character in self.characters if self.split[character] == split)

    def side_of(self, character: str) -> str:
        """Return `train`, `validation` or `unseen`; for one without a partner `unpaired`, or `related`.

        Related ones are old or modern forms of a character that is held out: nobody gets their images.
        """
        is_held_out = modern_form(character) in self._held_out
        return self.split.get(character, "related" if is_held_out else "unpaired")

    @cached_property
    def _held_out(self) -> set[str]:
        return {modern_form(character) for character, split in self.split.items() if split != "train"}


@cache
def old_forms() -> dict[str, str]:
    """Return old form -> modern form, of a published table: `old_forms.json` names its source and licence."""
    return json.loads(FORMS_FILE.read_text(encoding="utf-8"))["forms"]


def modern_form(character: str) -> str:
    """Return the modern form of an old one or of a compatibility ideograph (by NFKC), any other character as it is."""
    plain = unicodedata.normalize("NFKC", character)
    return old_forms().get(plain, plain)


def split_of(character: str) -> str:
    """Return `unseen`, `validation` or `train`: where the SHA-256 of the code point falls among all numbers.

    The forms of one character go by the modern one, so that none is trained on while another counts as unseen.
    """
    digest = hashlib.sha256(to_code_point(modern_form(character)).encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < UNSEEN_FRACTION:
        return "unseen"
    return "validation" if place < UNSEEN_FRACTION + VALIDATION_FRACTION else "train"


def pair_characters(characters: Iterable[str], use_variants: bool = False) -> Pairing:
    """Pair characters with those of KanjiVG.

    Args:
        characters: that Kuzushiji-Kanji has images of.
        use_variants: pair a character that KanjiVG lacks with its modern form.

    Raises:
        UserError: the package `kanjivg` is not installed.
    """
    characters, known = sorted(set(characters)), set(modern_characters())
    missing = tuple(character for character in characters if character not in known)
    variants = {character: modern_form(character) for character in missing if modern_form(character) in known}
    modern = {character: character for character in characters if character in known}
    if use_variants:
        modern = dict(sorted((modern | variants).items()))
    split = {character: split_of(character) for character in modern}
    return Pairing(tuple(modern), modern, split, variants, missing)


def load_pairing(data_dir: Path | None = None, use_variants: bool = False) -> Pairing:
    """Pair the characters that Kuzushiji-Kanji has images of.

    Raises:
        MissingFileError, UserError: as `kkanji.load_kkanji`; or the package `kanjivg` is not installed.
    """
    return _pair(*_published(data_dir), use_variants)


def load_old(data_dir: Path | None, part: str, use_variants: bool = False) -> CharacterDataset:
    """Load a part of Kuzushiji-Kanji; no image of one part is in another.

    - `train`: training images of training characters and of those without a partner;
    - `test`: test images of training characters that have a partner;
    - `validation`, `unseen`: all images of those characters.

    What counts is the image: one that also stands under an unseen character is in no other part, nor is one that also
    stands under a validation character in `train` or `test`. Classes are those of Kuzushiji-Kanji.

    Raises:
        UserError: there is no such part.
        MissingFileError, UserError: as `load_pairing`.
    """
    train, test = _published(data_dir)
    rows = part_rows(train, test, _pair(train, test, use_variants), part)
    parts = [dataset.select(own) for dataset, own in zip((train, test), rows, strict=True)]
    if not all(map(len, parts)):
        return replace(max(parts, key=len), split=part)  # without a second copy of half a gigabyte
    images, labels = (np.concatenate([getattr(own, name) for own in parts]) for name in ("images", "labels"))
    return replace(train, split=part, images=images, labels=labels)


def part_rows(
    train: CharacterDataset, test: CharacterDataset, pairing: Pairing, part: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of the published splits a part has, as `load_old` says; sorted int64 of each.

    Raises:
        UserError: there is no such part.
    """
    if part not in _PARTS:
        raise unknown_name("part of Kuzushiji-Kanji", part, _PARTS)
    taken, published, kept_apart = _PARTS[part]
    sides = np.array([pairing.side_of(character) for character in train.classes])
    secret = np.concatenate([_keys(dataset, np.isin(sides[dataset.labels], kept_apart)) for dataset in (train, test)])
    rows = []
    for dataset, name in ((train, "train"), (test, "test")):
        wanted = np.isin(sides[dataset.labels], taken if name in published else ())
        own = np.flatnonzero(wanted)
        rows.append(own[~np.isin(_keys(dataset, wanted), secret)] if len(secret) else own)
    return rows[0], rows[1]


def _keys(dataset: CharacterDataset, wanted: np.ndarray) -> np.ndarray:
    return content_keys(dataset.images[wanted])


def _published(data_dir: Path | None) -> tuple[CharacterDataset, CharacterDataset]:
    options = LoadOptions(data_dir=data_dir)
    return load_dataset(DATASET, "train", options), load_dataset(DATASET, "test", options)


def _pair(train: CharacterDataset, test: CharacterDataset, use_variants: bool) -> Pairing:
    with_images = np.unique(np.concatenate([train.labels, test.labels]))
    return pair_characters((train.classes[index] for index in with_images), use_variants)
