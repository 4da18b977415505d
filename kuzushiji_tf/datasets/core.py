"""`CharacterDataset`: the one value that every loader ends in and everything above starts from."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from PIL import Image

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.errors import UserError

Ink = Literal["scanned", "pen", "synthetic"]
Normalization = Literal["none", "ink-box"]
INKS, NORMALIZATIONS = get_args(Ink), get_args(Normalization)


@dataclass(frozen=True, eq=False)
class CharacterDataset:
    """Images of characters with their classes.

    Attributes:
        name: the registered name, e.g. `kmnist`.
        split: `train` or `test`.
        images: uint8 `[n, height, width]`, ink white (255) on black (0); may be memory-mapped.
        labels: int32 `[n]`, class indices.
        classes: the ordered classes.
        licence: one line, e.g. `CC BY-SA 4.0`.
        credit: one line naming the makers, as they ask for it.
        groups: int32 `[n]` (the writer or the book of each image), or None where unknown.
        sources: int32 `[n]`, the index into `source_names` of the data set that each image is from; None for a set
            that is not combined from others.
        source_names: the registered names of those data sets.
        left_out: how many images of the published set, all splits together, are not here, by the reason.
        ink: where the images come from: `scanned` from paper (or pictures of any kind), drawn from strokes that people
            made with a `pen`, or `synthetic`: drawn from strokes with a program's variation.
        normalization: how the ink lies in the images, and so what an image needs before a model trained on them reads
            it: `none` (as it was found) or `ink-box` (centered and scaled by its box, as `fit_image(box=True)` does).

    Raises:
        UserError: shapes, types or label range are not as above.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: Labels
    licence: str
    credit: str
    groups: np.ndarray | None = None
    sources: np.ndarray | None = None
    source_names: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    ink: Ink = "scanned"
    normalization: Normalization = "none"

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 3:
            raise UserError(
                f"{self.name}: images must be uint8 [n, h, w], not {self.images.dtype} {self.images.shape}."
            )
        for part in ("labels", "groups", "sources"):
            values = getattr(self, part)
            if values is not None and (values.dtype != np.int32 or values.shape != (count,)):
                raise UserError(f"{self.name}: {part} must be int32 [{count}], not {values.dtype} {values.shape}.")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise UserError(
                f"{self.name}: labels run from {self.labels.min()} to {self.labels.max()}, "
                f"but there are {len(self.classes)} classes."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.image_size
        return (
            f"CharacterDataset({self.name!r}, {self.split!r}: {len(self):,} images of {height} x {width} pixels, "
            f"{len(self.classes):,} classes)"
        )

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def is_character(self) -> np.ndarray:
        """Whether each image shows a character, bool `[n]`: all but those of the class `UNKNOWN`."""
        if UNKNOWN not in self.classes:
            return np.ones(len(self), bool)
        return self.labels != self.classes.index_of(UNKNOWN)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over shape, images, labels and classes: equal for equal content, whatever file it came from."""
        digest = hashlib.sha256(repr((self.images.shape, self.classes.characters)).encode())
        for part in in_lots(len(self)):
            digest.update(np.ascontiguousarray(self.images[part]).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def select(self, rows: np.ndarray) -> "CharacterDataset":
        """Return the data set of the given row numbers (int `[m]`), in that order."""
        parts = {part: getattr(self, part) for part in ("images", "labels", "groups", "sources")}
        return replace(self, **{part: values[rows] for part, values in parts.items() if values is not None})

    def resized(self, size: int) -> "CharacterDataset":
        """Return the data set with images of `size` x `size` pixels (Lanczos, antialiased when shrinking)."""
        if self.image_size == (size, size):
            return self
        shape = (size, size)
        images = [np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.LANCZOS)) for image in self.images]
        return replace(self, images=np.stack(images) if images else np.zeros((0, *shape), np.uint8))


def in_lots(count: int, size: int = 4096) -> Iterator[slice]:
    """Yield `count` rows in pieces: a memory-mapped data set need not fit in memory."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def content_keys(images: np.ndarray) -> np.ndarray:
    """Return what tells equal images from different ones, whatever file or data set they come from.

    Args:
        images: uint8 `[n, height, width]`.

    Returns:
        `S32` `[n]`: SHA-256 of the height and the width (each as 4 bytes, little-endian) and the pixels, row by row.
        A NumPy string drops zero bytes at its end, which does no harm to comparing and sorting.
    """
    shape = np.array(images.shape[1:], "<u4").tobytes()
    digests = [hashlib.sha256(shape + np.ascontiguousarray(image).data).digest() for image in images]
    return np.array(digests, "S32")
