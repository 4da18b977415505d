"""Recipes of rows: what others published, ensembles of named recipes, and one sentence for what cannot be joined."""

from pathlib import Path

import leaderboard_recipes as recipes
import pytest
from leaderboard_recipes import EnsembleRecipe, read_recipe, read_recipes

from kuzushiji_tf.config import Leaderboard
from kuzushiji_tf.errors import MissingFileError, UserError

RECIPES = Path(recipes.__file__).parents[1] / "recipes"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('[leaderboard]\npublished = 0.9918\nsource = "hysts, 200 epochs"', Leaderboard(0.9918, "hysts, 200 epochs")),
        ("[leaderboard]\npublished = 0.921", Leaderboard(0.921)),
        ('[leaderboard]\nsource = "no figure can be trusted"', Leaderboard(source="no figure can be trusted")),
        ("# published: 0.99", Leaderboard()),
    ],
)
def test_the_published_figure_stands_in_the_recipe(tmp_path, table, expected):
    (tmp_path / "mine.toml").write_text(f"# python train.py\nepochs = 5\n{table}\n")
    recipe = read_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.config.epochs) == ("mine", 5)
    assert recipe.leaderboard == expected


def test_the_projects_recipes_can_be_read():
    paths = [*sorted(RECIPES.glob("*.toml")), *sorted((RECIPES / "ensembles").glob("*.toml"))]
    recipes = read_recipes(paths)
    assert len({recipe.settings for recipe in recipes.values()}) == len(paths) > 8
    for name, recipe in recipes.items():
        if isinstance(recipe, EnsembleRecipe):
            first = recipe.path.read_text(encoding="utf-8").splitlines()[0]
            assert first == f"# python benchmarks/leaderboard.py recipes/ensembles/{name}.toml"


@pytest.fixture
def read(tmp_path):
    """Read an ensemble's recipe of some text, beside three recipes for Kuzushiji-MNIST and two that do not fit."""
    texts = {
        "vgg": 'dataset = "kmnist"\nmodel = "vgg"\nseed = 1\n',
        "capsnet": 'dataset = "kmnist"\nmodel = "capsnet"\nseed = 1\n',
        "other": 'dataset = "kmnist"\nseed = 2\n',
        "kanji": 'dataset = "kkanji"\n',
        "neighbors": 'dataset = "kmnist"\nmodel = "nearest_neighbors"\n',
    }

    def read_text(text: str) -> EnsembleRecipe:
        for name, content in {**texts, "both": text}.items():
            (tmp_path / f"{name}.toml").write_text(content)
        return read_recipes(sorted(tmp_path.glob("*.toml")))["both"]

    return read_text


def named(ensemble: EnsembleRecipe, seed: int | None = None) -> list[str]:
    return [training.name for training in ensemble.trainings(seed)]


def test_an_ensemble_is_trained_with_the_seeds_of_its_members_or_with_that_asked_for(read):
    ensemble = read('members = ["vgg", "other", "vgg-seed4"]\n[leaderboard]\npublished = 0.989\nsource = "somebody"\n')
    assert (ensemble.name, ensemble.weights, ensemble.leaderboard) == ("both", "equal", Leaderboard(0.989, "somebody"))
    assert named(ensemble) == ["vgg-seed1", "other-seed2", "vgg-seed4"]
    assert named(ensemble, 7) == ["vgg-seed7", "other-seed7", "vgg-seed4"]
    assert [(training.config.model, training.config.seed) for training in ensemble.trainings(7)][2] == ("vgg", 4)
    with pytest.raises(UserError, match="vgg-seed4 other-seed4 vgg-seed4"):
        ensemble.trainings(4)


def test_weights_are_fitted_only_where_all_members_held_out_the_same_images(read):
    ensemble = read('members = ["vgg", "capsnet"]\nweights = "validation"\n')
    assert named(ensemble, 3) == ["vgg-seed3", "capsnet-seed3"]
    with pytest.raises(UserError, match=r"both\.toml: .*weights = validation"):
        read('members = ["vgg", "other"]\nweights = "validation"\n')
    with pytest.raises(UserError, match="weights = validation"):
        read('members = ["vgg-seed1", "capsnet"]\nweights = "validation"\n').trainings(2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('members = ["vgg", "capnet"]', "did you mean 'capsnet'?"),
        ('members = ["vgg", "capnet-seed2"]', "'capnet-seed2'"),
        ('members = ["vgg"]', "two or more different members, not: vgg-seed1"),
        ("members = []", "two or more different members, not: none"),
        ('members = ["vgg", "vgg-seed1"]', "two or more different members"),
        ('members = ["vgg", 2]', "names of recipes"),
        ('members = "vgg"', "members must be of type list"),
        ('members = ["vgg", "capsnet"]\nweight = "equal"', "did you mean 'weights'?"),
        ('members = ["vgg", "capsnet"]\nweights = "mine"', "equal, validation"),
        ('members = ["vgg", "kanji"]', "kanji on kkanji"),
        ('members = ["vgg", "neighbors"]', "neighbors is not a network"),
        ('members = ["vgg", ', "TOML"),
        ('members = ["vgg", "capsnet"]\n[leaderboard]\npublished = 98.9', "leaderboard.published is 98.9"),
    ],
)
def test_a_wrong_ensemble_is_refused_by_a_sentence_with_its_file(read, text, sentence):
    with pytest.raises(UserError) as error:
        read(text)
    assert sentence in str(error.value) and "both.toml" in str(error.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"absent\.toml"):
        read_recipes([tmp_path / "absent.toml"])
