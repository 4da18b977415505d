"""Small inputs that several tests make."""

import struct
import zlib

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset

CHARACTERS = Labels(tuple("おきすつなはまやれを"))


def random_dataset(count: int, size: int = 12, learnable: bool = False, seed: int = 0) -> CharacterDataset:
    """Return random images; with `learnable`, images of a class share a pattern under noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(CHARACTERS), count).astype(np.int32)
    images = random.integers(0, 256, (count, size, size))
    if learnable:
        patterns = random.integers(0, 256, (len(CHARACTERS), size, size))
        images = (3 * patterns[labels] + images) // 4
    return CharacterDataset("kmnist", "train", images.astype(np.uint8), labels, CHARACTERS, "a licence", "a credit")


def png_claiming(width: int, height: int) -> bytes:
    """Return a small PNG file whose header claims any number of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )
