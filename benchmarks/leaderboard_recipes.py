"""Recipes of the leaderboard's rows: settings of a training or members of an ensemble, and the published figure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from kuzushiji_tf.config import Leaderboard, TrainingConfig, load_leaderboard, load_recipe
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.files import read_text
from kuzushiji_tf.models.neighbors import is_neighbors

_MEMBERS = re.compile(r"^members\s*=", re.MULTILINE)  # tells an ensemble's recipe from that of a training
_SEEDED = re.compile(r"(.+)-seed(\d+)")
Settings = tuple[tuple[TrainingConfig, ...], str]


def settings_of(configs: Iterable[TrainingConfig], weights: str = "") -> Settings:
    """Return what two rows differ in: the configs of a row's runs but for their seeds, and how an ensemble weighs them.

    Args:
        configs: of the members of an ensemble, or the one of a run.
        weights: of an ensemble, as in `ensemble.join_runs`.
    """
    return tuple(replace(config, seed=0) for config in configs), weights


class Training(NamedTuple):
    """A run that a row needs."""

    recipe: "Recipe"
    seed: int

    @property
    def config(self) -> TrainingConfig:
        """Its settings."""
        return replace(self.recipe.config, seed=self.seed)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.recipe.name}-seed{self.seed}"


@dataclass(frozen=True)
class Recipe:
    """A recipe file: its settings, and what its table `[leaderboard]` states."""

    path: Path
    config: TrainingConfig
    leaderboard: Leaderboard = field(default_factory=Leaderboard)

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.path.stem

    @property
    def settings(self) -> Settings:
        """What tells its row from others, as `settings_of`."""
        return settings_of((self.config,))

    def trainings(self, seed: int | None = None) -> tuple[Training, ...]:
        """Return the run that its row needs; `seed` None is the recipe's own."""
        return (Training(self, self.config.seed if seed is None else seed),)


@dataclass(frozen=True)
class EnsembleRecipe:
    """An ensemble's recipe file; `leaderboard` is that of a `Recipe`.

    Attributes:
        members: recipes, each with the seed that the file gives it, or None.
        weights: `equal` or `validation`, as in `ensemble.join_runs`.
    """

    path: Path
    members: tuple[tuple[Recipe, int | None], ...]
    weights: str
    leaderboard: Leaderboard = field(default_factory=Leaderboard)

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.path.stem

    @property
    def settings(self) -> Settings:
        """What tells its row from others, as `settings_of`."""
        return settings_of((recipe.config for recipe, _ in self.members), self.weights)

    def trainings(self, seed: int | None = None) -> tuple[Training, ...]:
        """Return the runs that are its members.

        Args:
            seed: of the members to which the file gives none; None is the own one of each recipe.

        Raises:
            UserError: two members are the same run, or weights that are fitted lack images that all of them held out.
        """
        trainings = tuple(
            Training(recipe, next(value for value in (own, seed, recipe.config.seed) if value is not None))
            for recipe, own in self.members
        )
        names = [training.name for training in trainings]
        if len(set(names)) < max(len(names), 2):
            raise UserError(
                f"{self.path}: an ensemble needs two or more different members, not: {' '.join(names) or 'none'}."
            )
        # Other seeds hold out other images: of 2 % of 60,000 they would have 24 in common, too few to fit weights on.
        held_out = {(training.config.validation_fraction, training.seed) for training in trainings}
        in_common = len(held_out) == 1 and trainings[0].config.validation_fraction > 0
        if self.weights == "validation" and not in_common:
            raise UserError(
                f"{self.path}: weights = validation needs members that held out the same images; give them one seed "
                "and one validation_fraction above 0, or write weights = equal."
            )
        return trainings


@dataclass(frozen=True)
class _EnsembleKeys:
    """The keys of an ensemble's recipe file."""

    members: list = field(default_factory=list)
    weights: Literal["equal", "validation"] = "equal"


def read_recipes(paths: Iterable[Path]) -> dict[str, Recipe | EnsembleRecipe]:
    """Read recipe files of both kinds; of several with one name the last counts.

    The members of the ensembles are recipes among these files.

    Raises:
        UserError: a file is wrong, as `read_recipe` and `read_ensemble` say it.
        MissingFileError: one of them is not there.
    """
    files = {path.stem: path for path in paths}
    joined = {name for name, path in files.items() if _MEMBERS.search(read_text(path))}
    recipes = {name: read_recipe(path) for name, path in files.items() if name not in joined}
    ensembles = {name: read_ensemble(path, recipes) for name, path in files.items() if name in joined}
    return recipes | ensembles


def read_recipe(path: Path) -> Recipe:
    """Read a recipe's settings and its published figure.

    Raises:
        UserError, MissingFileError: as `config.load_recipe`.
    """
    return Recipe(path, load_recipe(path), load_leaderboard(path))


def read_ensemble(path: Path, recipes: Mapping[str, Recipe]) -> EnsembleRecipe:
    """Read an ensemble's members, how they are weighed, and its published figure.

    Args:
        path: the file; `members` are names of recipes, or of their runs where the seed is not left open:
            `members = ["kmnist-vgg", "kmnist-seed2"]`.
        recipes: those that may be members, by name.

    Raises:
        UserError: an unknown key or member, or members that cannot be joined, as `EnsembleRecipe.trainings`.
    """
    keys = load_recipe(path, _EnsembleKeys)
    try:
        members = tuple(_member(name, recipes) for name in keys.members)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for recipe, _ in members:
        if is_neighbors(recipe.config.model):
            raise UserError(f"{path}: {recipe.name} is not a network, which the members of an ensemble have to be.")
        if recipe.config.dataset != members[0][0].config.dataset:
            raise UserError(
                f"{path}: {members[0][0].name} is trained on {members[0][0].config.dataset} and {recipe.name} on "
                f"{recipe.config.dataset}; name recipes of one data set."
            )
    ensemble = EnsembleRecipe(path, members, keys.weights, load_leaderboard(path))
    ensemble.trainings()  # refuses members that are too few or held out too little
    return ensemble


def _member(name: str, recipes: Mapping[str, Recipe]) -> tuple[Recipe, int | None]:
    """Return the recipe that a member's name says, and the seed where it says one."""
    if not isinstance(name, str):
        raise UserError(f"members must be a list of names of recipes, which {name!r} is not.")
    if name in recipes:
        return recipes[name], None
    seeded = _SEEDED.fullmatch(name)
    if seeded and seeded[1] in recipes:
        return recipes[seeded[1]], int(seeded[2])
    raise unknown_name("recipe", name, recipes)
