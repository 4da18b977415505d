"""Fine-tuning: what a run takes over from a trained recognizer, and what it refuses."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import Architecture, TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.loading import with_probabilities
from kuzushiji_tf.training import runs
from kuzushiji_tf.training.starting import find_start
from tests.making import CHARACTERS, random_dataset

MODEL = "small_cnn"
DATA = random_dataset(100)
CONFIG = TrainingConfig(dataset="kmnist", model=MODEL, epochs=1, batch_size=25, validation_fraction=0.2, seed=3)


def saved(folder, labels=CHARACTERS, name=MODEL, **settings):
    """A recognizer as an export leaves it: numbered on by Keras, and ended in probabilities."""
    model = with_probabilities(build_model(name, DATA.image_size, len(labels), seed=8, **settings), temperature=2.0)
    folder.mkdir()
    model.save(folder / "model.keras")
    labels.write(folder / "labels.txt")
    return model, folder / "model.keras"


def started(path, dataset=DATA, config=CONFIG):
    model = build_model(config.model, dataset.image_size, len(dataset.classes), config.seed)
    model.set_weights(find_start(replace(config, initial_weights=str(path)), dataset).weights)
    return model


def logits(model):
    hidden = keras.Model(model.inputs, model.get_layer("logits").output)
    return hidden.predict_on_batch(DATA.images[:9, ..., None].astype(np.float32))


def test_a_run_starts_with_the_logits_of_its_source(tmp_path):
    source, path = saved(tmp_path / "source")
    np.testing.assert_allclose(logits(started(path)), logits(source), atol=1e-5)


def test_the_classifier_is_carried_over_by_character_and_new_classes_begin_afresh(tmp_path):
    source, path = saved(tmp_path / "source")
    classes = Labels(("を", "新", *reversed(CHARACTERS.characters[:-1])))
    model = started(path, replace(DATA, classes=classes))
    carried = [index for index, character in enumerate(classes) if character in CHARACTERS]
    there = [CHARACTERS.index_of(classes[index]) for index in carried]
    np.testing.assert_allclose(logits(model)[:, carried], logits(source)[:, there], atol=1e-5)
    fresh = build_model(MODEL, DATA.image_size, len(classes), CONFIG.seed).layers[-1].get_weights()
    for new, value in zip(model.layers[-1].get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(new[..., 1], value[..., 1])


def test_another_architecture_is_refused_by_the_layer_that_differs(tmp_path):
    def refusal(path, config=CONFIG):
        with pytest.raises(UserError) as caught:
            find_start(replace(config, initial_weights=str(path)), DATA)
        return str(caught.value)

    _, wide = saved(tmp_path / "wide", architecture=Architecture(width=2.0))
    assert "conv2d" in refusal(wide) and "[5, 5, 1, 64] there and [5, 5, 1, 32] here" in refusal(wide)
    _, deep = saved(tmp_path / "deep", name="preact_resnet12")
    assert "do not fit this small_cnn" in refusal(deep)
    assert "nearest_neighbors has no weights" in refusal(wide, replace(CONFIG, model="nearest_neighbors"))
    capsules = replace(CONFIG, model="capsnet", loss="margin")
    _, others = saved(tmp_path / "others", Labels(tuple("あいうえおかきくけこ")), "capsnet")
    assert "the same classes" in refusal(others, capsules)


def test_a_run_tells_its_source_and_is_resumed_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "load_dataset", lambda *_: DATA)
    _, path = saved(tmp_path / "source")
    config = replace(CONFIG, initial_weights=str(path))
    workdir = runs.train(config, tmp_path / "run")
    expected = {"path": str(path), "sha256": content_sha256(path), "classes": 10, "classes_carried_over": 10}
    assert workdir.description["initial_weights"] == expected
    shutil.rmtree(path.parent)
    (workdir.config_file).write_text(workdir.config_file.read_text().replace('"result"', '"interrupted"'))
    assert runs.train(config, tmp_path / "run", resume=True).description["initial_weights"] == expected


def test_a_frozen_run_trains_the_classifier_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "load_dataset", lambda *_: DATA)
    _, path = saved(tmp_path / "source")
    before = started(path)
    workdir = runs.train(replace(CONFIG, initial_weights=str(path), freeze=("*",)), tmp_path / "run")
    after = keras.models.load_model(workdir.final, compile=False)
    for old, new in zip(before.layers, after.layers, strict=True):
        changed = [(a != b).any() for a, b in zip(old.get_weights(), new.get_weights(), strict=True)]
        assert all(changed) if old.name == "logits" else not any(changed), old.name


def test_what_has_no_source_cannot_be_frozen():
    with pytest.raises(UserError, match="initial_weights"):
        find_start(replace(CONFIG, freeze=("*",)), DATA)


def test_a_source_that_is_not_there_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "load_dataset", lambda *_: DATA)
    with pytest.raises(UserError, match="missing"):
        runs.train(replace(CONFIG, initial_weights=str(tmp_path / "missing")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
