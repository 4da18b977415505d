"""Floors of what ships, on people's hands: nobody's drawings are read worse than they were when these were set."""

import os
from functools import cache
from pathlib import Path

import pytest

from kuzushiji_tf.evaluation.evaluating import evaluate

pytestmark = pytest.mark.slow
HANDS = Path(os.environ.get("KUZUSHIJI_DATA", "")) / "hands"
SHIPPED = Path(__file__).parents[2] / "saved_models"
# By set and script, the script known: the least accuracy of each recognizer, in percent.
FLOORS = {
    ("omniglot", "hiragana"): {"kana": 98.5, "touch-kana": 97.5, "touch-joyo": 96.5, "touch-all": 96.0},
    ("omniglot", "katakana"): {"touch-kana": 88.0, "touch-joyo": 88.5, "touch-all": 88.5},
    ("mediotaku", "hiragana"): {"kana": 97.5, "touch-kana": 98.0, "touch-joyo": 97.0, "touch-all": 96.5},
    ("mediotaku", "katakana"): {"touch-kana": 96.5, "touch-joyo": 96.5, "touch-all": 97.0},
    ("mediotaku", "kanji"): {"touch-joyo": 98.5, "touch-all": 97.0},
    ("ndl-hiragana", "hiragana"): {"kana": 96.5, "touch-kana": 97.0, "touch-joyo": 97.0, "touch-all": 96.5},
}
MOST_REFUSED = 1.0  # percent of a set


@cache
def scores(recognizer, name):
    dataset = HANDS / f"{name}.npz"
    if not dataset.is_file():
        pytest.skip("KUZUSHIJI_DATA names no folder with hands/")
    return evaluate(SHIPPED / recognizer, dataset, split="test" if name == "ndl-hiragana" else "all")


@pytest.mark.parametrize(
    ("recognizer", "name", "script"),
    [(recognizer, name, script) for (name, script), floors in FLOORS.items() for recognizer in floors],
)
def test_people_are_read_at_least_as_well_as_before(recognizer, name, script):
    found = scores(recognizer, name)
    own = found["accuracy"] if recognizer == "kana" else found[f"{script}_alone_accuracy"]
    assert 100 * own >= FLOORS[name, script][recognizer]
    assert 100 * found.get("refused", 0.0) <= MOST_REFUSED
