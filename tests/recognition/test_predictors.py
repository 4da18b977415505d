"""One interface over every kind of file, and one sentence for each file that is not a recognizer."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.models.neighbors import fit_neighbors, save_neighbors
from kuzushiji_tf.recognition import cards
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from tests.tiny import SIZE, tiny_model, write_run

pytest_plugins = ["tests.exported"]

FILES = ("float32", "float16", "int8", "keras", "saved_model")


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    """A copy of the exported folder that a test may spoil."""
    return shutil.copytree(exported, tmp_path / "copy")


def _probabilities(learned) -> np.ndarray:
    dataset, model = learned
    logits = model.predict(dataset.images[..., None].astype(np.float32), verbose=0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("file", FILES)
def test_every_file_of_an_export_gives_the_probabilities_of_the_trained_model(exported, learned, file):
    predictor = load_predictor(exported, file)
    found = predictor.predict(learned[0].images)
    assert found.dtype == np.float32
    assert np.abs(found - _probabilities(learned)).max() < {"int8": 0.3, "float16": 0.01}.get(file, 5e-5)
    assert (predictor.image_size, predictor.normalization) == ((SIZE, SIZE), "none")
    assert predictor.labels == learned[0].classes


@pytest.mark.parametrize("name", ["model-int8.tflite", "model.keras", "saved_model"])
def test_a_file_of_an_export_is_the_same_recognizer_when_named_directly(exported, learned, name):
    images = learned[0].images[:20]
    key = {"model-int8.tflite": "int8", "model.keras": "keras"}.get(name, name)
    direct = load_predictor(exported / name)
    assert np.array_equal(direct.predict(images), load_predictor(exported, key).predict(images))
    assert direct.labels == learned[0].classes


def test_a_run_gives_probabilities_of_its_final_or_best_weights(learned, tmp_path):
    dataset, model = learned
    workdir = write_run(tmp_path / "run", model, dataset)
    tiny_model(len(dataset.classes), seed=7).save(workdir.best)
    final, best = (load_predictor(workdir.path, file).predict(dataset.images) for file in (None, "best"))
    assert np.abs(final - _probabilities(learned)).max() < 1e-5
    assert np.abs(final - best).max() > 0.1
    assert np.allclose(best.sum(axis=1), 1, atol=1e-5)


def test_a_run_on_drawn_characters_normalizes_by_the_ink(tmp_path, learned):
    dataset, model = learned
    drawn = write_run(tmp_path / "run", model, replace(dataset, normalization="ink-box"))
    assert load_predictor(drawn.path).normalization == "ink-box"
    assert load_predictor(drawn.final).normalization == "ink-box"


def test_a_softmax_at_the_end_of_a_keras_file_is_not_applied_twice(tmp_path):
    tiny_model(3, activation="softmax").save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE)).astype(np.uint8)
    once = tiny_model(3, activation="softmax").predict(images[..., None].astype(np.float32), verbose=0)
    predictor = load_predictor(tmp_path / "model.keras", labels=Labels(tuple("あいう")))
    assert np.allclose(predictor.predict(images), once, atol=1e-6)


def test_a_model_whose_last_layer_is_named_probabilities_gets_no_softmax():
    import keras

    image = keras.Input((SIZE, SIZE, 1), name="image")
    mean = keras.layers.Flatten()(keras.layers.AveragePooling2D(SIZE)(keras.layers.Rescaling(1 / 255)(image)))
    probable = keras.Model(image, keras.layers.Dense(3, activation="sigmoid", name="probabilities")(mean))
    assert with_probabilities(probable) is probable
    other = keras.Model(image, keras.layers.Dense(3, activation="sigmoid", name="logits")(mean))
    assert with_probabilities(other).layers[-1].name == "probabilities"


def test_a_nearest_neighbor_run_is_a_recognizer_that_is_not_exported(learned, tmp_path):
    dataset, model = learned
    workdir = write_run(tmp_path / "run", model, dataset)
    workdir.final.unlink()
    path = workdir.path / "final.npz"
    config = TrainingConfig(dataset="kmnist", model="nearest_neighbors")
    save_neighbors(fit_neighbors(config, dataset, np.arange(len(dataset))), path)
    predictor = load_predictor(workdir.path)
    assert (predictor.path, predictor.image_size, predictor.labels) == (path, (SIZE, SIZE), dataset.classes)
    assert np.array_equal(predictor.predict(dataset.images), np.eye(10, dtype=np.float32)[dataset.labels])
    assert np.array_equal(load_predictor(path).predict(dataset.images[:5]), predictor.predict(dataset.images[:5]))
    with pytest.raises(UserError, match=r"final\.npz .*nearest-neighbor"):
        load_keras(predictor.path)
    with pytest.raises(MissingFileError, match=r"best\.keras"):
        load_predictor(workdir.path, "best")


def test_a_network_comes_before_neighbors_left_beside_it(learned, tmp_path):
    workdir = write_run(tmp_path / "run", learned[1], learned[0])
    (workdir.path / "final.npz").write_bytes(b"")
    assert load_predictor(workdir.path).path == workdir.final


def test_integers_at_the_border_are_quantized_by_scale_and_zero_point(learned, tmp_path):
    import tensorflow as tf

    dataset, model = learned
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None, ..., None].astype(np.float32)] for image in dataset.images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    predictor = load_predictor(tmp_path / "model.tflite", labels=dataset.classes)
    logits = model.predict(dataset.images[..., None].astype(np.float32), verbose=0)
    found = predictor.run(dataset.images)
    assert np.abs(found - logits).max() < 0.15 * np.abs(logits).max()
    with pytest.raises(UserError, match=r"outside 0\.\.1"):
        predictor.predict(dataset.images)


def test_no_images_give_no_rows(exported):
    assert load_predictor(exported).predict(np.zeros((0, SIZE, SIZE), np.uint8)).shape == (0, 10)


def test_images_of_another_size_or_type_are_refused(exported):
    predictor = load_predictor(exported)
    for images in (np.zeros((1, 28, 28), np.uint8), np.zeros((1, SIZE, SIZE), np.float32)):
        with pytest.raises(UserError, match=r"uint8 \[n, 12, 12\]"):
            predictor.predict(images)


def test_not_a_number_is_refused():
    def run(images):
        return np.full((len(images), 2), np.nan, np.float32)

    broken = Predictor(Path("model.keras"), Labels(("あ", "い")), (4, 4), "none", run)
    with pytest.raises(UserError, match="outside 0"):
        broken.predict(np.zeros((1, 4, 4), np.uint8))


@pytest.mark.parametrize("name", ["model.tflite", "model.keras", "model.npz"])
@pytest.mark.parametrize("content", [b"", b"not a model\n" * 40, b"\x18\0\0\0TFL3", b"PK\3\4" + bytes(100)])
def test_a_foreign_file_under_a_model_name_is_refused_in_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} .*(export|train)") as caught:
        load_predictor(tmp_path / name, labels=Labels(("あ", "い")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["model-float32.tflite", "model.keras"])
def test_a_truncated_file_is_refused(exported, tmp_path, file):
    whole = (exported / file).read_bytes()
    cut = tmp_path / file
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"\.(tflite|keras) file"):
        load_predictor(cut, labels=Labels.read(exported / "labels.txt"))


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_an_export_with_one_changed_byte_is_refused(folder, file):
    path = {"keras": folder / "model.keras", "saved_model": folder / "saved_model" / "saved_model.pb"}.get(
        file, folder / f"model-{file}.tflite"
    )
    content = bytearray(path.read_bytes())
    content[-300] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_predictor(folder, file)


def test_a_damaged_saved_model_without_a_card_is_refused(folder):
    (folder / "model.json").unlink()
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"no protobuf")
    with pytest.raises(UserError, match="SavedModel"):
        load_predictor(folder / "saved_model")


def test_unknown_classes_are_asked_for(exported, tmp_path):
    bare = tmp_path / "model.tflite"
    bare.write_bytes(cards.model_bytes(exported / "model-int8.tflite"))
    with pytest.raises(UserError, match=r"labels\.txt"):
        load_predictor(bare)
    shutil.copy(exported / "labels.txt", tmp_path)
    assert load_predictor(bare).labels == Labels.read(exported / "labels.txt")


def test_another_number_of_classes_is_refused(exported):
    with pytest.raises(UserError, match=r"10 classes.* 2"):
        load_predictor(exported, labels=Labels(("あ", "い")))


def test_a_file_of_any_image_size_says_that_it_does_not_know_the_right_one(exported):
    with pytest.raises(UserError, match="any size"):
        load_predictor(exported / "model-dynamic.tflite")


def test_a_model_with_two_inputs_or_colors_is_refused(tmp_path):
    import keras

    gray, color = keras.Input((8, 8, 1)), keras.Input((8, 8, 3))
    flat = keras.layers.Flatten()
    keras.Model([gray, color], keras.layers.Add()([flat(gray), flat(gray)])).save(tmp_path / "two.keras")
    keras.Model(color, flat(color)).save(tmp_path / "color.keras")
    with pytest.raises(UserError, match="2 inputs and 1 outputs"):
        load_predictor(tmp_path / "two.keras", labels=Labels(("あ", "い")))
    with pytest.raises(UserError, match=r"\[None, 8, 8, 3\]"):
        load_predictor(tmp_path / "color.keras", labels=Labels(("あ", "い")))


def test_a_missing_file_is_named_with_those_that_are_there(folder):
    (folder / "model.keras").unlink()
    shutil.rmtree(folder / "saved_model")
    with pytest.raises(MissingFileError, match=r"model\.keras.*float32, float16, int8"):
        load_predictor(folder, "keras")


def test_places_without_a_recognizer_are_told_apart(tmp_path, folder, learned):
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "empty").mkdir()
    workdir = write_run(tmp_path / "run", learned[1], learned[0])
    workdir.final.unlink()
    for path, file, message in (
        (tmp_path / "absent", None, "absent"),
        (tmp_path / "notes.txt", None, r"\.keras.*\.tflite.*\.npz"),
        (tmp_path / "empty", None, "empty"),
        (folder / "model.keras", "int8", "'int8'"),
        (folder, "int9", "'int8'"),
        (workdir.path, None, r"final\.keras"),
        (workdir.path, "bets", "'best'"),
    ):
        with pytest.raises(UserError, match=message):
            load_predictor(path, file)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {}}', '{"files": [], "input": {"normalization": "none"}}'])
def test_a_foreign_card_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError, match=r"model\.json"):
        read_card(tmp_path)
