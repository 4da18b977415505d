"""Valid files of many formats, and archives of them of which one part is made wrong, for `fuzz.py`."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from fuzz_mutations import mutated
from PIL import Image

Files = dict[str, bytes]
NPY_TOKENS = tuple(b"'|u1' '<i8' '<U1' '<U0' '|O' '<f8' 'V1' True (1,) () 9999999999 -1".split())
STROKES = [[[30, 20], [80, 20.5]], [[55, 5, 1], [52, 60, 20], [30, 95, 40]]]


@dataclass(frozen=True)
class Parser:
    """A parser under attack.

    Attributes:
        make: the files of an input, by name.
        read: reads them from a folder; to end in a result or a UserError.
    """

    make: Callable[[Random], Files]
    read: Callable[[Path], Any]


def npy(array: np.ndarray) -> bytes:
    np.save(stream := io.BytesIO(), array, allow_pickle=False)
    return stream.getvalue()


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)  # its date is fixed: equal inputs are equal bytes
    return stream.getvalue()


def tarred(members: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def inside(
    members: Mapping[str, bytes],
    pack: Callable[[Mapping[str, bytes]], bytes],
    random: Random,
    tokens: tuple[bytes, ...],
) -> bytes:
    """Return an archive with one member changed, so that its checksums hold, or changed as a whole."""
    if random.random() < 0.4:
        return mutated(pack(members), random, tokens=tokens)
    name = random.choice(list(members))
    changed = {**members, name: mutated(members[name], random, list(members.values()), tokens)}
    if random.random() < 0.1:
        del changed[random.choice(list(changed))]
    return pack(changed)


def checked_again(content: bytes) -> bytes:
    """Give each block of a tar archive that could be a header the checksum of one."""
    blocks = bytearray(content)
    for place in range(0, len(blocks) - 511, 512):
        block = blocks[place : place + 512]
        if block[257:262] == b"ustar":
            total = sum(block) - sum(block[148:156]) + 8 * 32
            blocks[place + 148 : place + 156] = b"%06o\0 " % total
    return bytes(blocks)


def picture(form: str, size: tuple[int, int] = (16, 12), mode: str = "L", **options: Any) -> bytes:
    image = Image.new(mode, size)
    image.paste(image.getpixel((0, 0)) if mode == "P" else "white", (4, 2, 8, 11))
    image.save(stream := io.BytesIO(), form, **options)
    return stream.getvalue()


def arrays() -> dict[str, np.ndarray]:
    images = np.zeros((4, 8, 8), np.uint8)
    images[:, 2:6, 3:5] = 255
    return {"images": images, "labels": np.array(["あ", "い", "U+3042", "い"]), "writers": np.array([1, 2, 3, 4])}
