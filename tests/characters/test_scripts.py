import unicodedata

import pytest

from kuzushiji_tf.characters.scripts import (
    CHOICES,
    LOOK_ALIKES,
    SCRIPTS,
    VARIANTS,
    check_script,
    fold_small,
    in_script,
    look_alike,
    script_of,
)
from kuzushiji_tf.errors import UserError


@pytest.mark.parametrize(
    ("script", "characters"),
    [("hiragana", "あんがぱっゝゟ𛀁"), ("katakana", "アンガパッーヽㇰ"), ("kanji", "一々〇亜鬱𠮟﨑")],
)
def test_each_script_has_its_own_characters_and_all_has_every_one(script, characters):
    for character in characters:
        assert [name for name in SCRIPTS if in_script(character, name)] == [script]
        assert in_script(character, "all")


def test_digits_letters_and_marks_belong_to_no_script_and_can_be_asked_for_as_other():
    for character in "A1、。\ufffd 😀":
        assert [choice for choice in CHOICES if in_script(character, choice)] == ["all", "other"]
        assert script_of(character) not in SCRIPTS


def test_a_combining_mark_may_follow():
    assert in_script("か\u309a", "hiragana") and not in_script("か\u309a", "katakana")


def test_an_unknown_script_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"'hirigana'.*'hiragana'"):
        check_script("hirigana")
    with pytest.raises(UserError, match="all, hiragana, kanji, katakana"):
        in_script("あ", None)


def test_every_small_kana_has_its_large_form():
    small = 0
    for code_point in [*range(0x3040, 0x3400), *range(0x1B000, 0x1B170)]:
        name = unicodedata.name(chr(code_point), "")
        if " LETTER SMALL " in name:
            small += 1
            assert unicodedata.name(fold_small(chr(code_point))) == name.replace(" SMALL", "")
        elif name:  # older tables of Unicode lack the names of a few small kana
            assert fold_small(chr(code_point)) == chr(code_point)
    assert small > 40
    assert fold_small("日") == "日" and fold_small("ゕ\u3099") == "か\u3099"


def test_look_alikes_are_of_different_scripts_and_in_one_group_only():
    everyone = "".join(LOOK_ALIKES)
    assert len(set(everyone)) == len(everyone)
    for group in LOOK_ALIKES:
        scripts = {script_of(character) for character in group}
        assert len(group) >= 2 and len(scripts) >= 2, group
        assert {look_alike(character) for character in group} == {group[0]}
        assert all(fold_small(character) == character for character in group)
    for group in ("へヘ", "べベ", "ぺペ", "りリ", "カ力", "ロ口", "ニ二", "エ工", "タ夕", "ト卜", "ハ八", "ー一"):
        assert look_alike(group[0]) == look_alike(group[1])


def test_what_has_no_look_alike_stands_for_itself():
    for character in "あア亜ミ三":
        assert look_alike(character) == character


def test_a_shape_has_at_most_one_variant_which_is_small_or_looks_like_another():
    shapes = [look_alike(fold_small(variant)) for variant in VARIANTS]
    assert len(set(shapes)) == len(shapes)
    for variant, form in VARIANTS.items():
        others = {fold_small(variant), *next((group for group in LOOK_ALIKES if variant in group), "")} - {variant}
        assert others and (fold_small(variant) != variant) == (form == "small")
    assert {VARIANTS[variant] for variant in "っッヶょ"} == {"small"} and VARIANTS["。"] == VARIANTS["、"] == "mark"
