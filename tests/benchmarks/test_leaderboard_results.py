"""The table of results: medians of seeds, rows that are kept, and a page that says what wrote it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from leaderboard_recipes import EnsembleRecipe, Recipe
from leaderboard_results import COLUMNS, Measured, make_rows, merge, write_results
from PIL import Image

from kuzushiji_tf.config import Leaderboard, TrainingConfig
from kuzushiji_tf.errors import UserError

CONFIG = TrainingConfig(dataset="kmnist", epochs=5)
RECIPE = Recipe(Path("kmnist.toml"), CONFIG, Leaderboard(0.9918, "somebody's README"))


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


def test_other_settings_are_another_row_named_after_the_folder():
    other = replace(CONFIG, epochs=9)
    rows = make_rows([run(1, 0.5), run(1, 0.6, other, "runs/long-seed1"), run(2, 0.8, other, "runs/b")], [RECIPE])
    assert [(row["recipe"], row["accuracy"]) for row in rows] == [("kmnist", "0.5"), ("long", "0.7")]


def ensemble(accuracy: float, seeds: tuple[int, ...], second: TrainingConfig, weights: str, path: str) -> Measured:
    members = tuple(replace(config, seed=seed) for config, seed in zip((CONFIG, second), seeds, strict=True))
    one = run(seeds[0], accuracy, replace(CONFIG, model="ensemble"), path, "vgg+capsnet")
    return replace(one, members=members, weights=weights)


def test_ensembles_are_told_apart_by_the_settings_of_their_members_and_their_weights():
    second, other = replace(CONFIG, model="capsnet"), replace(CONFIG, model="capsnet", epochs=9)
    recipe = EnsembleRecipe(
        Path("both.toml"),
        ((RECIPE, None), (Recipe(Path("capsnet.toml"), second), None)),
        "equal",
        Leaderboard(0.989, "somebody"),
    )
    rows = make_rows(
        [
            ensemble(0.5, (1, 1), second, "equal", "runs/a"),
            ensemble(0.6, (1, 1), other, "equal", "runs/other-seed1"),
            ensemble(0.7, (1, 1), second, "validation", "runs/weighted"),
            ensemble(0.9, (1, 3), second, "equal", "runs/b"),
            ensemble(0.8, (2, 2), second, "equal", "runs/c"),
        ],
        [RECIPE, recipe],
    )
    assert [(row["recipe"], row["seeds"], row["accuracy"], row["published"]) for row in rows] == [
        ("both", "1 2 3", "0.8", "0.989"),
        ("other", "1", "0.6", ""),
        ("weighted", "1", "0.7", ""),
    ]


def test_some_classes_of_a_data_set_are_named_with_it():
    (row,) = make_rows([run(1, 0.5, replace(CONFIG, dataset="etl8g", classes="kanji"))], [RECIPE])
    assert row["dataset"] == "etl8g kanji"


def test_of_two_runs_with_one_seed_the_last_counts():
    (row,) = make_rows([run(1, 0.5), run(1, 0.6)], [RECIPE])
    assert (row["seeds"], row["accuracy"]) == ("1", "0.6")


def test_rows_of_other_recipes_stay_and_those_asked_for_are_replaced(tmp_path):
    second = Recipe(Path("second.toml"), replace(CONFIG, dataset="k49"))
    write_results(tmp_path, make_rows([run(1, 0.5), run(1, 0.4, second.config)], [RECIPE, second]), {})
    rows = merge(tmp_path / "results.csv", make_rows([run(1, 0.8)], [RECIPE]))
    assert [(row["recipe"], row["accuracy"]) for row in rows] == [("second", "0.4"), ("kmnist", "0.8")]


def test_what_people_wrote_above_the_table_stays(tmp_path):
    page = tmp_path / "results.md"
    write_results(tmp_path, make_rows([run(1, 0.5)], [RECIPE]), {})
    page.write_text(page.read_text(encoding="utf-8").replace("# Results\n", "# Results\n\nWritten by hand.\n", 1))
    write_results(tmp_path, make_rows([run(1, 0.75)], [RECIPE]), {})
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Results\n\nWritten by hand.\n")
    assert "75.00%" in text and "50.00%" not in text and text.count("## Leaderboard") == 1


def test_a_table_of_other_columns_is_refused(tmp_path):
    (tmp_path / "results.csv").write_text("recipe,accuracy\nmine,0.9\n")
    with pytest.raises(UserError, match="other columns"):
        merge(tmp_path / "results.csv", [])


def test_the_page_names_the_command_and_has_every_row_and_source(tmp_path):
    rows = make_rows([run(1, 0.98765, macs=31e6), run(1, 0.5, replace(CONFIG, dataset="k49"))], [RECIPE])
    write_results(tmp_path, rows, {"kmnist": RECIPE})
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# Results\n") and "python benchmarks/leaderboard.py recipes/NAME.toml" in text
    for words in ("## kmnist", "## k49", "| 98.77% |", "| 31.0 |", "| 99.18% |", "somebody's README"):
        assert words in text
    cells = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert cells == {17}
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows
    with Image.open(tmp_path / "accuracy-against-size.png") as picture:
        assert picture.format == "PNG" and picture.height == 840
