"""`evaluate` takes a recognizer and a data set however they are named, and knows where the files belong."""

import json
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation import evaluating
from kuzushiji_tf.evaluation.evaluating import evaluate, load_real_pen
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.recognition.recognizer import Recognizer
from tests.making import CHARACTERS
from tests.tiny import bars_dataset, write_run

pytest_plugins = ["tests.exported"]


def test_a_path_a_predictor_and_a_recognizer_get_the_same_scores(exported, learned):
    dataset = learned[0]
    by_path, *others = (
        evaluate(model, dataset) for model in (exported, load_predictor(exported), Recognizer(exported))
    )
    assert by_path["accuracy"] > 0.9
    assert others == [by_path, by_path]
    assert by_path["ink"] == "scanned"


def test_a_run_is_scored_on_its_own_data_and_keeps_the_evaluation(learned, tmp_path, monkeypatch):
    dataset, model = learned
    asked = []

    def load_dataset(name, split, options):
        asked.append((name, split, options.per_class))
        return dataset

    monkeypatch.setattr(evaluating, "load_dataset", load_dataset)
    run = write_run(tmp_path / "run", model, dataset, per_class=7)
    scores = evaluate(run.path)
    assert asked == [("kmnist", "test", 7)]
    kept = json.loads((run.evaluation / "kmnist-train" / "metrics.json").read_text(encoding="utf-8"))
    assert kept["accuracy"] == scores["accuracy"]
    evaluate(run.path, "kmnist", split="train", output=tmp_path / "out")
    assert asked[1][1] == "train" and (tmp_path / "out" / "metrics.json").exists()


def test_without_a_word_of_its_training_the_data_set_has_to_be_named(tmp_path):
    stranger = Predictor(tmp_path / "stranger.tflite", CHARACTERS, (12, 12), "none", lambda images: np.eye(10)[images])
    with pytest.raises(UserError, match=r"stranger\.tflite"):
        evaluate(stranger)


def test_real_pen_strokes_are_left_out_where_they_say_nothing(tmp_path, monkeypatch):
    dataset, why_not = load_real_pen(CHARACTERS, 12, tmp_path)
    assert dataset is None and evaluating.REAL_PEN in why_not
    monkeypatch.setattr(evaluating, "load_dataset", lambda *_: bars_dataset(20))
    assert load_real_pen(Labels(("no such character",)), 12)[0] is None
    assert len(load_real_pen(CHARACTERS, 12)[0]) == 20


def test_the_folder_of_an_export_within_a_run_is_not_taken_for_the_run(learned, tmp_path):
    run = write_run(tmp_path / "run", learned[1], bars_dataset(20))
    (run.export).mkdir()
    card = {"files": {}, "input": {"normalization": "none"}}
    (run.export / "model.json").write_text(json.dumps(card), encoding="utf-8")
    assert evaluating.origin_of(run.export).workdir is None
    assert evaluating.origin_of(run.final).workdir == run
    assert evaluating.origin_of(Path("nowhere")).config is None
