"""What an exported folder holds, what its card says, and that a file which disagrees is never kept."""

import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.cli import main
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.exporting import conversion, folders, verification
from kuzushiji_tf.exporting.folders import (
    ExportOptions,
    check_output,
    choose_representative,
    export,
    export_model,
)
from kuzushiji_tf.exporting.sources import EvaluationSet, Source
from kuzushiji_tf.files import write_json
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.models.loading import with_probabilities
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.recognition.readings import Repertoire
from kuzushiji_tf.training.calibration import at_temperature
from tests.making import random_dataset
from tests.tiny import SIZE, tiny_model, trained, write_run

pytest_plugins = ["tests.exported"]

TFLITE = ("model-float32.tflite", "model-float16.tflite", "model-int8.tflite")


def _source(dataset, **changes):
    test = {"test": EvaluationSet(dataset, dataset.content_hash)}
    return replace(Source(dataset.classes, dataset.images[:20], test), **changes)


def _export(model, dataset, output, **changes):
    return export_model(model, _source(dataset, **changes), output)


def test_the_folder_holds_what_the_card_lists_and_nothing_else(exported):
    card = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    names = {path.name for path in exported.iterdir()}
    assert names == {"labels.txt", "model.json", *card["files"]}
    assert set(card["files"]) == {"saved_model", "model.keras", "model-dynamic.tflite", *TFLITE}
    for name in TFLITE:
        content = (exported / name).read_bytes()
        assert card["files"][name]["bytes"] == len(content)
        assert card["files"][name]["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_card_says_what_the_files_take_and_achieve(exported, learned):
    dataset, _ = learned
    card = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    assert card["input"]["shape"] == [1, SIZE, SIZE, 1]
    assert (card["input"]["ink"], card["input"]["normalization"]) == ("white on black", "none")
    assert card["test"]["content_hash"] == dataset.content_hash
    assert (card["test"]["synthetic"], card["test"]["credit"]) == (False, "a credit")
    for name in TFLITE:
        figures = card["files"][name]
        found = LiteRTModel(exported / name).predict(dataset.images)
        assert figures["accuracy"] == pytest.approx((found.argmax(axis=1) == dataset.labels).mean())
        assert figures["accuracy"] > 0.95
        assert figures["latency_ms"] > 0
    assert card["files"]["model-float32.tflite"]["max_difference"] <= 5e-5


def test_the_files_have_the_confidence_that_was_fitted(learned, tmp_path, only_float32):
    dataset, model = learned
    calibration = {"temperature": 2.0, "validation_images": 50}
    card = _export(model, dataset, tmp_path / "out", calibration=calibration)
    assert card["calibration"] == calibration
    expected = at_temperature(with_probabilities(model).predict(dataset.images[..., None], verbose=0), 2.0)
    for name in ("model-float32.tflite", "model.keras"):
        found = load_predictor(tmp_path / "out" / name).predict(dataset.images)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("last", [{"activation": "softmax"}, None], ids=["an activation", "a layer"])
def test_a_model_that_ends_in_a_softmax_of_its_own_gets_the_temperature_too(last):
    images = random_dataset(20).images[..., None]
    model = tiny_model(10, **last) if last else with_probabilities(tiny_model(10))
    expected = at_temperature(model.predict(images, verbose=0), 3.0)
    np.testing.assert_allclose(with_probabilities(model, 3.0).predict(images, verbose=0), expected, atol=1e-5)


def test_a_temperature_belongs_to_the_last_weights_of_a_run_that_had_validation_images(learned, tmp_path, monkeypatch):
    dataset, model = learned
    monkeypatch.setattr(folders, "load_dataset", lambda *_: dataset)
    asked = []
    monkeypatch.setattr(folders, "export_model", lambda model, source, *_: asked.append(source.calibration))
    run = write_run(tmp_path / "run", model, dataset)
    export(run)
    write_json(run.config_file, run.description | {"result": {"calibration": {"temperature": 2.0}}})
    model.save(run.best)
    export(run)
    export(run, file="best")
    assert asked == [None, {"temperature": 2.0}, None]
    plain = with_probabilities(model).predict(dataset.images[..., None], verbose=0)
    np.testing.assert_allclose(load_predictor(run.path).predict(dataset.images), plain, atol=1e-5)


def test_a_run_on_images_that_were_given_is_exported_with_those_of_a_data_set_that_is_named(
    learned, tmp_path, monkeypatch
):
    dataset, model = learned
    asked = []
    monkeypatch.setattr(folders, "load_dataset", lambda name, split, _: asked.append((name, split)) or dataset)
    monkeypatch.setattr(folders, "export_model", lambda model, source, *_: len(source.representative_images))
    run = write_run(tmp_path / "run", model, dataset)
    write_json(run.config_file, run.description | {"data": run.data | {"given": True}})
    with pytest.raises(UserError, match="given in Python"):
        export(run)
    assert export(run, dataset="k49") == min(300, len(dataset))
    assert asked == [("k49", "test"), ("k49", "train")]


def test_what_is_no_character_is_measured_apart_and_refused_from_the_threshold_on(learned, tmp_path, only_float32):
    dataset, model = learned
    others = replace(dataset, classes=Labels((*dataset.classes.characters[:-1], UNKNOWN)))
    card = _export(model, others, tmp_path / "out", refusal_threshold=0.9)
    assert card["unknown"] == {"character": UNKNOWN, "threshold": 0.9}
    assert card["test"]["images"] + card["test"]["others"] == len(dataset)
    predictor = load_predictor(tmp_path / "out")
    probabilities = predictor.predict(dataset.images)
    refuses = Repertoire(predictor).refuses(probabilities)
    assert refuses.tolist() == (probabilities[:, -1] >= 0.9).tolist()
    is_right, figures = probabilities.argmax(axis=1) == dataset.labels, card["files"]["model-float32.tflite"]
    assert figures["accuracy"] == pytest.approx(is_right[others.is_character].mean())
    assert figures["refused"] == pytest.approx(refuses[others.is_character].mean())
    assert figures["rejected"] == pytest.approx(refuses[~others.is_character].mean()) and figures["rejected"] > 0.5


@pytest.mark.parametrize("name", TFLITE)
def test_the_whole_input_shape_is_fixed_and_the_border_is_float(exported, name):
    interpreter = Interpreter(model_path=str(exported / name))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["shape_signature"].tolist() == [1, SIZE, SIZE, 1]
    assert taken["dtype"] is given["dtype"] is np.float32
    signatures = interpreter.get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}


def test_int8_means_weights_and_activations_all_but_the_softmax(exported):
    operators = conversion.builtin_operators(exported / "model-int8.tflite")
    assert operators[0] == "QUANTIZE"
    assert operators[-2:] == ["DEQUANTIZE", "SOFTMAX"]
    assert Counter(operators)["DEQUANTIZE"] == Counter(operators)["QUANTIZE"] == 1
    interpreter = Interpreter(model_path=str(exported / "model-int8.tflite"))
    floats = [tensor for tensor in interpreter.get_tensor_details() if tensor["dtype"] is np.float32]
    assert len(floats) == 3  # the image, the logits and the probabilities
    sizes = {name: (exported / name).stat().st_size for name in TFLITE}
    assert sizes["model-int8.tflite"] < sizes["model-float16.tflite"] < sizes["model-float32.tflite"]


def test_flex_and_custom_operators_are_refused(tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([4, 4], tf.float32)])
    def needs_flex(values):
        return tf.linalg.inv(values)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([needs_flex.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(UserError, match="FlexMatrixInverse"):
        conversion.builtin_operators(tmp_path / "model.tflite")


def test_the_saved_model_takes_gray_or_color_uint8_or_float_of_any_size(exported, learned):
    import tensorflow as tf

    loaded = tf.saved_model.load(exported / "saved_model")
    images = learned[0].images[:6]
    large = np.repeat(np.repeat(images, 3, axis=1), 2, axis=2)
    expected = load_predictor(exported, "keras").run(fit_image(large, SIZE, box=False))
    gray, color = large[..., None], np.repeat(large[..., None], 3, axis=3)
    for name, batch in (
        ("serving_uint8", gray),
        ("serving_uint8", color),
        ("serving_default", gray.astype(np.float32)),
        ("serving_default", color.astype(np.float32)),
    ):
        found = loaded.signatures[name](image=tf.constant(batch))["probabilities"]
        assert np.abs(found - expected).max() < 1e-3
    for name, dtype in (("single", np.float32), ("single_uint8", np.uint8)):
        found = loaded.signatures[name](image=tf.constant(large[0].astype(dtype)))["probabilities"]
        assert np.abs(found - expected[:1]).max() < 1e-4


def test_the_dynamic_file_resizes_in_its_graph(exported, learned):
    large = np.repeat(np.repeat(learned[0].images[:6], 3, axis=1), 2, axis=2)
    expected = load_predictor(exported, "keras").run(fit_image(large, SIZE, box=False))
    dynamic = LiteRTModel(exported / "model-dynamic.tflite")
    assert np.abs(dynamic.predict(large) - expected).max() < 1e-4
    assert np.abs(dynamic.predict(learned[0].images) - load_predictor(exported).predict(learned[0].images)).max() < 1e-4


def test_the_box_of_the_ink_is_found_in_the_graph(learned, tmp_path):
    import tensorflow as tf

    model = with_probabilities(learned[1])
    images = np.zeros((5, 50, 40), np.uint8)
    images[:, 8:30, 10:20] = np.random.default_rng(0).integers(0, 256, (5, 22, 10))
    expected = model.predict(fit_image(images, SIZE, box=True)[..., None], verbose=0)
    conversion.write_saved_model(model, tmp_path / "saved_model", box=True)
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    found = loaded.signatures["serving_uint8"](image=tf.constant(images[..., None]))["probabilities"]
    assert np.abs(found - expected).max() < 1e-4
    conversion.write_dynamic(model, tmp_path / "model.tflite", box=True)
    assert set(conversion.builtin_operators(tmp_path / "model.tflite")) >= {"BATCH_MATMUL", "SOFTMAX"}
    assert np.abs(LiteRTModel(tmp_path / "model.tflite").predict(images) - expected).max() < 1e-4


def test_a_file_that_disagrees_fails_the_export_and_leaves_nothing_behind(learned, tmp_path, monkeypatch, only_float32):
    dataset, model = learned
    honest = conversion.write_float32
    other = with_probabilities(tiny_model(len(dataset.classes), seed=5))
    monkeypatch.setattr(conversion, "write_float32", lambda model, path: honest(other, path))
    with pytest.raises(UserError, match=r"model-float32\.tflite .*5e-05"):
        _export(model, dataset, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def only_saved_model(monkeypatch):
    for name in ("write_float32", "write_float16", "write_int8"):
        monkeypatch.setattr(conversion, name, lambda *arguments: None)


def test_a_saved_model_that_does_not_resize_fails_the_export(learned, tmp_path, monkeypatch, only_saved_model):
    def cut(image, size, box, ops):
        return fit_image(image[..., :size, :size], size, box, ops=ops)

    monkeypatch.setattr(conversion, "fit_image", cut)
    with pytest.raises(UserError, match=f"saved_model .*{3 * SIZE} x {2 * SIZE}"):
        _export(learned[1], learned[0], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_every_signature_of_the_saved_model_is_verified(learned, tmp_path, monkeypatch, only_saved_model):
    import keras

    archives = type(keras.export.ExportArchive())  # that of the backend
    add = archives.add_endpoint
    for broken in ("single_uint8", "normalized"):

        def add_wrong(archive, name, function, spec, broken=broken):
            def turned(image):
                return {"probabilities": function(image)["probabilities"][:, ::-1]}

            return add(archive, name, turned if name == broken else function, spec)

        monkeypatch.setattr(archives, "add_endpoint", add_wrong)
        with pytest.raises(UserError, match=f"saved_model .*{broken}"):
            _export(learned[1], learned[0], tmp_path / "out")


def test_an_int8_file_whose_activations_need_more_is_written_again_with_float32_ones(learned, tmp_path, only_int8):
    dataset, model = learned
    blank = np.zeros_like(dataset.images[:5])  # of these no activation's range can be found
    said = []
    source, options = _source(dataset, representative_images=blank), ExportOptions(report=said.append)
    figures = export_model(model, source, tmp_path / "out", options)["files"]
    assert any("98.00%" in line for line in said)
    int8 = figures["model-int8.tflite"]
    assert int8["activations"] == "float32" and int8["clear_agreement"] > 0.99
    assert int8["bytes"] < 0.5 * figures["model.keras"]["bytes"]
    assert "activations" not in _export(model, dataset, tmp_path / "usual")["files"]["model-int8.tflite"]


def test_an_int8_file_that_disagrees_in_either_way_fails_the_export(learned, tmp_path, monkeypatch, only_int8):
    dataset, model = learned
    honest, other = conversion.write_int8_weights, with_probabilities(tiny_model(len(dataset.classes), seed=5))
    monkeypatch.setattr(conversion, "write_int8", lambda model, path, images: honest(other, path))
    monkeypatch.setattr(conversion, "write_int8_weights", lambda model, path: honest(other, path))
    with pytest.raises(UserError, match=r"model-int8\.tflite .*98\.00%"):
        _export(model, dataset, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_keeps_the_earlier_one(learned, exported, monkeypatch, tmp_path):
    monkeypatch.setattr(conversion, "write_saved_model", lambda *arguments: 1 / 0)
    earlier = tmp_path / "out"
    earlier.mkdir()
    for name in ("model.json", "labels.txt"):
        (earlier / name).write_bytes((exported / name).read_bytes())
    with pytest.raises(ZeroDivisionError):
        export_model(learned[1], _source(learned[0]), earlier, ExportOptions(overwrite=True))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["labels.txt", "model.json", "out"]


def test_wrong_choices_break_the_bound_of_int8_and_near_ties_do_not():
    expected = np.tile(np.array([0.5, 0.4, 0.1], np.float32), (100, 1))
    near, wrong = expected[:, [1, 0, 2]], expected[:, [2, 1, 0]]
    scores = verification.compare("model-int8.tflite", near, expected)
    assert (scores["agreement"], scores["clear_agreement"]) == (0.0, 1.0)
    with pytest.raises(UserError, match=r"model-int8\.tflite .*97\.00%.*98\.00%"):
        verification.compare("model-int8.tflite", np.concatenate([wrong[:3], expected[3:]]), expected)
    with pytest.raises(UserError, match=r"model-int8\.tflite .* nan"):
        verification.compare("model-int8.tflite", np.full_like(expected, np.nan), expected)


def test_other_peoples_files_are_never_replaced(tmp_path, exported):
    (tmp_path / "file").write_text("")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "model.json").write_bytes((exported / "model.json").read_bytes())
    (tmp_path / "mixed" / "notes.txt").write_text("mine")
    for name, message in (("file", "is a file"), ("thesis", "chapter.tex"), ("mixed", "notes.txt")):
        with pytest.raises(UserError, match=message):
            check_output(tmp_path / name, overwrite=True)
    with pytest.raises(UserError, match="--overwrite"):
        check_output(exported, overwrite=False)
    check_output(exported, overwrite=True)
    check_output(tmp_path / "new" / "folder", overwrite=False)


def test_models_that_cannot_be_exported_are_refused_before_anything_is_written(learned, tmp_path):
    import keras

    dataset, model = learned
    image = keras.Input((8, 12, 1))
    oblong = keras.Model(image, keras.layers.Dense(len(dataset.classes))(keras.layers.Flatten()(image)))
    with pytest.raises(UserError, match="8 x 12"):
        _export(oblong, dataset, tmp_path / "out")
    for names, message in (
        ("あい", "10 classes.* 2 labels"),
        ("あいうえおかきくけこ", "kmnist has other classes"),
    ):
        with pytest.raises(UserError, match=message):
            export_model(model, _source(dataset, labels=Labels(tuple(names))), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_representative_images_come_from_every_class_and_by_the_seed_alone():
    train = random_dataset(300, SIZE)
    train = train.select(np.argsort(train.labels, kind="stable"))
    chosen = choose_representative(train, seed=3, count=25)
    rows = [int(np.flatnonzero((train.images == image).all(axis=(1, 2)))[0]) for image in chosen]
    counts = np.bincount(train.labels[rows], minlength=10)
    assert len(set(rows)) == 25
    assert (counts.min(), counts.max()) == (2, 3)
    assert np.array_equal(chosen, choose_representative(train, seed=3, count=25))
    assert not np.array_equal(chosen, choose_representative(train, seed=4, count=25))
    assert len(choose_representative(train, seed=3, count=1000)) == 300


def test_a_run_on_real_characters_is_exported_with_its_own_figures(data_dir, tmp_path, capsys):
    train = load_dataset("kmnist", "train", LoadOptions(data_dir))
    run = write_run(tmp_path / "run", trained(train.select(np.arange(3000)), epochs=3), train, seed=1)
    arguments = ["export", str(run.path), "--data-dir", str(data_dir), "--test-limit", "2000", "--json"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert f"predict IMAGE --model {run.export}" in printed.err
    assert (summary["test"]["images"], summary["test"]["left_out"]) == (2000, 8000)
    test = load_dataset("kmnist", "test", LoadOptions(data_dir))
    rows = np.linspace(0, 9999, 2000).astype(int)
    found = load_predictor(run.path).predict(test.images[rows])
    accuracy = float((found.argmax(axis=1) == test.labels[rows]).mean())
    assert accuracy > 0.6
    for name in ("model.keras", "saved_model", "model-float32.tflite"):
        assert summary["files"][name]["accuracy"] == pytest.approx(accuracy, abs=1e-3)
    assert summary["files"]["model-int8.tflite"]["accuracy"] == pytest.approx(accuracy, abs=0.02)
    card = json.loads((run.export / "model.json").read_text(encoding="utf-8"))
    assert card["recipe"]["seed"] == 1
    assert card["test"]["content_hash"] == test.content_hash
    assert "CODH" in card["training"]["credit"]
    assert "note" not in card


def test_figures_of_drawn_images_are_called_synthetic_and_real_pen_stands_beside(data_dir, tmp_path, only_float32):
    drawn = load_dataset("kana", "test", LoadOptions(per_class=1))
    run = write_run(tmp_path / "run", tiny_model(len(drawn.classes), 32), drawn, per_class=1)
    card = export(run, tmp_path / "out", data_dir=data_dir)
    figures = card["files"]["model-float32.tflite"]
    assert "accuracy" not in figures
    assert {"synthetic_accuracy", "real_pen_accuracy"} <= figures.keys()
    assert card["test"]["synthetic"]
    assert "note" in card
    assert card["input"]["normalization"] == "ink-box"
    assert (card["real_pen"]["dataset"], card["real_pen"]["synthetic"]) == ("tomoe", False)
    assert card["real_pen"]["images"] + card["real_pen"]["left_out"] > 3000


def test_a_folder_of_ones_own_is_not_taken_for_drawn_by_a_program_whatever_its_name(
    tmp_path, monkeypatch, only_float32
):
    monkeypatch.chdir(tmp_path)
    for index, character in enumerate("あい"):
        folder = tmp_path / "mine" / "kana" / character
        folder.mkdir(parents=True)
        for number in range(8):
            image = np.full((SIZE, SIZE), 255, np.uint8)  # dark ink on light paper, as pictures are
            image[2:10, 2 + index : 5 + index + number % 3] = 0
            Image.fromarray(image).save(folder / f"{number}.png")
    dataset = load_dataset("mine/kana", "train")
    run = write_run(tmp_path / "run", tiny_model(2, dataset.image_size[0]), replace(dataset, name="mine/kana"))
    card = export(run)
    assert (card["test"]["synthetic"], card["input"]["normalization"]) == (False, "none")
    assert "note" not in card and "real_pen" not in card
    assert {"accuracy"} <= card["files"]["model-float32.tflite"].keys()


def test_what_was_trained_on_a_written_set_is_exported_on_the_test_images_of_another(
    learned, tmp_path, monkeypatch, only_float32
):
    written, model = replace(learned[0], name="made/bars"), learned[1]
    labels = written.labels.copy()
    labels[0] = len(written.classes)
    bars = replace(written, name="bars", split="test", labels=labels, classes=Labels((*written.classes, "々")))

    def load(name, split, options):
        if (name, split) == ("made/bars", "test"):
            raise UserError("made/bars has no test split.")
        return bars if name == "bars" else written

    monkeypatch.setattr(folders, "load_dataset", load)
    run = write_run(tmp_path / "run", model, written)
    with pytest.raises(UserError, match="no test split"):
        export(run)
    test = export(run, dataset="bars", test_limit=50)["test"]
    assert (test["dataset"], test["images"], test["left_out"]) == ("bars", 50, len(bars) - 50)
    assert test["content_hash"] == bars.content_hash


def test_test_images_that_a_run_did_not_hold_out_are_not_exported_on(learned, tmp_path, monkeypatch):
    dataset, model = learned
    monkeypatch.setattr(folders, "load_dataset", lambda *_: dataset)
    run = write_run(tmp_path / "run", model, dataset)
    write_json(run.config_file, run.description | {"data": run.data | {"test_content_hash": "of others"}})
    with pytest.raises(UserError, match="--dataset"):
        export(run)
    assert not run.export.exists()


def test_the_runs_own_export_may_be_replaced_and_others_may_not(learned, exported, tmp_path, monkeypatch, only_float32):
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)
    drawn = load_dataset("kana", "test", LoadOptions(per_class=1))
    run = write_run(tmp_path / "run", tiny_model(len(drawn.classes), 32), drawn, per_class=1)
    for limit in (5, 6):
        card = export(run, run.export, test_limit=limit)
        assert card["test"]["images"] == limit
        assert "real_pen" not in card
    assert json.loads((run.export / "model.json").read_text(encoding="utf-8"))["test"]["images"] == 6
    with pytest.raises(UserError, match="--overwrite"):
        export(run, exported)
    with pytest.raises(UserError, match=" 0;"):
        export(run, tmp_path / "out", test_limit=0)


def test_the_command_says_what_is_missing(tmp_path, capsys, learned):
    assert main(["export", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    run = write_run(tmp_path / "run", learned[1], learned[0])
    assert main(["export", str(run.path), "--data-dir", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(MissingFileError, match=r"best\.keras"):
        export(run, run.export, file="best")
