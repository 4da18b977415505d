"""Words: strokes side by side or one below the other are cut and read, small kana and ー too."""

from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import MOST_STROKES, Strokes, as_strokes
from kuzushiji_tf.recognition.recognizer import Recognizer
from kuzushiji_tf.recognition.words import MOST_CHARACTERS, Line, lines_of

BOX = 100


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.pretrained("touch-joyo")


def written(word: str, axis: int = 0, pitch: float = 1.05) -> Strokes:
    """Return a word as KanjiVG writes its characters, each in a box of its own."""
    strokes = []
    for place, character in enumerate(word):
        offset = np.zeros(2, np.float32)
        offset[axis] = place * pitch
        strokes += [BOX * (stroke + offset) for stroke in load_strokes([character])[character]]
    return strokes


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("word", ["明日", "図書館", "言う", "林", "ひらがな", "二人", "電話番号"])
def test_a_word_is_cut_and_read_in_both_directions(recognizer, word, axis):
    text = recognizer.recognize_text(written(word, axis))[0]
    assert text.text == word
    ends = [segment.strokes.stop for segment in text.segments]
    assert ends == np.cumsum([len(written(character)) for character in word]).tolist()
    assert [segment.candidates[0].character for segment in text.segments] == list(word)


@pytest.mark.parametrize("word", ["がっこう", "ちょっと", "コーヒー", "ニュース", "人々", "テレビ"])
def test_small_kana_and_long_vowels_are_told_by_size_place_and_neighbors(recognizer, word):
    assert recognizer.recognize_text(written(word))[0].text == word


@pytest.mark.parametrize("word", ["工場", "エコー", "口紅", "ロック", "夕日", "力士"])
def test_kanji_and_katakana_that_look_alike_are_told_by_their_neighbors(recognizer, word):
    assert word in [text.text for text in recognizer.recognize_text(written(word), top_k=2)]


def test_a_single_character_is_read_as_read_reads_it(recognizer):
    strokes = [stroke * 0.35 + (5, 60) for stroke in written("つ")]
    for canvas, expected in ((None, "つ"), ((BOX, BOX), "っ")):
        assert recognizer.recognize_text(strokes, canvas=canvas)[0].text == expected
        assert recognizer.recognize(strokes=strokes, canvas=canvas)[0].character == expected


def test_the_unit_and_the_place_of_a_line_do_not_matter(recognizer):
    strokes = written("明日")
    moved = [(stroke * 7 - 900).tolist() for stroke in strokes]
    assert recognizer.recognize_text(moved)[0].text == recognizer.recognize_text(strokes)[0].text == "明日"


def test_alternatives_differ_and_the_best_comes_first(recognizer):
    texts = recognizer.recognize_text(written("夕日"), top_k=5)
    assert len({text.text for text in texts}) == len(texts) == 5
    assert [text.score for text in texts] == sorted((text.score for text in texts), reverse=True)


def test_a_script_may_be_asked_for(recognizer):
    assert recognizer.recognize_text(written("タカ"), script="kanji")[0].text == "夕力"


def test_nothing_is_cut_where_ink_overlaps_and_every_stroke_belongs_to_a_piece():
    line = Line(as_strokes(written("川の")), 0)
    pieces = line.pieces()
    assert {piece.strokes for piece in pieces} >= {range(3), range(3, 4)}
    crossed = Line(as_strokes([[[0, 0], [10, 10]], [[10, 0], [0, 10]], [[20, 0], [30, 10]]]), 0)
    assert all(piece.strokes.start != 1 and piece.strokes.stop != 1 for piece in crossed.pieces())


def test_what_is_clearly_longer_one_way_runs_that_way():
    assert [line.axis for line in lines_of(as_strokes(written("日本")))] == [0]
    assert [line.axis for line in lines_of(as_strokes(written("日本", axis=1)))] == [1]
    assert [line.axis for line in lines_of(as_strokes(written("田")))] == [0, 1]


@pytest.mark.parametrize(
    ("strokes", "named", "fault"),
    [
        ([], {}, "no point"),
        ([[[0, 0]]] * (MOST_STROKES * MOST_CHARACTERS + 1), {}, "at most 8 characters"),
        ([[[0, 0]]], {"top_k": 0}, "top_k is 0"),
        ([[[0, 0]]], {"canvas": (0, 1)}, "canvas"),
        ([[[0, 0]]], {"script": "latin"}, "script"),
    ],
)
def test_what_cannot_be_a_line_is_refused_in_one_sentence(recognizer, strokes, named, fault):
    with pytest.raises(UserError, match=fault):
        recognizer.recognize_text(strokes, **named)


def test_a_line_of_many_scattered_strokes_is_read_quickly(recognizer):
    """The pieces grow with the square of the cuts at worst; the length of a character bounds them."""
    scattered = [[[30 * number, 0], [30 * number + 10, 100]] for number in range(60)]
    assert len(Line(as_strokes(scattered), 0).pieces()) < 6 * 60
    assert recognizer.recognize_text(scattered)


def test_the_benchmark_words_can_all_be_written():
    words = Path("benchmarks/words.txt").read_text(encoding="utf-8").split()
    assert len(words) == len(set(words)) >= 200 and all(2 <= len(word) <= 4 for word in words)
