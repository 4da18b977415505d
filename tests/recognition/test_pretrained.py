"""The recognizers that come with the package: found by name, small, and whole without the files that a wheel lacks."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.recognition import pretrained
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.recognition.pretrained import PRETRAINED, pretrained_folder, pretrained_names
from kuzushiji_tf.recognition.recognizer import Recognizer
from tests.snippets import ROOT

STROKES = [[[20, 20], [50, 14], [80, 22]], [[18, 70], [50, 84], [88, 76]]]  # こ


def test_the_names_are_those_of_the_recognizers_and_of_nothing_else():
    assert pretrained_names() == ["kana", "kkanji", "kmnist", "touch-all", "touch-joyo", "touch-kana"]
    assert PRETRAINED == ROOT / "saved_models", "a checkout has them once"


@pytest.mark.parametrize("name", pretrained_names())
def test_each_reads_with_its_int8_file_alone(name, tmp_path, monkeypatch):
    carried = [PRETRAINED / name / file for file in ("labels.txt", "model-int8.tflite", "model.json")]
    for file in carried:
        (tmp_path / name).mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / name)
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    recognizer = Recognizer.pretrained(name)
    assert recognizer.predictor.path == tmp_path / name / "model-int8.tflite"
    assert len(recognizer.recognize(strokes=STROKES, top_k=10)) == 10


def test_a_reader_sees_what_was_read():
    recognizer = Recognizer.pretrained("kana")
    assert "71 classes" in repr(recognizer) and "kana" in repr(recognizer)
    reading = recognizer.read(strokes=STROKES)
    best = reading.candidates()[0]
    assert best.character == "こ"
    for shown in (repr(best), repr(reading)):
        assert f"こ U+3053 {best.probability:.2%}" in shown or f"こ {best.probability:.2%}" in shown
        assert "\n" not in shown and len(shown) < 80


@pytest.mark.parametrize(
    ("name", "nearest"), [("touch-jojo", "touch-joyo"), ("transfer", "kmnist"), ("../saved_models/kana", "kana")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(UserError, match=nearest):
        Recognizer.pretrained(name)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
@pytest.mark.parametrize("file", ["saved_models/kana/labels.txt", "saved_models/kana/model.json"])
def test_git_gives_them_plain_line_ends_on_every_system(file):
    assert Path(ROOT / file).is_file()
    command = ["git", "check-attr", "eol", file]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.endswith("eol: lf\n")


def test_the_cards_figures_are_of_whole_test_sets():
    images = {}
    for name in pretrained_names():
        card = read_card(pretrained_folder(name))
        assert "left_out" not in card["test"]
        images[name] = card["test"]["images"]
        measured = "synthetic_accuracy" if card["test"]["synthetic"] else "accuracy"
        assert all(measured in figures for figures in card["files"].values())
    assert (images["kmnist"], images["kkanji"]) == (10_000, 20_057)
