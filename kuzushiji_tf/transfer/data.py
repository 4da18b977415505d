"""What a chain is trained on: Kuzushiji-Kanji's images on one side, KanjiVG's drawings on the other."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.ink.strokes import Strokes
from kuzushiji_tf.transfer.modern import draw_modern, modern_characters, modern_strokes
from kuzushiji_tf.transfer.pairs import Pairing, load_old, load_pairing


@dataclass(frozen=True, eq=False)
class ChainData:
    """Both sides, and who is paired with whom; no image of an unseen character is among them.

    Attributes:
        pairing: of the characters of Kuzushiji-Kanji.
        old: its images to train on (the part `train`).
        old_held_out: those of validation characters.
        characters: the modern ones, in code point order.
        drawings: the strokes of each of them, in the unit box.
        images: drawn from these, uint8 `[n, 64, 64]`.
    """

    pairing: Pairing
    old: CharacterDataset
    old_held_out: CharacterDataset
    characters: tuple[str, ...]
    drawings: list[Strokes]
    images: np.ndarray

    @cached_property
    def held_out(self) -> np.ndarray:
        """Which modern characters are paired with a validation character, bool `[n]`."""
        names = {self.pairing.modern[character] for character in self.pairing.of("validation")}
        return np.array([character in names for character in self.characters])

    def partners(self, dataset: CharacterDataset) -> np.ndarray:
        """Return the place of the modern character of each image of Kuzushiji-Kanji, int64 `[n]`; -1 for none."""
        place_of = {character: place for place, character in enumerate(self.characters)}
        of_class = [place_of.get(self.pairing.modern.get(character, ""), -1) for character in dataset.classes]
        return np.array(of_class, np.int64)[dataset.labels]

    @cached_property
    def old_hash(self) -> str:
        """SHA-256 (hex) of the old side's images and classes, and of who is paired with whom."""
        pairs = repr([(name, self.pairing.modern[name], self.pairing.split[name]) for name in self.pairing.characters])
        return _sha256(self.old.content_hash.encode(), self.old_held_out.content_hash.encode(), pairs.encode())

    @cached_property
    def new_hash(self) -> str:
        """SHA-256 (hex) of the modern side's characters, strokes and images, and of which are held out."""
        points = [np.ascontiguousarray(stroke).data for strokes in self.drawings for stroke in strokes]
        layout = repr([[len(stroke) for stroke in strokes] for strokes in self.drawings])
        named = (repr(self.characters) + layout).encode()
        return _sha256(named, self.held_out.data, np.ascontiguousarray(self.images).data, *points)


def load_chain_data(data_dir: Path | None = None, use_variants: bool = False) -> ChainData:
    """Load both sides.

    Args:
        data_dir: where the files of Kuzushiji-Kanji are; None means `KUZUSHIJI_DATA`, then the download cache.
        use_variants: pair a character that KanjiVG lacks with its modern form.

    Raises:
        MissingFileError, UserError: as `pairs.load_pairing`.
    """
    pairing = load_pairing(data_dir, use_variants)
    characters = modern_characters()
    drawings = modern_strokes(characters)
    return ChainData(
        pairing=pairing,
        old=load_old(data_dir, "train", use_variants),
        old_held_out=load_old(data_dir, "validation", use_variants),
        characters=characters,
        drawings=drawings,
        images=draw_modern(drawings),
    )


def _sha256(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
