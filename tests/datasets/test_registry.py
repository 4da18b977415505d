"""Data sets by name: loaded in one line, and added by a function or by an installed package, without a fork."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets import dataset_names, entries, load_dataset, register_dataset, registry
from kuzushiji_tf.datasets.registry import LoadOptions, dataset_entries, default_split, is_path, splits_of
from kuzushiji_tf.errors import MissingExtraError, UserError
from tests.making import random_dataset

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_dataset"


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()


def load_dots(split: str, options: LoadOptions):
    """Return random dots.

    Nobody needs them.
    """
    return replace(random_dataset(20, seed=options.seed), name="dots", split=split)


def install(folder: Path, monkeypatch, entry_points: str, **modules: str) -> None:
    """Make a package importable from a folder, as pip leaves it."""
    about = folder / "dotted-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dotted\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entry_points)
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


def test_a_data_set_is_loaded_in_one_line(data_dir):
    train = load_dataset("kmnist", data_dir=str(data_dir))
    assert train.split == "train" and train.images.shape == (60_000, 28, 28) and train.classes[0] == "お"
    assert repr(train) == "CharacterDataset('kmnist', 'train': 60,000 images of 28 x 28 pixels, 10 classes)"


def test_keywords_are_those_of_the_options_and_go_before_them():
    options = LoadOptions(per_class=9, image_size=16)
    assert load_dataset("kana", "test", options, per_class=1, classes="あい").images.shape == (2, 16, 16)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"imagesize": 28}, "image_size"),
        ({"image_size": 3}, "8 <= value <= 1,024"),
        ({"image_size": "28"}, "image_size is '28'"),
        ({"image_size": (28, 28)}, "whole number"),
        ({"per_class": 1.5}, "per_class is 1.5"),
        ({"per_class": 0}, "1 <= value"),
    ],
)
def test_a_wrong_keyword_is_refused_with_the_right_one(changes, told):
    with pytest.raises(UserError, match=told):
        load_dataset("kana", "test", **changes)


def test_a_registered_data_set_is_one_like_any_other():
    register_dataset("dots", load_dots)
    assert "dots" in dataset_names() and "kmnist" in dataset_names()
    assert load_dataset("dots", "test", image_size=16, seed=2).image_size == (16, 16)
    both = load_dataset("dots+kana", "train", per_class=1)
    assert both.source_names == ("dots", "kana")
    assert dataset_entries()["dots"].description == "Return random dots."
    with pytest.raises(UserError, match="train, test"):
        load_dataset("dots", "support")


def test_a_cell_that_is_run_again_registers_the_new_function():
    register_dataset("dots", load_dots)
    register_dataset("dots", load_dots, "again", splits=("train",))
    assert dataset_entries()["dots"].description == "again" and splits_of("dots") == ("train",)


@pytest.mark.parametrize("name", ["kmnist", "dots", "a+b", "mine/dots", "", "dots.npz"])
def test_names_that_are_taken_or_mean_something_else_are_refused(name):
    register_dataset("dots", lambda split, options: None)
    with pytest.raises(UserError, match="name"):
        register_dataset(name, load_dots)


def test_a_loader_that_returns_something_else_is_named():
    register_dataset("dots", lambda split, options: (np.zeros(3), np.zeros(3)))
    with pytest.raises(UserError, match=r"'dots'.*tuple.*CharacterDataset"):
        load_dataset("dots")


def test_a_package_adds_a_data_set_by_an_entry_point(tmp_path, monkeypatch):
    code = "from tests.making import random_dataset\ndef load(split, options):\n    return random_dataset(7)\n"
    install(tmp_path, monkeypatch, "[kuzushiji_tf.datasets]\ndotted = dotted:load\n", dotted=code)
    assert "dotted" in dataset_names() and "dotted" in dataset_entries()["dotted"].where
    assert "dotted" not in sys.modules
    assert len(load_dataset("dotted")) == 7
    with pytest.raises(UserError, match=r"taken by.*dotted"):
        register_dataset("dotted", load_dots)


@pytest.mark.parametrize("code", ["import nowhere_to_be_found", "1 / 0", "loader = None"])
def test_a_package_that_cannot_be_imported_is_named(tmp_path, monkeypatch, code):
    install(tmp_path, monkeypatch, "[kuzushiji_tf.datasets]\ndotted = broken_dots:load\n", broken_dots=code)
    monkeypatch.delitem(sys.modules, "broken_dots", raising=False)
    with pytest.raises(UserError, match="package dotted"):
        load_dataset("dotted")
    assert len(load_dataset("kana", "test", per_class=1)) == 71


def test_a_data_set_whose_packages_are_missing_says_what_to_install(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError("No module named 'pooch'", name="pooch")

    monkeypatch.setattr(entries, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"kuzushiji_tf\[train\]"):
        load_dataset("kmnist")


def test_a_slash_or_npz_or_a_folder_is_a_path_and_a_registered_name_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("letters", "kmnist", "dots"):
        (tmp_path / name).mkdir()
    register_dataset("dots", load_dots)
    assert [is_path(name) for name in ("letters", "kmnist", "dots", "absent", "a/b", "hands.npz")] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]


def test_all_of_an_npz_file_is_evaluated_unless_it_was_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_split("hands.npz") == default_split("hands.npz", "other.npz") == "all"
    assert (
        default_split("hands.npz", "./hands.npz") == default_split(str(tmp_path / "hands.npz"), "hands.npz") == "test"
    )
    assert default_split("hands.npz", "kana", ("a.ttf", "elsewhere/hands.npz")) == "test", "a part was learned from"
    assert default_split("kmnist") == default_split("mine/hands") == "test"


def test_the_example_runs_and_its_entry_point_names_its_loader(tmp_path, monkeypatch):
    printed = subprocess.run(
        [sys.executable, EXAMPLE / "digits_dataset.py"],
        cwd=EXAMPLE.parents[1],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert ["1,540 images" in printed[0], "257 images" in printed[1]] == [True, True]
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    group = "kuzushiji_tf.datasets"
    lines = [f"{name} = {value}" for name, value in project["entry-points"][group].items()]
    monkeypatch.syspath_prepend(str(EXAMPLE))
    install(tmp_path, monkeypatch, f"[{group}]\n" + "\n".join(lines))
    digits = load_dataset("digits", "test")
    assert digits.classes.characters == tuple("0123456789") and digits.image_size == (8, 8)
