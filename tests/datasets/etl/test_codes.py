"""The codes of the ETL records: every cell against a derivation of its own."""

import unicodedata

import numpy as np
import pytest

from kuzushiji_tf.datasets.etl.codes import (
    NO_CHARACTER,
    UNDEFINED,
    character_kind,
    co59,
    jis_x_0201,
    jis_x_0201_hiragana,
    jis_x_0208,
)

CELLS = [(row, cell) for row in range(1, 95) for cell in range(1, 95)]


def decoded(content: bytes, codec: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError:
        return UNDEFINED


def shifted(row: int, cell: int) -> bytes:
    """Return the Shift JIS bytes of a cell by the arithmetic of JIS X 0208's annex 1."""
    first = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
    second = cell + (0x9E if row % 2 == 0 else 0x3F if cell <= 63 else 0x40)
    return bytes([first, second])


def test_every_cell_of_jis_x_0208_agrees_with_euc_jp_and_with_shift_jis_by_arithmetic():
    table = jis_x_0208()
    ours = [table[(row + 0x20) << 8 | cell + 0x20] for row, cell in CELLS]
    assert ours == [decoded(bytes([row + 0xA0, cell + 0xA0]), "euc_jp") for row, cell in CELLS]
    assert ours == [decoded(shifted(row, cell), "shift_jis") for row, cell in CELLS]


def test_jis_x_0208_has_its_6879_characters_and_no_others():
    table = jis_x_0208()
    filled = table != UNDEFINED
    assert filled.sum() == 6879 == len(np.unique(table[filled]))
    kinds = [character_kind(str(character)) for character in table[filled]]
    assert kinds.count("kanji") == 2965 + 3390 + 2  # both levels, and 仝 and 々 among the symbols
    assert (kinds.count("hiragana"), kinds.count("katakana")) == (83, 86)
    assert not filled[: 0x21 << 8].any() and not filled[0x7F << 8 :].any()


def test_the_rows_that_count_up_do():
    table = jis_x_0208()
    for row, first, count, character in ((3, 16, 10, "０"), (3, 33, 26, "Ａ"), (4, 1, 83, "ぁ"), (5, 1, 86, "ァ")):
        start = (row + 0x20) << 8 | first + 0x20
        assert "".join(table[start : start + count]) == "".join(chr(ord(character) + step) for step in range(count))
    assert table[0x3021] == "亜" and table[0x2422] == "あ" and table[0x303D] == "綾"  # as on the database's site


def test_only_the_six_known_cells_differ_from_windows():
    table = jis_x_0208()
    different = {
        (row + 0x20) << 8 | cell + 0x20: decoded(shifted(row, cell), "cp932")
        for row, cell in CELLS
        if table[(row + 0x20) << 8 | cell + 0x20] not in (UNDEFINED, decoded(shifted(row, cell), "cp932"))
    }
    assert different == {0x2141: "～", 0x2142: "∥", 0x215D: "－", 0x2171: "￠", 0x2172: "￡", 0x224C: "￢"}
    assert [table[code] for code in different] == ["〜", "‖", "−", "¢", "£", "¬"]


def test_jis_x_0201_is_ascii_with_yen_and_overline_and_full_width_katakana():
    table = jis_x_0201()
    for code in range(256):
        if 0x21 <= code <= 0x7E:
            assert table[code] == (b"\x1b(J" + bytes([code])).decode("iso2022_jp")
        elif 0xA1 <= code <= 0xDF and code not in (0xA8, 0xAA, 0xDE, 0xDF):
            assert table[code] == unicodedata.normalize("NFKC", chr(0xFF61 + code - 0xA1))
        elif code not in (0x00, 0x20, 0xA8, 0xAA, 0xDE, 0xDF):
            assert table[code] == UNDEFINED
    assert (table[0x5C], table[0x7E]) == ("¥", "‾")
    assert table[0] == table[0x20] == NO_CHARACTER
    assert not any("\uff61" <= character <= "\uff9f" for character in table)


def test_etl1_codes_wi_and_we_as_small_kana_and_voicing_marks_stand_alone():
    assert "".join(jis_x_0201()[[0xA8, 0xAA, 0xA6, 0xDE, 0xDF]]) == "ヰヱヲ゛゜"


def test_etl7_codes_hiragana_as_katakana():
    order = [*range(0xB1, 0xDD), 0xA6, 0xDD, 0xDE, 0xDF]
    expected = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん゛゜"
    assert "".join(jis_x_0201_hiragana()[order]) == expected


def test_co59_has_a_character_once_at_most():
    table = co59()
    filled = table[(table != UNDEFINED) & (table != NO_CHARACTER)]
    assert len(filled) == 2180 == len(set(filled.tolist()))
    numbers = {*range(4, 28), *range(36, 60)}
    assert {(code >> 6, code & 63) for code in np.flatnonzero(table != UNDEFINED)} == {
        (first, second) for first in numbers for second in numbers
    }


@pytest.mark.parametrize(
    ("code", "character"),
    [
        *(((4, 4), "上"), ((5, 12), "あ"), ((9, 12), "い"), ((19, 15), "ん"), ((37, 12), "ア"), ((59, 59), "亀")),
        # Three of the cells that the published table has wrong, each with the one it repeats.
        *(((6, 18), "減"), ((4, 39), "滅"), ((16, 27), "輸"), ((7, 55), "輪"), ((40, 14), "季"), ((44, 49), "李")),
    ],
)
def test_co59_cells(code, character):
    assert co59()[code[0] * 64 + code[1]] == character


def test_co59_has_all_plain_and_voiced_kana_of_both_scripts_but_the_obsolete_ones():
    kana = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
    kana += "がぎぐげござじずぜぞだぢづでどばびぶべぼぱぴぷぺぽ"
    assert set(kana) | {chr(ord(character) + 0x60) for character in kana} <= set(co59().tolist())


@pytest.mark.parametrize(
    ("characters", "kind"),
    [("あをんゎゐ", "hiragana"), ("アヲンヶヰ", "katakana"), ("亜腕熙々", "kanji"), ("゛ー・0A。¥〇", "other")],
)
def test_scripts_are_told_apart(characters, kind):
    assert {character_kind(character) for character in characters} == {kind}
