"""Pictures: whole, of a sane size, and with Japanese glyphs; a warning (such as a missing glyph) is a failure here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation import figures, reports
from kuzushiji_tf.evaluation.metrics import Predictions, rank, reliability

pytestmark = pytest.mark.filterwarnings("error")

KANA = Labels(tuple("あいうえおかきくけこ"))
HISTORY = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate\n1,2.5,0.2,2.4,0.3,0.1\n2,1.5,0.6,1.6,0.5,0\n"


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 28, 28)).astype(np.uint8)


def _predictions(classes: int, count: int = 200, mistakes: bool = True) -> Predictions:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, classes, count).astype(np.int32)
    scores = generator.exponential(size=(count, classes)).astype(np.float32)
    scores[np.arange(count), labels] += 1 if mistakes else 100
    return rank(scores / scores.sum(axis=1, keepdims=True), labels)


def _saved(figure, folder: Path) -> Image.Image:
    figures.save(figure, folder / "picture.png")
    with Image.open(folder / "picture.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        return picture.convert("RGB")


def _is_drawn(picture: Image.Image) -> bool:
    return len(picture.getcolors(1 << 24)) > 20


@pytest.mark.parametrize("mistakes", [True, False], ids=["mistakes", "no mistakes"])
def test_pictures_of_an_evaluation_are_drawn_with_and_without_mistakes(images, tmp_path, mistakes):
    predictions = _predictions(10, mistakes=mistakes)
    assert predictions.correct.all() == (not mistakes)
    for figure in (
        reports.confusion_figure(predictions.confusion_matrix, KANA),
        reports.confused_pairs(images, predictions, KANA),
        reports.worst_mistakes(images, predictions, KANA),
        reports.reliability_diagram(reliability(predictions)),
    ):
        picture = _saved(figure, tmp_path)
        assert 400 <= picture.width <= 1600
        assert 100 <= picture.height <= 1600
        assert _is_drawn(picture)


def test_japanese_characters_are_drawn_and_differ_from_each_other():
    pages = []
    for character in "あ漢":
        sheet = figures.Sheet(40, 40)
        sheet.text(20, 20, character, size=20)
        pages.append(figures.to_array(sheet.figure))
    assert all(page.min() < 100 for page in pages)
    assert (pages[0] != pages[1]).any()


def test_a_character_without_a_glyph_is_shown_as_its_code_point(images, tmp_path):
    assert figures.shown("あ") == "あ"
    assert figures.shown("𤾣") == "U+24FA3"
    rare = Labels(("𤾣", "篼", "々"))
    predictions = _predictions(3)
    _saved(reports.confusion_figure(predictions.confusion_matrix, rare), tmp_path)
    _saved(reports.worst_mistakes(images, predictions, rare), tmp_path)
    _saved(reports.confused_pairs(images, predictions, rare), tmp_path)


def test_drawing_leaves_the_programs_own_matplotlib_settings_alone():
    code = (
        "import matplotlib, sys\n"
        "settings = lambda: {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != 'backend'}\n"
        "before = settings()\n"
        "from kuzushiji_tf.evaluation import figures; figures.to_array(figures.Sheet(9, 9).figure)\n"
        "assert settings() == before, 'settings changed'\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_confused_class_without_test_images_is_printed_instead(images, tmp_path):
    labels = np.zeros(200, np.int32)
    predictions = rank(np.tile(np.array([[0.3, 0.7]], np.float32), (200, 1)), labels)
    assert _is_drawn(_saved(reports.confused_pairs(images, predictions, KANA), tmp_path))


def test_confusion_image_is_an_rgb_array():
    image = reports.confusion_image(_predictions(10).confusion_matrix, KANA)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert min(image.shape[:2]) > 400


def test_mistakes_are_red_and_right_answers_blue():
    right = reports.confusion_image(np.diag([5, 5]).astype(np.int32), KANA).astype(int)
    wrong = reports.confusion_image(np.array([[0, 5], [5, 0]], np.int32), KANA).astype(int)
    middle = slice(right.shape[1] // 3)  # left of the color bar
    assert (right[:, middle, 2] - right[:, middle, 0]).max() > 100
    assert (wrong[:, middle, 2] - wrong[:, middle, 0]).max() < 30


def test_of_thousands_of_classes_only_the_most_confused_are_drawn():
    classes = Labels(tuple(chr(0x4E00 + index) for index in range(3832)))
    matrix = np.eye(3832, dtype=np.int32)
    matrix[7, 3000] = 4
    image = reports.confusion_image(matrix, classes)
    assert max(image.shape) < 1200
    assert max(reports.confusion_image(np.eye(3832, dtype=np.int32), classes).shape) < 1200
    chosen = reports.confusion_figure(matrix, classes).axes[0].get_yticklabels()
    assert [label.get_text() for label in chosen] == [figures.shown(classes[7]), figures.shown(classes[3000])]


@pytest.mark.parametrize(("classes", "pairs"), [(60, 12), (81, 50)])
def test_of_many_classes_more_confused_pairs_are_drawn(images, classes, pairs):
    labels = Labels(tuple(chr(0x4E00 + index) for index in range(classes)))
    figure = reports.confused_pairs(images, _predictions(classes), labels)
    assert sum("→" in text.get_text() for text in figure.axes[0].texts) == pairs


def test_classes_that_play_no_part_are_left_out_of_the_confusion_matrix():
    matrix = np.zeros((10, 10), np.int32)
    matrix[2, 2], matrix[2, 5] = 3, 1
    axes = reports.confusion_figure(matrix, KANA).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["う", "か"]


@pytest.mark.parametrize("titles", [None, list("あいうえおかき")], ids=["plain", "titled"])
def test_image_grid_shows_every_image_unchanged(images, titles):
    images = np.array([np.full((28, 20), 30 * (index + 1), np.uint8) for index in range(7)])
    grid = reports.image_grid(images, titles)
    assert grid.dtype == np.uint8
    assert grid.shape[2] == 3
    for index in range(7):
        shown = np.count_nonzero((grid == 30 * (index + 1)).all(axis=2))
        assert shown >= 28 * 20 * 4


def test_image_grid_needs_images_and_a_title_for_each(images):
    with pytest.raises(ValueError, match="0 images"):
        reports.image_grid(images[:0])
    with pytest.raises(ValueError, match="titles"):
        reports.image_grid(images[:3], ["あ"])


@pytest.mark.parametrize(
    ("history", "lines"),
    [
        (HISTORY, [2, 2, 1]),
        ("epoch,loss,accuracy,learning_rate\n1,2.5,0.2,0.1\n", [1, 1, 1]),
        ("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate\n1,2.5,0.2,,,0.1\n", [2, 2, 1]),
        (
            "epoch,loss,accuracy,precision,recall,val_precision,val_recall,learning_rate\n"
            "1,2.5,0.2,0.3,0.2,0.4,0.3,0.1\n2,1.5,0.6,0.6,0.6,0.5,0.6,0\n",
            [1, 1, 1, 2, 2],
        ),
    ],
    ids=["validation", "none", "blank", "precision and recall"],
)
def test_learning_curves_take_histories_with_and_without_validation(tmp_path, history, lines):
    (tmp_path / "history.csv").write_text(history)
    figure = reports.learning_curves(tmp_path / "history.csv")
    assert [len(axes.lines) for axes in figure.axes] == lines
    picture = _saved(figure, tmp_path)
    assert picture.width > 1000


@pytest.mark.parametrize("history", ["", "epoch,loss\n", "epoch,loss\n1,high\n", "loss\n1\n"])
def test_a_damaged_history_is_refused_in_one_sentence(tmp_path, history):
    (tmp_path / "history.csv").write_text(history)
    with pytest.raises(UserError, match=r"\.csv is not"):
        reports.learning_curves(tmp_path / "history.csv")


def test_a_missing_history_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"\.csv"):
        reports.learning_curves(tmp_path / "history.csv")
