"""An ensemble is the weighted mean of its members, in one model that loads, evaluates and exports like any other."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.cli import main
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation import evaluating
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.exporting import folders as exporting
from kuzushiji_tf.exporting.folders import export
from kuzushiji_tf.files import content_sha256, write_json
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training import ensembles as ensemble
from kuzushiji_tf.training.ensembles import build_ensemble, fit_weights, held_out_by_all, holds_ensemble_of, join_runs
from kuzushiji_tf.workdirs import WorkDirectory
from tests.tiny import bars_dataset, tiny_model, trained, write_run

pytest_plugins = ["tests.exported"]

TRAIN = bars_dataset(400)
WEIGHTS = (0.7, 0.3)


@pytest.fixture(scope="module")
def models() -> tuple:
    """A model that has learned and one that ends in a softmax and has not."""
    return trained(TRAIN, epochs=2), tiny_model(10, seed=5, activation="softmax")


@pytest.fixture
def asked(monkeypatch) -> list:
    """Let every data set be the tiny one; lists the splits that the ensemble asked for."""
    splits = []

    def load(name, split, options=None):
        return replace(TRAIN, name=name, split=split)

    def load_and_note(name, split, options=None):
        splits.append(split)
        return load(name, split)

    monkeypatch.setattr(ensemble, "load_dataset", load_and_note)
    monkeypatch.setattr(exporting, "load_dataset", load)
    monkeypatch.setattr(evaluating, "load_dataset", load)
    return splits


def _finished(path, model, dataset=TRAIN, **settings) -> WorkDirectory:
    run = write_run(path, model, dataset, **settings)
    description = run.description
    data = {**description["data"], "content_hash": dataset.content_hash}
    result = {"parameters": 1, "minutes": 1.5, "device": "2 x CPU"}
    write_json(run.config_file, {**description, "data": data, "result": result})
    return run


@pytest.fixture
def paths(models, tmp_path) -> list:
    return [_finished(tmp_path / name, model).path for name, model in zip("ab", models, strict=True)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _mean(models, images: np.ndarray, weights=WEIGHTS) -> np.ndarray:
    inputs = images[..., None].astype(np.float32)
    logits, probabilities = (model.predict(inputs, verbose=0) for model in models)
    return weights[0] * _softmax(logits) + weights[1] * probabilities


def test_an_ensemble_is_the_weighted_mean_of_its_members(models):
    found = build_ensemble(models, WEIGHTS).predict(TRAIN.images[..., None], verbose=0)
    assert np.abs(found - _mean(models, TRAIN.images)).max() < 1e-6


def test_members_of_one_name_stand_beside_each_other(models):
    model = build_ensemble([models[0], models[0]], (0.5, 0.5))
    names = [layer.name for layer in model.layers]
    assert names == ["image", "member_1", "member_2", "weight_1", "weight_2", "probabilities"]


def test_an_exported_ensemble_has_builtin_operators_and_the_same_probabilities(models, tmp_path):
    conversion.write_float32(build_ensemble(models, WEIGHTS), tmp_path / "model.tflite")
    assert conversion.builtin_operators(tmp_path / "model.tflite")
    found = LiteRTModel(tmp_path / "model.tflite").predict(TRAIN.images[:50])
    assert np.abs(found - _mean(models, TRAIN.images[:50])).max() < 5e-6


def test_weights_are_those_of_least_negative_log_likelihood():
    # Each member is certain, the first right on 7 images of 10 and the second on the others: the best is 7 to 3.
    labels = np.array([0] * 10)
    first = np.array([[1.0, 0.0]] * 7 + [[0.0, 1.0]] * 3)
    found = fit_weights(np.stack([first, 1 - first]), labels)
    np.testing.assert_allclose(found, (0.7, 0.3), atol=1e-4)


def test_a_member_that_only_harms_gets_no_weight_and_the_fit_repeats_exactly():
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 500)
    good, other = (_softmax(random.normal(size=(500, 5)) + 4 * np.eye(5)[labels]) for _ in range(2))
    uniform = np.full((500, 5), 0.2)
    members = np.stack([good, uniform, other]).astype(np.float32)
    found = fit_weights(members, labels)
    assert found.sum() == pytest.approx(1)
    assert found[1] < 1e-3 < 0.2 < min(found[0], found[2])
    assert np.array_equal(found, fit_weights(members, labels))


def test_a_member_that_is_certain_and_wrong_does_not_break_the_fit():
    labels = np.array([0, 1])
    wrong = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(fit_weights(np.stack([wrong, 1 - wrong]), labels), (0, 1), atol=1e-6)


def test_the_run_of_an_ensemble_holds_all_that_a_run_holds(models, paths, asked, tmp_path):
    run = join_runs(paths, tmp_path / "both")
    assert np.abs(load_predictor(run.path).predict(TRAIN.images) - _mean(models, TRAIN.images, (0.5, 0.5))).max() < 1e-6
    assert (run.labels, run.config.model, run.config.dataset) == (TRAIN.classes, "ensemble", "kmnist")
    result, entry = run.description["result"], run.description["ensemble"]
    parameters = sum(model.count_params() for model in models)
    assert result == {"parameters": parameters, "minutes": 3.0, "device": "2 x CPU"}
    assert (entry["weights"], entry["validation_images"], asked) == ("equal", 0, [])
    for member, path in zip(entry["members"], paths, strict=True):
        assert (member["path"], member["weight"]) == (str(path), 0.5)
        assert member["sha256"] == content_sha256(path / "final.keras")
        assert member["recipe"] == WorkDirectory(path).config.to_dict()


def test_weights_are_fitted_on_what_every_run_held_out_of_the_training_split(models, asked, tmp_path):
    settings = ({"validation_fraction": 0.3, "seed": 1}, {"validation_fraction": 0.4, "seed": 2})
    runs = [_finished(tmp_path / name, model, **some) for name, model, some in zip("ab", models, settings, strict=True)]
    expected = set.intersection(
        *(set(validation_rows(TRAIN, some["validation_fraction"], some["seed"])[1]) for some in settings)
    )
    held_out = held_out_by_all(runs)
    np.testing.assert_array_equal(held_out.images, TRAIN.images[sorted(expected)])
    run = join_runs([run.path for run in runs], tmp_path / "both", weighting="validation")
    entry = run.description["ensemble"]
    assert asked == ["train", "train"]
    assert (entry["weights"], entry["validation_images"]) == ("validation", len(expected))
    weights = [member["weight"] for member in entry["members"]]
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.9  # the second member knows nothing
    found = load_predictor(run.path).predict(TRAIN.images)
    assert np.abs(found - _mean(models, TRAIN.images, weights)).max() < 1e-6


def test_runs_that_held_nothing_out_in_common_cannot_be_weighed(models, asked, tmp_path):
    runs = [
        _finished(tmp_path / name, model, validation_fraction=fraction)
        for name, model, fraction in zip("ab", models, (0.2, 0.0), strict=True)
    ]
    with pytest.raises(UserError, match=r"No image .*b: "):
        join_runs([run.path for run in runs], tmp_path / "both", weighting="validation")
    changed = {**runs[1].description, "data": {**runs[1].description["data"], "content_hash": "other"}}
    write_json(runs[1].config_file, changed)
    with pytest.raises(UserError, match=r"b was trained on other images"):
        held_out_by_all(runs)
    assert not (tmp_path / "both").exists()


def test_an_ensemble_is_evaluated_and_exported_as_any_run(paths, asked, tmp_path, capsys, only_float32):
    both = tmp_path / "both"
    assert main(["ensemble", *map(str, paths), "--output", str(both), "--json"]) == 0
    printed = capsys.readouterr()
    assert f"python export.py {both}" in printed.err
    assert [member["weight"] for member in json.loads(printed.out)["members"]] == [0.5, 0.5]
    assert main(["evaluate", str(both), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["count"] == len(TRAIN)
    assert not (both / "evaluation" / "kmnist-test" / "learning_curves.png").exists()
    card = export(both)
    assert card["name"] == "kmnist-ensemble"
    assert card["files"]["model-float32.tflite"]["accuracy"] == scores["accuracy"]


def test_an_earlier_run_is_replaced_only_when_asked_for(paths, tmp_path):
    both = join_runs(paths, tmp_path / "both")
    before = both.description
    with pytest.raises(UserError, match="already holds a run"):
        join_runs(paths[::-1], both.path)
    assert both.description == before
    join_runs(paths[::-1], both.path, overwrite=True)
    assert [member["path"] for member in both.description["ensemble"]["members"]] == [str(path) for path in paths[::-1]]


def test_members_of_several_devices_name_each_of_them_once(models, tmp_path):
    runs = [_finished(tmp_path / name, model) for name, model in zip("abc", (*models, models[0]), strict=True)]
    description = runs[1].description
    write_json(runs[1].config_file, {**description, "result": {**description["result"], "device": "1 x GPU"}})
    result = join_runs([run.path for run in runs], tmp_path / "all").description["result"]
    assert (result["device"], result["minutes"]) == ("2 x CPU and 1 x GPU", 4.5)


def test_an_ensemble_of_other_weights_than_its_runs_have_today_is_told(models, paths, tmp_path):
    runs, both = [WorkDirectory(path) for path in paths], WorkDirectory(tmp_path / "both")
    assert not holds_ensemble_of(both, runs, "equal")
    join_runs(paths, both.path)
    assert holds_ensemble_of(both, runs, "equal")
    assert not holds_ensemble_of(both, runs, "validation")
    assert not holds_ensemble_of(both, [*runs, runs[0]], "equal")
    finished = both.description
    write_json(both.config_file, {name: value for name, value in finished.items() if name != "result"})
    assert not holds_ensemble_of(both, runs, "equal")
    write_json(both.config_file, finished)
    tiny_model(10, seed=6).save(paths[1] / "final.keras")
    assert not holds_ensemble_of(both, runs, "equal")
    with pytest.raises(UserError, match="not an ensemble"):
        holds_ensemble_of(runs[0], runs, "equal")


def test_what_cannot_be_joined_is_told_apart(models, paths, tmp_path):
    def run(name: str, model=models[0], dataset=TRAIN):
        return _finished(tmp_path / name, model, dataset).path

    swapped = replace(TRAIN, classes=Labels(tuple("おすきつなはまやれを")))
    fewer = replace(TRAIN, labels=np.zeros(400, np.int32), classes=Labels(tuple("おきすつなはまやれ")))
    nested, unfinished, neighbors = run("nested"), run("unfinished"), run("neighbors")
    description = WorkDirectory(nested).description
    write_json(nested / "config.json", {**description, "config": {**description["config"], "model": "ensemble"}})
    write_json(unfinished / "config.json", {name: description[name] for name in ("config", "versions", "data")})
    (neighbors / "final.keras").unlink()
    arrays = {"images": TRAIN.images, "labels": TRAIN.labels, "classes": 10, "neighbors": 1, "weighting": "uniform"}
    np.savez(neighbors / "final.npz", **arrays)
    for others, message in (
        ([], "two or more different runs"),
        ([paths[0]], "two or more different runs"),
        ([tmp_path / "absent"], "absent"),
        ([unfinished], "unfinished is not finished"),
        ([nested], "is an ensemble itself"),
        ([run("k49", dataset=replace(TRAIN, name="k49"))], "kmnist and .* k49"),
        ([run("swapped", dataset=swapped)], r"\(class 1 is き and す\)"),
        ([run("fewer", tiny_model(9), fewer)], r"\(10 and 9 classes\)"),
        ([run("larger", tiny_model(10, size=16))], "12x12 and 16x16 pixels"),
        ([neighbors], "nearest-neighbor"),
    ):
        with pytest.raises((UserError, MissingFileError), match=message):
            join_runs([paths[0], *others], tmp_path / "both")
    with pytest.raises(UserError, match="is one of the runs"):
        join_runs(paths, paths[1], overwrite=True)
    assert (paths[1] / "final.keras").exists()
    assert not (tmp_path / "both").exists()
