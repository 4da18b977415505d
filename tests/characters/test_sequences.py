"""What follows what: small kana behind the large ones that they belong to, ー behind kana."""

import pytest

from kuzushiji_tf.characters.sequences import loss_behind


@pytest.mark.parametrize("word", ["きょ", "シャ", "がっ", "フェ", "ラー", "すー", "日本", "食べ"])
def test_what_words_have_costs_nothing(word):
    assert loss_behind(*word) <= 0


@pytest.mark.parametrize(
    ("usual", "unusual"), [("きょ", "きよ"), ("フェ", "フエ"), ("日一", "日ー"), ("かよ", "かょ"), ("カー", "カ一")]
)
def test_a_place_tells_small_from_large_and_a_long_vowel_from_a_one(usual, unusual):
    assert loss_behind(*usual) < loss_behind(*unusual)


def test_no_word_begins_with_a_small_kana():
    assert loss_behind("", "っ") > loss_behind("", "つ") == 0
