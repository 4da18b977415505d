"""Which characters seldom follow which: what tells small kana from large ones, and ー from 一, in a word."""

from kuzushiji_tf.characters.scripts import fold_small, script_of

# Losses of a logarithm of probability. What a change of script costs; any other costs nothing.
CHANGES = {
    ("hiragana", "katakana"): 2.0,
    ("katakana", "hiragana"): 1.0,
    ("katakana", "kanji"): 1.5,
    ("kanji", "katakana"): 1.5,
}
MISPLACED = 3.0  # of a small kana that does not belong behind what stands before it, or is hardly used
LARGE = 1.0  # of a large kana where a small one is usual
LONG_VOWEL, AT_HOME = "ー", 1.5  # which gains that behind katakana

_GLIDES, _BEFORE_GLIDES = "ゃゅょャュョ", "きしちにひみりぎじびぴキシチニヒミリギジビピ"
_VOWELS, _BEFORE_VOWELS, _SELDOM_BEFORE_LARGE = "ァィゥェォ", "フヴウテデトドシジチツキクグイ", "フヴテデ"
_HARDLY_USED = "ぁぃぅぇぉゎヮヵ"
_USUALLY_SMALL = {
    **dict.fromkeys(_BEFORE_GLIDES, "やゆよヤユヨ"),
    **dict.fromkeys(_SELDOM_BEFORE_LARGE, "アイウエオ"),
}


def loss_behind(first: str, second: str) -> float:
    """Return how much less likely a character is behind another, as a loss of the logarithm of its probability.

    Args:
        first: what stands before it; empty at the beginning of a word.
        second: the character.
    """
    if second in _HARDLY_USED:
        return MISPLACED
    if second != fold_small(second):
        places = _BEFORE_GLIDES if second in _GLIDES else _BEFORE_VOWELS if second in _VOWELS else first
        return 0.0 if first and first in places else MISPLACED
    if second == LONG_VOWEL:
        return {"katakana": -AT_HOME, "hiragana": 0.0}.get(script_of(first) if first else "", MISPLACED)
    if not first:
        return 0.0
    change = CHANGES.get((script_of(first), script_of(second)), 0.0)
    return change + LARGE * (second in _USUALLY_SMALL.get(first, ""))
