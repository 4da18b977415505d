"""`evaluate` takes a recognizer and a data set however they are named, and knows where the files belong."""

import json
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation import evaluating
from kuzushiji_tf.evaluation.evaluating import evaluate, load_real_pen
from kuzushiji_tf.files import write_json
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


@pytest.mark.parametrize("is_exported", [False, True])
def test_images_that_were_not_held_out_are_measured_on_only_where_they_are_named(tmp_path, monkeypatch, is_exported):
    own, kept = tmp_path / "own.npz", bars_dataset(20)
    recipe = TrainingConfig(dataset=str(own), image_size=12).to_dict()
    data = {"test_content_hash": kept.content_hash}
    about = {
        "files": {},
        "input": {"shape": [1, 12, 12, 1], "normalization": "none"},
        "recipe": recipe,
        "training": data,
    }
    if is_exported:
        write_json(tmp_path / "run" / "model.json", about)
    else:
        write_json(tmp_path / "run" / "config.json", {"config": recipe, "versions": {}, "data": data})
    predictor = Predictor(tmp_path / "run" / "final.keras", CHARACTERS, (12, 12), "none", lambda images: images)
    today = bars_dataset(20, seed=1)
    asked = []
    monkeypatch.setattr(evaluating, "load_dataset", lambda *arguments: asked.append(arguments) or today)
    monkeypatch.setattr(evaluating, "score", lambda predictor, dataset, *_: dataset)
    with pytest.raises(UserError, match="--dataset"):
        evaluate(predictor)
    assert evaluate(predictor, str(own)) is today
    assert evaluate(predictor, split="all") is today
    today = kept
    assert evaluate(predictor) is kept
    assert {(name, options.image_size) for name, _, options in asked} == {(str(own), 12)}


def test_the_settings_of_a_run_hold_for_its_data_in_whatever_way_the_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    config = TrainingConfig(dataset=str(tmp_path / "own"), classes="あい")
    write_json(tmp_path / "run" / "config.json", {"config": config.to_dict(), "versions": {}, "data": {}})
    predictor = Predictor(tmp_path / "run" / "final.keras", CHARACTERS, (12, 12), "none", lambda images: images)
    monkeypatch.setattr(evaluating, "load_dataset", lambda name, split, options: (split, options.classes))
    monkeypatch.setattr(evaluating, "score", lambda predictor, dataset, *_: dataset)
    monkeypatch.setattr(evaluating.Origin, "output", lambda *_: None)
    for name in ("own", Path("own"), "./own", "../" + tmp_path.name + "/own"):
        assert evaluate(predictor, name, output=tmp_path / "out") == ("test", "あい")


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
    card = {"files": {}, "input": {"shape": [1, 12, 12, 1], "normalization": "none"}}
    (run.export / "model.json").write_text(json.dumps(card), encoding="utf-8")
    assert evaluating.origin_of(run.export).workdir is None
    assert evaluating.origin_of(run.final).workdir == run
    assert evaluating.origin_of(Path("nowhere")).config is None
