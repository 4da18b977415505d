"""The character codes of the ETL Character Database, as tables from code to character.

Each table is an array of strings of one character, indexed by the code. Two values are no characters: `UNDEFINED`, for
codes that the standard does not have, and `NO_CHARACTER`, for codes that the records use for a shape without one.
"""

import unicodedata
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

UNDEFINED = ""
NO_CHARACTER = "\ufffd"
CO59_FILE = files("kuzushiji_tf.datasets") / "tables" / "etl_co59.txt"

# What half-width forms stand for in these records. JIS X 0201 has no ヰ and ヱ: ETL1 writes them with the codes of the
# small ィ and ェ, which it does not use otherwise. NFKC would make the voicing marks combining ones.
_STAND_INS = {"ｨ": "ヰ", "ｪ": "ヱ", "ﾞ": "゛", "ﾟ": "゜"}
# Symbols outside JIS X 0201 (ETL6) have code 0. One of ETL1's symbols has that of the space; which, is not published.
_SHAPES_WITHOUT_CODE = (0x00, 0x20)


@cache
def jis_x_0201() -> np.ndarray:
    """Return JIS X 0201 as the M-type records use it: `U1` `[256]`, katakana in full width.

    0x5C is the yen sign and 0x7E the overline, as in the standard and unlike in ASCII.
    """
    table = np.full(256, UNDEFINED, "U1")
    for code in (*range(0x21, 0x7F), *range(0xA1, 0xE0)):
        # Unlike shift_jis, this codec has JIS X 0201's own two differences from ASCII.
        character = bytes([code]).decode("shift_jisx0213")
        if code > 0x7F:
            character = _STAND_INS.get(character) or unicodedata.normalize("NFKC", character)
        table[code] = character
    table[list(_SHAPES_WITHOUT_CODE)] = NO_CHARACTER
    return table


@cache
def jis_x_0201_hiragana() -> np.ndarray:
    """Return JIS X 0201 as ETL7 uses it: its images are hiragana, coded as katakana."""
    characters = jis_x_0201()
    return np.array([_as_hiragana(str(character)) for character in characters], "U1")


@cache
def jis_x_0208() -> np.ndarray:
    """Return JIS X 0208: `U1` `[65536]`, indexed by the two bytes (0x2121 to 0x7E7E), as `iso2022_jp` maps it.

    That is, the wave dash 0x2141 is U+301C, the double bar 0x2142 U+2016, the minus 0x215D U+2212, and ¢, £ and ¬ are
    U+00A2, U+00A3 and U+00AC; Windows (cp932) has U+FF5E, U+2225, U+FF0D, U+FFE0, U+FFE1 and U+FFE2 in their places.
    The backslash 0x2140 is the full-width one, U+FF3C (Unicode's old table JIS0208.TXT has U+005C).
    """
    table = np.full(0x10000, UNDEFINED, "U1")
    for row in range(0x21, 0x7F):
        for cell in range(0x21, 0x7F):
            coded = b"\x1b$B" + bytes([row, cell]) + b"\x1b(B"
            table[row << 8 | cell] = coded.decode("iso2022_jp", errors="ignore")
    return table


@cache
def co59() -> np.ndarray:
    """Return CO-59: `U1` `[4096]`, indexed by the first 6-bit number times 64 plus the second."""
    lines = CO59_FILE.read_text(encoding="utf-8").splitlines()
    rows = np.array([list(line) for line in lines if not line.startswith("#")])
    numbers = np.array([*range(4, 28), *range(36, 60)])
    table = np.full(4096, UNDEFINED, "U1")
    table[numbers[None, :] * 64 + numbers[:, None]] = np.where(rows == "▲", NO_CHARACTER, rows)
    return table


def character_kind(character: str) -> Literal["hiragana", "katakana", "kanji", "other"]:
    """Return which script a character is of; voicing marks alone, ・ and ー, digits, Latin and symbols are `other`."""
    name = unicodedata.name(character, "")
    if name.startswith("HIRAGANA LETTER"):
        return "hiragana"
    if name.startswith("KATAKANA LETTER"):
        return "katakana"
    return "kanji" if name.startswith("CJK UNIFIED IDEOGRAPH") or character == "々" else "other"


def _as_hiragana(character: str) -> str:
    return chr(ord(character) - 0x60) if character and character_kind(character) == "katakana" else character
