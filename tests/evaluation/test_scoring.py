"""Evaluation: classes matched by character, honest counts, files that appear whole."""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation import reports
from kuzushiji_tf.evaluation.scoring import match_classes, score
from kuzushiji_tf.files import atomic_folder
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.recognition.predictors import Predictor

FILES = {
    "metrics.json",
    "per_class.csv",
    "confusion.csv",
    "predictions.npz",
    "confusion_matrix.png",
    "confused_pairs.png",
    "worst_mistakes.png",
    "reliability.png",
}


def _dataset(characters: str, labels: list[int], size: tuple[int, int] = (12, 12)) -> CharacterDataset:
    """Return images whose every pixel is 10 times the position of their character in the alphabet of `_predictor`."""
    values = np.array([10 * "あいうえお".find(characters[label]) for label in labels]).clip(0).astype(np.uint8)
    images = np.broadcast_to(values[:, None, None], (len(labels), *size))
    classes = Labels(tuple(characters))
    return CharacterDataset("toy", "test", images, np.array(labels, np.int32), classes, "CC0", "nobody")


def _predictor(characters: str = "あいうえお", size: tuple[int, int] = (12, 12), right: float = 0.9) -> Predictor:
    """Return a stand-in that reads the pixels of `_dataset`; `right` below 0.5 makes it take each for the next."""

    def run(images: np.ndarray) -> np.ndarray:
        order = ["あいうえお".find(character) for character in characters]
        true = np.array([order.index(value) for value in images[:, 0, 0] // 10])
        probabilities = np.zeros((len(images), len(characters)), np.float32)
        probabilities[np.arange(len(images)), true] = right
        probabilities[np.arange(len(images)), (true + 1) % len(characters)] = 1 - right
        return probabilities

    return Predictor(Path("stand-in"), Labels(tuple(characters)), size, "none", run)


def test_classes_are_matched_by_character_whatever_their_order():
    result = score(_predictor("おえあいう"), _dataset("うあいおえ", [0, 1, 2, 3, 4, 4]))
    assert result["accuracy"] == 1.0
    assert result["count"] == 6
    assert result["left_out"] == 0


def test_characters_that_the_model_does_not_know_are_left_out_and_counted():
    result = score(_predictor("あいう"), _dataset("かうあき", [0, 0, 1, 2, 2, 2]))
    assert result["count"] == 4
    assert result["left_out"] == 2
    assert result["left_out_characters"] == ["か"]
    assert (result["classes"], result["classes_tested"]) == (3, 2)


def test_matched_rows_say_where_each_image_stood():
    tested, rows, left_out = match_classes(_dataset("かうあ", [0, 1, 0, 2]), Labels(("あ", "う")))
    assert rows.tolist() == [1, 3]
    assert tested.labels.tolist() == [1, 0]
    assert tested.labels.dtype == np.int32
    assert tested.classes.characters == ("あ", "う")
    assert dict(left_out) == {"か": 2}


def test_scores_are_of_characters_alone_and_what_is_none_is_rejected():
    def read(images):  # あ, い and what is none: 0, 10 and 20; there are surer and less sure ones of the latter
        value = images[:, 0, 0]
        return np.eye(3, dtype=np.float32)[np.minimum(value // 10, 2)] * 0.8 + np.float32(0.2 / 3)

    labels = np.array([0, 1, 0, 2, 2, 2], np.int32)
    values = np.array([0, 10, 20, 20, 20, 0], np.uint8)  # the third is refused, the last is taken for あ
    images = np.broadcast_to(values[:, None, None], (6, 12, 12))
    classes = Labels(("あ", "い", UNKNOWN))
    dataset = CharacterDataset("toy", "test", images, labels, classes, "CC0", "nobody")
    result = score(Predictor(Path("model.tflite"), classes, (12, 12), "none", read), dataset)
    assert result["count"] == 3
    assert [result[key] for key in ("accuracy", "refused", "rejected")] == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    with pytest.raises(UserError, match="no characters"):
        score(Predictor(Path("model.tflite"), classes, (12, 12), "none", read), dataset.select(np.array([3, 4])))


def test_a_data_set_without_a_common_character_is_refused():
    with pytest.raises(UserError, match="none of the characters"):
        score(_predictor("あいう"), _dataset("かき", [0, 1]))


def test_a_data_set_without_images_is_refused():
    with pytest.raises(UserError, match="has no images"):
        score(_predictor(), _dataset("あい", []))


def test_every_file_is_written_and_says_the_same(tmp_path):
    predictor, dataset = _predictor("おあいえう", right=0.3), _dataset("あいうか", [0, 0, 1, 3, 2])
    output = tmp_path / "evaluation" / "toy-test"
    result = score(predictor, dataset, output)
    assert {path.name for path in output.iterdir()} == FILES
    assert json.loads((output / "metrics.json").read_text(encoding="utf-8")) == result
    assert result["accuracy"] == 0.0
    with open(output / "per_class.csv", encoding="utf-8", newline="") as stream:
        rows = {row["character"]: row for row in csv.DictReader(stream)}
    assert list(rows) == list("おあいえう")
    assert rows["あ"] == {
        "index": "1",
        "character": "あ",
        "code_point": "U+3042",
        "support": "2",
        "precision": "",
        "recall": "0.000000",
        "f1": "0.000000",
    }
    assert (output / "confusion.csv").read_text(encoding="utf-8").splitlines() == [
        "true,true_code_point,predicted,predicted_code_point,count",
        "あ,U+3042,い,U+3044,2",
        "い,U+3044,え,U+3048,1",
        "う,U+3046,お,U+304A,1",
    ]
    with np.load(output / "predictions.npz", allow_pickle=False) as arrays:
        assert arrays["rows"].tolist() == [0, 1, 2, 4]
        assert arrays["labels"].tolist() == [1, 1, 2, 4]
        assert arrays["predicted"].tolist() == [2, 2, 3, 0]
        assert arrays["top_classes"].shape == arrays["top_probabilities"].shape == (4, 5)
        np.testing.assert_allclose(arrays["top_probabilities"][0], [0.7, 0.3, 0, 0, 0], atol=1e-6)
    for picture in output.glob("*.png"):
        with Image.open(picture) as image:
            assert image.format == "PNG"
            assert 300 < image.width < 2000


def test_the_worst_classes_name_what_they_are_taken_for():
    result = score(_predictor(right=0.4), _dataset("あいう", [0, 0, 2]))
    assert result["worst_classes"][0] == {"character": "あ", "support": 2, "recall": 0.0, "taken_for": {"い": 2}}
    assert score(_predictor(), _dataset("あいう", [0, 0, 2]))["worst_classes"] == []


def test_an_evaluation_without_mistakes_is_drawn(tmp_path):
    result = score(_predictor(), _dataset("あいう", [0, 1, 2]), tmp_path / "out")
    assert result["accuracy"] == 1.0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_learning_curves_are_drawn_where_there_is_a_history(tmp_path):
    history = tmp_path / "history.csv"
    with pytest.raises(MissingFileError):
        score(_predictor(), _dataset("あ", [0]), tmp_path / "out", history)
    history.write_text("epoch,loss,accuracy,learning_rate\n1,1.5,0.5,0.1\n")
    score(_predictor(), _dataset("あ", [0]), tmp_path / "out", history)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"learning_curves.png"}


def _broken(*_):
    raise RuntimeError("broken")


@pytest.mark.parametrize("stage", ["predicting", "drawing"])
def test_a_failure_leaves_the_earlier_evaluation_in_place(tmp_path, monkeypatch, stage):
    output = tmp_path / "out"
    score(_predictor(), _dataset("あい", [0, 1]), output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    predictor = _predictor(right=0.2)
    if stage == "predicting":
        predictor = replace(predictor, run=_broken)
    else:
        monkeypatch.setattr(reports, "reliability_diagram", _broken)
    with pytest.raises(RuntimeError, match="broken"):
        score(predictor, _dataset("あい", [0, 1]), output)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_second_evaluation_into_a_folder_is_refused_before_anything_is_computed(tmp_path):
    with atomic_folder(tmp_path / "out"), pytest.raises(UserError, match="another process"):
        score(replace(_predictor(), run=_broken), _dataset("あ", [0]), tmp_path / "out")


def test_an_earlier_evaluation_is_replaced(tmp_path):
    score(_predictor(), _dataset("あい", [0, 1]), tmp_path / "out")
    score(_predictor(right=0.2), _dataset("あい", [0, 1]), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["accuracy"] == 0.0


def test_a_folder_with_other_files_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        score(replace(_predictor(), run=_broken), _dataset("あい", [0, 1]), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match=r"thesis\.tex"):
        score(_predictor(), _dataset("あい", [0, 1]), tmp_path / "thesis.tex")


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "out").mkdir()
    score(_predictor(), _dataset("あい", [0, 1]), tmp_path / "out")
    assert (tmp_path / "out" / "metrics.json").exists()


def test_images_of_another_size_are_resized():
    result = score(_predictor(size=(12, 12)), _dataset("あいう", [0, 1, 2], size=(30, 30)))
    assert result["accuracy"] == 1.0


def test_a_recognizer_that_finds_the_inks_box_gets_its_images_that_way():
    image = np.zeros((1, 40, 20), np.uint8)
    image[0, 5:12, 3:8] = 200
    seen = []

    def run(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.ones((len(images), 1), np.float32)

    predictor = Predictor(Path("stand-in"), Labels(("あ",)), (16, 16), "ink-box", run)
    score(predictor, replace(_dataset("あ", [0]), images=image))
    np.testing.assert_array_equal(seen[0], np.rint(fit_image(image, 16, box=True)))


@pytest.mark.parametrize(("images", "model"), [((30, 20), (12, 12)), ((12, 12), (20, 30))])
def test_images_that_resizing_would_distort_are_refused(images, model):
    with pytest.raises(UserError, match="pixels"):
        score(_predictor(size=model), _dataset("あ", [0], size=images))


def test_images_of_the_models_own_size_need_not_be_square():
    assert score(_predictor(size=(20, 30)), _dataset("あ", [0], size=(20, 30)))["accuracy"] == 1.0


def test_thousands_of_classes_are_evaluated_in_seconds(tmp_path):
    labels = Labels(tuple(chr(0x4E00 + index) for index in range(3832)))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4000, 16, 16)).astype(np.uint8)
    truth = generator.integers(0, 3832, 4000).astype(np.int32)
    dataset = CharacterDataset("toy", "test", images, truth, labels, "CC0", "nobody")

    def run(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3832), 1 / 3832, np.float32)

    start = time.perf_counter()
    result = score(Predictor(Path("stand-in"), labels, (16, 16), "none", run), dataset, tmp_path / "out")
    assert time.perf_counter() - start < 30
    assert result["balanced_accuracy"] == pytest.approx(1 / result["classes_tested"])
    with open(tmp_path / "out" / "confusion.csv", encoding="utf-8", newline="") as stream:
        cells = list(csv.DictReader(stream))
    assert len(cells) == result["classes_tested"]  # every image is taken for the first class
    assert sum(int(cell["count"]) for cell in cells) == 4000
    with Image.open(tmp_path / "out" / "confusion_matrix.png") as picture:
        assert max(picture.size) < 2000
