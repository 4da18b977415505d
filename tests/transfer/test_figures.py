"""The figure shows what was asked for, with every label on the page, and refuses what it cannot show."""

import itertools

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.cli import main
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.figures import to_array
from kuzushiji_tf.transfer import figures
from kuzushiji_tf.transfer.figures import choose_figure, transfer_figure
from kuzushiji_tf.transfer.pairs import load_old, split_of
from tests.evaluation.test_contact_sheets import _texts
from tests.toy_chains import knowing_chain
from tests.transfer_data import KANJI, LACKING, MODERN_ONLY

# What Keras does to save the chain is not the figure's doing.
pytestmark = pytest.mark.filterwarnings("error", "ignore:__array__ implementation:DeprecationWarning")
pytest_plugins = ["tests.untrained_chain"]

SEEN, UNSEEN, HELD_OUT = (
    "".join(character for character in KANJI if split_of(character) == side)
    for side in ("train", "unseen", "validation")
)


@pytest.fixture(autouse=True)
def _few(few_characters):
    """No test here looks for real data."""


def test_characters_are_put_on_their_side():
    chosen = choose_figure(None, UNSEEN[:1] + SEEN[:2] + SEEN[:1])
    assert chosen["seen"].old == tuple(SEEN[:2]) and chosen["unseen"].old == (UNSEEN[0],)
    assert chosen["seen"].new == chosen["seen"].old and chosen["seen"].images.shape == (2, 64, 64)
    assert not len(choose_figure(None, SEEN[:2])["unseen"])


def test_a_choice_without_names_is_seeded():
    one, same, other = (choose_figure(None, count=3, seed=seed) for seed in (0, 0, 1))
    assert one["seen"].old == same["seen"].old != other["seen"].old
    assert np.array_equal(one["unseen"].images, same["unseen"].images)
    assert len(one["seen"]) == 3 and set(one["seen"].old) <= set(SEEN) and set(one["unseen"].old) <= set(UNSEEN)


def test_common_characters_are_chosen_as_often_as_scores_meet_them(monkeypatch):
    def with_many_of_one(*arguments):
        dataset = load_old(*arguments)
        return dataset.select(np.concatenate([np.arange(len(dataset)), np.zeros(9 * len(dataset), np.int64)]))

    monkeypatch.setattr(figures, "load_old", with_many_of_one)
    shown = [choose_figure(None, count=1, seed=seed)["seen"].old[0] for seed in range(20)]
    common = max(shown, key=shown.count)
    assert shown.count(common) >= 14


@pytest.mark.parametrize(
    ("character", "facts"),
    [
        (LACKING, "KanjiVG .*☃"),
        (MODERN_ONLY[0], f"Kuzushiji-Kanji .*{MODERN_ONLY[0]}"),
        (HELD_OUT[0], f"{HELD_OUT[0]}.* validation"),
    ],
)
def test_a_character_that_cannot_be_shown_is_refused(character, facts):
    with pytest.raises(UserError, match=facts):
        choose_figure(None, SEEN[0] + character)


def test_a_row_shows_each_step_in_its_column():
    figure = transfer_figure(knowing_chain(), choose_figure(None, SEEN[0]), samples=2, temperature=0)
    page = to_array(figure)[..., 0]
    top = page.shape[0] - 16 - 96
    columns = [page[top : top + 88, 90 + 96 * place : 90 + 96 * place + 88] for place in range(7)]
    for image in columns:
        assert image.min() < 100  # there is ink in it
    # This chain draws the modern character wherever it draws.
    modern = columns[2].astype(int)
    for place in (1, 3, 4):
        assert np.abs(columns[place] - modern).mean() < 1
    for place in (5, 6):
        assert np.corrcoef(columns[place].ravel(), modern.ravel())[0, 1] > 0.5


@pytest.mark.parametrize("characters", [SEEN[:3] + UNSEEN[:2], UNSEEN[:1]])
def test_labels_stay_on_the_page_and_apart(characters):
    figure = transfer_figure(knowing_chain(), choose_figure(None, characters), samples=3)
    texts = _texts(figure)
    assert set(characters) <= {text.get_text() for text in texts}
    assert any("unseen characters" in text.get_text() for text in texts)
    width, height = figure.bbox.size
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text.get_text()
    for first, second in itertools.combinations(boxes, 2):
        assert not first.shrunk(0.95, 0.95).overlaps(second.shrunk(0.95, 0.95))


def test_a_figure_of_nothing_is_refused():
    with pytest.raises(UserError, match="character"):
        transfer_figure(knowing_chain(), choose_figure(None, ""))
    with pytest.raises(UserError, match="sample"):
        transfer_figure(knowing_chain(), choose_figure(None, SEEN[0]), samples=0)


def test_the_command_writes_the_picture(exported_chain, tmp_path, capsys):
    out = tmp_path / "figure.png"
    command = ["transfer", "figure", str(exported_chain), "--output", str(out), "--samples", "2"]
    assert main([*command, "--characters", SEEN[:2] + UNSEEN[0]]) == 0
    assert capsys.readouterr().out == f"{out}: seen: {SEEN[:2]}; unseen: {UNSEEN[0]}\n"
    with Image.open(out) as image:
        assert image.size[0] == 16 + 74 + 7 * 96 + 16
    assert main([*command, "--characters", LACKING]) == 2
    assert LACKING in capsys.readouterr().err
    assert main([*command[:-3], str(tmp_path)]) == 2
    assert "--output" in capsys.readouterr().err
