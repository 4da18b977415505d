"""Hiragana, katakana, kanji: which script a character belongs to, and which characters look like other ones."""

from kuzushiji_tf.errors import unknown_name

ALL = "all"
OTHER = "other"  # digits, letters and marks: whatever is in none of SCRIPTS
# First and last code points. By Unicode's script property, without circled, squared and half-width compatibility
# signs: all voiced and small kana, the iteration marks and ligatures, and the historical forms (hentaigana).
HIRAGANA = ((0x3041, 0x3096), (0x309D, 0x309F), (0x1B001, 0x1B11F), (0x1B132, 0x1B132), (0x1B150, 0x1B152))
KATAKANA = (
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),  # with the long vowel mark, which Unicode shares between the scripts
    (0x31F0, 0x31FF),
    (0x1B000, 0x1B000),
    (0x1B120, 0x1B122),
    (0x1B155, 0x1B155),
    (0x1B164, 0x1B167),
)
# The ideographs 々, 〇 and 〻, the blocks of unified and of compatibility ideographs, and the two planes of extensions.
KANJI = (
    (0x3005, 0x3005),
    (0x3007, 0x3007),
    (0x303B, 0x303B),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
SCRIPTS = {"hiragana": HIRAGANA, "katakana": KATAKANA, "kanji": KANJI}
CHOICES = (ALL, *SCRIPTS, OTHER)  # of whoever says which characters to expect
# For which scores are given apart.
KINDS = {"kana": ("hiragana", "katakana"), **{script: (script,) for script in SCRIPTS}}

# Groups of characters, of different scripts, that people write with the same strokes in the same places, so that one
# alone, without its neighbors in a text, cannot be told from the others. Alike in their large forms only; small kana
# are folded first. Not here: what differs by a stroke, its direction or its slant (か/カ, や/ヤ, ミ/三, ホ/木, セ/七).
LOOK_ALIKES = (
    *("へヘ", "べベ", "ぺペ", "りリ"),
    *("カ力", "ロ口囗", "ニ二", "エ工", "タ夕", "ト卜", "ハ八", "チ千", "オ才"),
    *("ヌ又", "ヒ匕", "ム厶", "メ乂", "ノ丿", "ヨ彐", "ヽ丶、", "ー一"),
    *("イ亻", "ネ礻", "〇0O。", "1I丨"),
)
_FIRST_ALIKE = {character: group[0] for group in LOOK_ALIKES for character in group}

_SMALL_TO_LARGE = str.maketrans(
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ"
    "\U0001b132\U0001b150\U0001b151\U0001b152\U0001b155\U0001b164\U0001b165\U0001b166\U0001b167",
    "あいうえおつやゆよわかけアイウエオツヤユヨワカケクシストヌハヒフヘホムラリルレロこゐゑをコヰヱヲン",
)

# Variants: characters that are drawn as others are, and the form that tells them apart. Small kana and marks are small
# and lie in a corner; a line is ー or 一 by its neighbors alone. What people write today: not ゕ, nor Ainu's kana.
SMALL, MARK, LINE = "small", "mark", "line"
VARIANTS = {
    **dict.fromkeys("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ", SMALL),
    **dict.fromkeys("、。", MARK),
    "ー": LINE,
}


def in_script(character: str, script: str) -> bool:
    """Return whether a character (a combining mark may follow it) belongs to a script: `all` has every character.

    `other` has those of no script.

    Raises:
        UserError: there is no such script; the sentence names the nearest.
    """
    check_script(script)
    return script in (ALL, script_of(character))


def script_of(character: str) -> str:
    """Return the script of a character (a combining mark may follow it): a name of `SCRIPTS`, or `other`."""
    code_point = ord(character[0])
    for script, blocks in SCRIPTS.items():
        if any(first <= code_point <= last for first, last in blocks):
            return script
    return OTHER


def check_script(script: str) -> None:
    """Refuse what is neither `all`, the name of a script nor `other`.

    Raises:
        UserError: there is no such script; the sentence names the nearest.
    """
    if script not in CHOICES:
        raise unknown_name("script", str(script), CHOICES)


def fold_small(character: str) -> str:
    """Return the large form of a small kana (っ -> つ), any other character as it is.

    A drawing scaled to its own box has lost the size that tells the two apart.
    """
    return character.translate(_SMALL_TO_LARGE)


def look_alike(character: str) -> str:
    """Return the character that stands for all that look like this one: the first of its group, or itself."""
    return _FIRST_ALIKE.get(character, character)
