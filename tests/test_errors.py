"""Errors are one sentence, with a way out."""

import pytest

from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.errors import MissingFileError, UserError, unknown_name


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
