"""What holds for any value: hypothesis makes them, the same ones in every run."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kuzushiji_tf.characters.labels import Labels, from_code_point, parse_character, to_code_point
from kuzushiji_tf.config import TrainingConfig, config_from_dict
from kuzushiji_tf.errors import UserError, shown
from kuzushiji_tf.files import parse_json
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.ink.strokes import FARTHEST, MOST_LENGTH, as_strokes, prepare
from kuzushiji_tf.recognition.cards import is_card

settings.register_profile("same", derandomize=True, database=None, deadline=None, max_examples=100)
settings.load_profile("same")

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(2**63), 2**64, 1e308, True]))
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=5)),
    max_leaves=20,
)
COORDINATES = st.floats(-FARTHEST, FARTHEST)
POINTS = st.one_of(st.lists(COORDINATES, min_size=2, max_size=2), st.tuples(COORDINATES, COORDINATES, NUMBERS))
SETTINGS = sorted(TrainingConfig().to_dict())
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))


@given(VALUES)
def test_any_value_is_strokes_or_one_sentence(value):
    try:
        strokes = as_strokes(value)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(stroke.dtype == np.float32 and np.isfinite(stroke).all() for stroke in strokes)


@given(st.lists(st.lists(POINTS, max_size=6), max_size=4))
def test_whatever_is_taken_as_strokes_is_drawn_inside_the_image(value):
    try:
        prepared = prepare(value)
    except UserError:
        return
    assert all(np.abs(stroke).max() <= 0.51 for stroke in prepared)
    assert sum(map(len, prepared)) < 65 * MOST_LENGTH
    assert draw_ink(value, 16).max() > 0


@given(st.text(max_size=20))
def test_any_text_is_a_class_or_none_and_a_class_stays_itself(text):
    character = parse_character(text)
    if character is not None:
        assert parse_character(character) == character or len(character) > 1
        assert from_code_point(to_code_point(character)) == character
        assert tuple(Labels((character,))) == (character,)


@given(st.lists(CHARACTERS, unique=True, min_size=1, max_size=20))
def test_classes_come_back_from_both_files_as_they_were(tmp_path_factory, characters):
    folder, classes = tmp_path_factory.mktemp("labels"), Labels(tuple(characters))
    classes.write(folder / "labels.txt")
    classes.write_index_json(folder / "index.json")
    assert Labels.read(folder / "labels.txt") == classes == Labels.read_index_json(folder / "index.json")


@given(st.dictionaries(st.one_of(st.sampled_from(SETTINGS), st.text(max_size=5)), VALUES, max_size=5))
def test_any_table_is_a_config_or_one_sentence(table):
    try:
        config = config_from_dict(table, "recipe.toml")
    except UserError as error:
        assert str(error).startswith("recipe.toml: ") and len(str(error)) < 1000
    else:
        assert config_from_dict(config.to_dict(), "again") == config


@given(VALUES)
def test_any_value_comes_back_from_json_or_is_refused(value):
    text = json.dumps(value)
    try:
        assert json.dumps(parse_json(text, "it")) == text
    except UserError as error:
        assert str(error).startswith("it is damaged or not JSON")
        assert "\\ud" in text


@given(VALUES)
def test_any_value_is_a_card_or_not_and_can_be_shown(value):
    assert is_card(value) is False
    assert len(shown(value)) < 120
