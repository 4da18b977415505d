"""The record formats of the ETL Character Database: the fields as published, and packed pixels to images.

Source: the format descriptions on the database's site, form_m, form_k, form_c, form_e8b, form_e8g, form_e9b and
form_e9g (etlcdb.db.aist.go.jp/etlcdb/etln/). All integers are big-endian, and the first of several pixels in a byte
stands in its highest bits. In every type a high value is ink.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

_INTEGER = ">u2"
_SAMPLE = [
    ("image_quality", "u1"),
    ("group_quality", "u1"),
    ("sex", "u1"),
    ("age", "u1"),
]
_SHEET = [
    ("industry", _INTEGER),
    ("occupation", _INTEGER),
    ("gathered", _INTEGER),
    ("scanned", _INTEGER),
]


@dataclass(frozen=True)
class RecordFormat:
    """One type of record.

    Attributes:
        fields: the record's layout; `pixels` are the packed ones.
        bits: of one pixel: 1, 4 or 6.
        height: rows of the image.
        width: pixels of a row.
    """

    fields: np.dtype
    bits: int
    height: int
    width: int

    def images(self, records: np.ndarray) -> np.ndarray:
        """Return the images of records (`[n]` of type `fields`): uint8 `[n, height, width]`, ink 255 on 0."""
        levels = _UNPACK[self.bits](records["pixels"])
        return _SCALE[self.bits][levels].reshape(len(records), self.height, self.width)


def _type_m() -> np.dtype:
    """ETL1, ETL6 and ETL7: 2,052 bytes."""
    return np.dtype(
        [
            ("data_number", _INTEGER),
            ("character_code", "S2"),
            ("sheet", _INTEGER),
            ("code", "u1"),
            ("ebcdic_code", "u1"),
            *_SAMPLE,
            ("serial", ">u4"),
            *_SHEET,
            ("position_y", "u1"),
            ("position_x", "u1"),
            ("minimum_level", "u1"),
            ("maximum_level", "u1"),
            ("undefined", "V4"),
            ("pixels", "u1", 2016),
            ("uncertain", "V4"),
        ]
    )


def _type_g(undefined: int, uncertain: int) -> np.dtype:
    """ETL8G and ETL9G: 8,199 bytes; the two have the pixels 4 bytes apart."""
    return np.dtype(
        [
            ("sheet", _INTEGER),
            ("code", _INTEGER),
            ("reading", "S8"),
            ("serial", ">u4"),
            *_SAMPLE,
            *_SHEET,
            ("position_x", "u1"),
            ("position_y", "u1"),
            ("undefined", f"V{undefined}"),
            ("pixels", "u1", 8128),
            ("uncertain", f"V{uncertain}"),
        ]
    )


def _type_b(uncertain: int) -> np.dtype:
    """ETL8B (512 bytes) and ETL9B (576)."""
    return np.dtype(
        [
            ("sheet", _INTEGER),
            ("code", _INTEGER),
            ("reading", "S4"),
            ("pixels", "u1", 504),
            ("uncertain", f"V{uncertain}"),
        ]
    )


# ETL2: 3,660 characters of 6 bits, the first 60 of them the header.
_TYPE_K = np.dtype([("header", "u1", 45), ("pixels", "u1", 2700)])

# ETL3, ETL4 and ETL5: 2,952 bytes. The header is 48 words of 36 bits. The JIS code is the first 8 bits of the third.
_TYPE_C = np.dtype(
    {
        "names": ["header", "code", "pixels"],
        "formats": [("u1", 216), "u1", ("u1", 2736)],
        "offsets": [0, 9, 216],
        "itemsize": 2952,
    }
)

M_TYPE = RecordFormat(_type_m(), 4, 63, 64)
K_TYPE = RecordFormat(_TYPE_K, 6, 60, 60)
C_TYPE = RecordFormat(_TYPE_C, 4, 76, 72)
B_TYPE_8 = RecordFormat(_type_b(0), 1, 63, 64)
B_TYPE_9 = RecordFormat(_type_b(64), 1, 63, 64)
G_TYPE_8 = RecordFormat(_type_g(30, 11), 4, 127, 128)
G_TYPE_9 = RecordFormat(_type_g(34, 7), 4, 127, 128)


def six_bit_characters(packed: np.ndarray) -> np.ndarray:
    """Return uint8 `[n, 4 * m]` of 6-bit values from uint8 `[n, 3 * m]`."""
    first, second, third = (packed[:, offset::3] for offset in range(3))
    parts = (first >> 2, (first & 3) << 4 | second >> 4, (second & 15) << 2 | third >> 6, third & 63)
    return np.stack(parts, axis=2).reshape(len(packed), 4 * first.shape[1])


def words_of_36_bits(packed: np.ndarray) -> np.ndarray:
    """Return int64 `[n, 2 * m]` of 36-bit numbers from uint8 `[n, 9 * m]`."""
    characters = six_bit_characters(packed).astype(np.int64).reshape(len(packed), -1, 6)
    return characters @ (1 << np.arange(30, -1, -6))


def _four_bit_values(packed: np.ndarray) -> np.ndarray:
    return np.stack((packed >> 4, packed & 15), axis=2).reshape(len(packed), 2 * packed.shape[1])


_UNPACK = {1: lambda packed: np.unpackbits(packed, axis=1), 4: _four_bit_values, 6: six_bit_characters}
_SCALE = {bits: np.rint(np.linspace(0, 255, 1 << bits)).astype(np.uint8) for bits in _UNPACK}


def to_squares(images: np.ndarray, size: int) -> np.ndarray:
    """Return images (uint8 `[n, h, w]`) as uint8 `[n, size, size]`, as `CharacterDataset.resized` would scale them.

    They are made square first, by black rows below or columns to the right, so that no shape is stretched.
    """
    count, height, width = images.shape
    if not count:
        return np.zeros((0, size, size), np.uint8)
    side = max(height, width)
    images = np.pad(images, ((0, 0), (0, side - height), (0, side - width)))
    if side == size:
        return images
    # One call for all: as a tall picture of which only the width changes, then as a wide one of which only the height
    # does, no image touches another. Pillow, too, goes over the width first, and rounds in between.
    tall = Image.fromarray(images.reshape(count * side, side)).resize((size, count * side), Image.Resampling.LANCZOS)
    rows = np.asarray(tall).reshape(count, side, size).transpose(1, 0, 2).reshape(side, count * size)
    wide = Image.fromarray(rows).resize((count * size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(wide).reshape(size, count, size).transpose(1, 0, 2))
