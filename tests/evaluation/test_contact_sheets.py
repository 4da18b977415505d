"""Pictures of data sets: every label readable; a warning (such as a missing glyph) is a failure here."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.evaluation.contact_sheets import CLASSES_SHOWN, EXAMPLES, contact_sheet, imbalance_plot
from kuzushiji_tf.evaluation.figures import shown, to_array

pytestmark = pytest.mark.filterwarnings("error")

KANJI = tuple(chr(0x4E00 + index) for index in range(300))
RARE = ("𤾣", "篼", "か゚", "あ")
ONE_EACH = [1] * 300
LONG_TAIL = [2000 // (index + 1) + 1 for index in range(300)]


def _dataset(counts: list[int], classes: tuple[str, ...], size: tuple[int, int] = (8, 8)) -> CharacterDataset:
    """Every image of a class has a brightness of its own, the class's number from 1 on."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    images = np.broadcast_to((labels % 200 + 1).astype(np.uint8)[:, None, None], (len(labels), *size))
    return CharacterDataset("a+b", "train", images, labels, Labels(classes), "CC0", "nobody")


def _texts(figure: Figure) -> list[Text]:
    """Return what is really drawn: axes keep labels for ticks beyond their limits."""
    drawn, draw = [], Text.draw

    def draw_and_note(text, renderer):
        if text.get_text().strip():
            drawn.append(text)
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw_and_note)
        FigureCanvasAgg(figure).draw()
    return drawn


@pytest.mark.parametrize("draw", [contact_sheet, imbalance_plot])
@pytest.mark.parametrize(
    ("counts", "classes"),
    [(LONG_TAIL, KANJI), (ONE_EACH, KANJI), ([5] * 10, KANJI[:10]), ([9, 3, 0, 1], RARE), ([4], ("あ",))],
    ids=["long tail", "one each", "few, equal", "rare", "one class"],
)
def test_labels_stay_on_the_page_and_apart(draw, counts, classes):
    figure = draw(_dataset(counts, classes))
    texts = _texts(figure)
    boxes = [text.get_window_extent() for text in texts]
    width, height = figure.bbox.size
    for text, box in zip(texts, boxes, strict=True):
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text.get_text()
    for first, second in itertools.combinations(range(len(boxes)), 2):
        # A pixel of leeway: an extent is measured with the margin of its outlines.
        overlap = [
            min(getattr(boxes[first], high), getattr(boxes[second], high))
            - max(getattr(boxes[first], low), getattr(boxes[second], low))
            for low, high in (("x0", "x1"), ("y0", "y1"))
        ]
        assert min(overlap) <= 1, (texts[first].get_text(), texts[second].get_text())


def test_a_sheet_goes_from_the_most_frequent_class_to_the_rarest():
    dataset = _dataset(LONG_TAIL, KANJI)
    counts = [text.get_text() for text in _texts(contact_sheet(dataset))]
    numbers = [int(text.replace(",", "")) for text in counts if text.replace(",", "").isdigit()]
    assert len(numbers) == CLASSES_SHOWN
    assert numbers == sorted(numbers, reverse=True)
    assert (numbers[0], numbers[-1]) == (max(LONG_TAIL), min(LONG_TAIL))


def test_a_class_shows_as_many_examples_as_it_has_up_to_the_most():
    pixels = to_array(contact_sheet(_dataset([50, 2], KANJI[:2])))
    areas = [np.count_nonzero((pixels == brightness).all(axis=2)) for brightness in (1, 2)]
    assert areas[0] / areas[1] == pytest.approx(EXAMPLES / 2, rel=0.1)


def test_images_keep_their_proportions():
    pixels = to_array(contact_sheet(_dataset([1], ("あ",), (20, 40))))
    rows, columns = np.nonzero((pixels == 1).all(axis=2))
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(2, rel=0.1)


def test_a_character_without_a_glyph_is_named_by_its_code_point():
    texts = [text.get_text() for text in _texts(contact_sheet(_dataset([3, 2, 1, 1], RARE)))]
    assert "U+\n24FA3" in texts
    assert "あ" in texts


def test_the_plot_names_the_largest_and_the_smallest_classes_and_the_quartiles():
    texts = " ".join(text.get_text() for text in _texts(imbalance_plot(_dataset(LONG_TAIL, KANJI))))
    assert f"largest:  {KANJI[0]} 2,001" in texts
    assert f"{shown(KANJI[-1])} 7" in texts
    half = sorted(LONG_TAIL, reverse=True)[150]
    assert f"half of the classes\nhave {half} or more" in texts


@pytest.mark.parametrize("draw", [contact_sheet, imbalance_plot])
def test_a_split_without_images_has_its_picture(draw):
    assert to_array(draw(_dataset([0, 0], ("あ", "い")))).shape[2] == 3
