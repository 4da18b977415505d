"""Errors are one sentence, with a way out."""

import pytest

from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.errors import MissingExtraError, MissingFileError, UserError, shown, unknown_name


def test_missing_file_is_a_user_error_and_a_file_not_found_error():
    error = MissingFileError("There is no file x.")
    assert isinstance(error, UserError)
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, ValueError)
    assert str(error) == "There is no file x."


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("kmnsit", "'kmnist'"), ("KMNIST", "'kmnist'"), ("k-49", "'k49'"), ("kan", "'kana'"), ("hiragana", "katakana")],
)
def test_unknown_data_set_name_suggests_the_nearest(name, suggestion):
    with pytest.raises(UserError, match=rf"'{name}'.*{suggestion}"):
        load_dataset(name, "test")


def test_name_near_to_none_lists_all():
    assert str(unknown_name("model", "zzz", ["b", "a"])) == "There is no model named 'zzz'; choose one of: a, b."


def test_unknown_split_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'tomoe'.*'train'.*: test"):
        load_dataset("tomoe", "train")


@pytest.mark.parametrize("kind", [UserError, MissingFileError, MissingExtraError])
def test_a_sentence_is_one_line_whatever_names_stand_in_it(kind):
    sentence = str(kind("The file a\nb\r\x1b[2J\u2028\ud800 is damaged; fetch it again."))
    assert len(sentence.splitlines()) == 1 and "\x1b" not in sentence and sentence.encode()
    assert sentence.startswith("The file a") and sentence.endswith("is damaged; fetch it again.")


def test_a_sentence_with_an_endless_name_keeps_its_beginning_and_its_end():
    sentence = str(UserError(f"{'n' * 100_000} is damaged; fetch it again."))
    assert len(sentence) < 2100 and sentence.endswith("fetch it again.")


@pytest.mark.parametrize("value", [16**20_000, -(16**20_000), "x" * 10_000, [[1]] * 10_000], ids=type)
def test_whatever_somebody_wrote_can_be_shown(value):
    assert 0 < len(shown(value)) < 120
