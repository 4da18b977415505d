"""The table of results: medians of seeds, rows that are kept, and a page that says what wrote it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kuzushiji_tf import results
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.results import COLUMNS, Measured, Recipe, make_rows, merge, read_recipe, write_results

CONFIG = TrainingConfig(dataset="kmnist", epochs=5)
RECIPE = Recipe("kmnist", CONFIG, "0.9918", "somebody's README")


def run(
    seed: int, accuracy: float, config: TrainingConfig = CONFIG, path: str = "runs/one", model: str = "vgg", **figures
) -> Measured:
    figures = {"parameters": 1000, "accuracy": accuracy, "minutes": 2.0, "epochs": 5.0, **figures}
    return Measured(Path(path), replace(config, seed=seed), model, "2 x CPU", "test", figures)


def test_seeds_are_one_row_with_the_median_of_each_figure():
    runs = [run(3, 0.7, int8_bytes=101), run(1, 0.9, int8_bytes=103), run(2, 0.5)]
    (row,) = make_rows(runs, [RECIPE])
    assert tuple(row) == COLUMNS
    assert (row["recipe"], row["seeds"], row["published"], row["device"]) == ("kmnist", "1 2 3", "0.9918", "2 x CPU")
    assert (row["accuracy"], row["int8_bytes"], row["epochs"], row["minutes"]) == ("0.7", "102", "5", "2.00")
    assert row["macs"] == row["float32_latency_ms"] == ""


def test_other_knobs_are_another_row_named_after_the_folder():
    other = replace(CONFIG, epochs=9)
    rows = make_rows([run(1, 0.5), run(1, 0.6, other, "runs/long-seed1"), run(2, 0.8, other, "runs/b")], [RECIPE])
    assert [(row["recipe"], row["accuracy"]) for row in rows] == [("kmnist", "0.5"), ("long", "0.7")]


def test_ensembles_of_other_members_are_other_rows():
    config = replace(CONFIG, model="ensemble")
    runs = [run(1, 0.5, config, "runs/a-seed1", "vgg+resnet18"), run(1, 0.6, config, "runs/b-seed1", "vgg+capsnet")]
    rows = make_rows([*runs, run(2, 0.7, config, "runs/a-seed2", "vgg+resnet18")], [RECIPE])
    assert [(row["recipe"], row["model"], row["seeds"]) for row in rows] == [
        ("a", "vgg+resnet18", "1 2"),
        ("b", "vgg+capsnet", "1"),
    ]


def test_some_classes_of_a_data_set_are_named_with_it():
    (row,) = make_rows([run(1, 0.5, replace(CONFIG, dataset="etl8g", classes="kanji"))], [RECIPE])
    assert row["dataset"] == "etl8g kanji"


def test_of_two_runs_with_one_seed_the_last_counts():
    (row,) = make_rows([run(1, 0.5), run(1, 0.6)], [RECIPE])
    assert (row["seeds"], row["accuracy"]) == ("1", "0.6")


def test_rows_of_other_recipes_stay_and_those_asked_for_are_replaced(tmp_path):
    second = Recipe("second", replace(CONFIG, dataset="k49"))
    write_results(tmp_path, make_rows([run(1, 0.5), run(1, 0.4, second.config)], [RECIPE, second]), {}, "first")
    rows = merge(tmp_path / "results.csv", make_rows([run(1, 0.8)], [RECIPE]))
    assert [(row["recipe"], row["accuracy"]) for row in rows] == [("second", "0.4"), ("kmnist", "0.8")]


def test_a_table_of_other_columns_is_refused(tmp_path):
    (tmp_path / "results.csv").write_text("recipe,accuracy\nmine,0.9\n")
    with pytest.raises(UserError, match="other columns"):
        merge(tmp_path / "results.csv", [])


def test_the_page_begins_with_the_command_and_has_every_row_and_source(tmp_path):
    rows = make_rows([run(1, 0.98765, macs=31e6), run(1, 0.5, replace(CONFIG, dataset="k49"))], [RECIPE])
    write_results(tmp_path, rows, {"kmnist": RECIPE}, "python benchmarks/leaderboard.py --collect runs/one")
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "    python benchmarks/leaderboard.py --collect runs/one"
    for words in ("## kmnist", "## k49", "| 98.77% |", "| 31.0 |", "| 99.18% |", "somebody's README"):
        assert words in text
    cells = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert cells == {17}
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows
    with Image.open(tmp_path / "accuracy-against-size.png") as picture:
        assert picture.format == "PNG" and picture.height == 840


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# published: 0.9918 (hysts, 200 epochs)", ("0.9918", "hysts, 200 epochs")),
        ("# published: 0.921", ("0.921", "")),
        ("# published: none that can be trusted", ("", "none that can be trusted")),
        ("# reached 98 %; published: 99 %", ("", "")),
    ],
)
def test_the_published_figure_stands_in_the_recipe(tmp_path, line, expected):
    (tmp_path / "mine.toml").write_text(f"# python train.py\n{line}\nepochs = 5\n")
    recipe = read_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.config.epochs) == ("mine", 5)
    assert (recipe.published, recipe.source) == expected


@pytest.mark.parametrize("figure", ["99.18 %", "1.2", "99.18"])
def test_a_published_figure_that_is_no_fraction_is_refused(tmp_path, figure):
    (tmp_path / "mine.toml").write_text(f"# published: {figure} (somebody)\n")
    with pytest.raises(UserError, match="write a fraction"):
        read_recipe(tmp_path / "mine.toml")


def test_the_projects_recipes_can_be_read():
    paths = sorted((Path(results.__file__).parents[1] / "recipes").glob("*.toml"))
    assert len({read_recipe(path).config for path in paths}) == len(paths) > 5
