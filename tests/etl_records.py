"""Records of the ETL Character Database, written byte by byte from the published tables.

Positions are those of the format descriptions: bytes (type K: 6-bit characters) counted from 1. Nothing here knows
how the package reads them.
"""

import struct
import zipfile
from pathlib import Path

import numpy as np

SIZES = {
    "M": (64, 63),
    "K": (60, 60),
    "8B": (64, 63),
    "9B": (64, 63),
    "8G": (128, 127),
    "9G": (128, 127),
    "C": (72, 76),
}
LENGTHS = {"M": 2052, "K": 2745, "8B": 512, "9B": 576, "8G": 8199, "9G": 8199}
PIXELS_FROM = {"M": 33, "8B": 9, "9B": 9, "8G": 61, "9G": 65}

_M = {
    "data_number": (1, ">H"),
    "character_code": (3, "2s"),
    "sheet": (5, ">H"),
    "code": (7, "B"),
    "ebcdic_code": (8, "B"),
    "image_quality": (9, "B"),
    "group_quality": (10, "B"),
    "sex": (11, "B"),
    "age": (12, "B"),
    "serial": (13, ">I"),
    "industry": (17, ">H"),
    "occupation": (19, ">H"),
    "gathered": (21, ">H"),
    "scanned": (23, ">H"),
    "position_y": (25, "B"),
    "position_x": (26, "B"),
    "minimum_level": (27, "B"),
    "maximum_level": (28, "B"),
}
_B = {"sheet": (1, ">H"), "code": (3, ">H"), "reading": (5, "4s")}
_G = {
    "sheet": (1, ">H"),
    "code": (3, ">H"),
    "reading": (5, "8s"),
    "serial": (13, ">I"),
    "image_quality": (17, "B"),
    "group_quality": (18, "B"),
    "sex": (19, "B"),
    "age": (20, "B"),
    "industry": (21, ">H"),
    "occupation": (23, ">H"),
    "gathered": (25, ">H"),
    "scanned": (27, ">H"),
    "position_x": (29, "B"),
    "position_y": (30, "B"),
}
FIELDS = {"M": _M, "8B": _B, "9B": _B, "8G": _G, "9G": _G}
T56 = "0123456789[#@:>? ABCDEFGHI&.](<  JKLMNOPQR-$*);'|/STUVWXYZ ,%=\"!"


def record(kind: str, levels: np.ndarray, **values: int | bytes) -> bytes:
    """Return a record of type M, 8B, 9B, 8G or 9G: pixel levels `[height, width]` (ink high) and field values."""
    content = bytearray(LENGTHS[kind])
    for name, value in values.items():
        position, form = FIELDS[kind][name]
        struct.pack_into(form, content, position - 1, value)
    bits = "01b" if kind in ("8B", "9B") else "04b"
    assert levels.shape == SIZES[kind][::-1]
    packed = _pack("".join(format(level, bits) for level in levels.ravel().tolist()))
    first = PIXELS_FROM[kind] - 1
    content[first : first + len(packed)] = packed
    return bytes(content)


def printed_record(
    levels: np.ndarray, code: tuple[int, int], serial: int = 1, style: str = "A", contents: str = "KANJI "
) -> bytes:
    """Return a record of type K: 3,660 characters of 6 bits."""
    characters = [0] * 60
    characters[0:6] = [serial >> shift & 63 for shift in (30, 24, 18, 12, 6, 0)]
    characters[6] = T56.index(style)
    characters[7:12] = [T56.index(" ")] * 5
    characters[12:18] = [T56.index(letter) for letter in contents]
    characters[18:24] = [T56.index(letter) for letter in "MINCHO"]
    characters[28:30] = code
    return _pack("".join(format(value, "06b") for value in [*characters, *levels.ravel().tolist()]))


# Type C: the number of each field among the words of 36 bits, counted from 1.
WORDS = {
    "data_number": 1,
    "sheet": 2,
    "code": 3,
    "ebcdic_code": 4,
    "image_quality": 6,
    "group_quality": 7,
    "position_y": 8,
    "position_x": 9,
    "sex": 10,
    "age": 11,
    "industry": 12,
    "occupation": 13,
    "gathered": 14,
    "scanned": 15,
    "points_across": 16,
    "points_down": 17,
    "levels": 18,
}


def word_record(levels: np.ndarray, **values: int) -> bytes:
    """Return a record of type C: 48 words of 36 bits, two of which have an 8-bit code in front, then the pixels."""
    words = [0] * 48
    for name, value in ({"points_across": 72, "points_down": 76, "levels": 16} | values).items():
        words[WORDS[name] - 1] = value << 28 if name in ("code", "ebcdic_code") else value
    assert levels.shape == (76, 72)
    return _pack(
        "".join(format(word, "036b") for word in words) + "".join(format(v, "04b") for v in levels.ravel().tolist())
    )


def _pack(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def levels_of(image: np.ndarray, kind: str) -> np.ndarray:
    """Return the pixel levels of a drawn image (uint8, ink 255): cut to the type's size, in its number of levels."""
    width, height = SIZES[kind]
    highest = {"M": 15, "K": 63, "8B": 1, "9B": 1, "8G": 15, "9G": 15, "C": 15}[kind]
    canvas = np.zeros((height, width), int)
    part = image[:height, :width]
    canvas[: part.shape[0], : part.shape[1]] = part
    return (canvas * highest + 127) // 255


def write_folder(folder: Path, files: dict[str, list[bytes]]) -> Path:
    """Write files of records into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in files.items():
        (folder / name).write_bytes(b"".join(records))
    return folder


def write_zip(path: Path, files: dict[str, list[bytes]]) -> Path:
    """Write files of records into a zip archive, in a folder of the archive's name, with the text file beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}/{path.stem}INFO", "(F,8199,8199,G-type)")
        for name, records in files.items():
            archive.writestr(f"{path.stem}/{name}", b"".join(records))
    return path
