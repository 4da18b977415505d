"""Recipes of the leaderboard's rows: knobs of a training or members of an ensemble, and the published figure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from kuzushiji_tf.config import TrainingConfig, load_recipe
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.files import read_text
from kuzushiji_tf.models.neighbors import is_neighbors

_PUBLISHED = re.compile(r"^# published: (\d\S*|.*?)\s*(?:\((.*)\))?$", re.MULTILINE)
_MEMBERS = re.compile(r"^members\s*=", re.MULTILINE)  # tells an ensemble's recipe from that of a training
_SEEDED = re.compile(r"(.+)-seed(\d+)")
Knobs = tuple[tuple[TrainingConfig, ...], str]


def knobs_of(configs: Iterable[TrainingConfig], weights: str = "") -> Knobs:
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
        """Its knobs."""
        return replace(self.recipe.config, seed=self.seed)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.recipe.name}-seed{self.seed}"


@dataclass(frozen=True)
class Recipe:
    """A recipe file: its knobs, and what its line `# published: 0.9918 (source)` states.

    Where there is no figure to be had, the line says so in words, which are the source here.
    """

    path: Path
    config: TrainingConfig
    published: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.path.stem

    @property
    def knobs(self) -> Knobs:
        """What tells its row from others, as `knobs_of`."""
        return knobs_of((self.config,))

    def trainings(self, seed: int | None = None) -> tuple[Training, ...]:
        """Return the run that its row needs; `seed` None is the recipe's own."""
        return (Training(self, self.config.seed if seed is None else seed),)


@dataclass(frozen=True)
class EnsembleRecipe:
    """An ensemble's recipe file; the published figure is told as in a `Recipe`.

    Attributes:
        members: recipes, each with the seed that the file gives it, or None.
        weights: `equal` or `validation`, as in `ensemble.join_runs`.
    """

    path: Path
    members: tuple[tuple[Recipe, int | None], ...]
    weights: str
    published: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """The name of its row."""
        return self.path.stem

    @property
    def knobs(self) -> Knobs:
        """What tells its row from others, as `knobs_of`."""
        return knobs_of((recipe.config for recipe, _ in self.members), self.weights)

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
    """Read a recipe's knobs and its published figure.

    Raises:
        UserError: the figure is no fraction, or as `config.load_recipe`.
    """
    return Recipe(path, load_recipe(path), *_published(path))


def read_ensemble(path: Path, recipes: Mapping[str, Recipe]) -> EnsembleRecipe:
    """Read an ensemble's members, how they are weighed, and its published figure.

    Args:
        path: the file; `members` are names of recipes, or of their runs where the seed is not left open:
            `members = ["kmnist-vgg", "kmnist-seed2"]`.
        recipes: those that may be members, by name.

    Raises:
        UserError: an unknown key or member, members that cannot be joined, as `EnsembleRecipe.trainings`, or a
            published figure that is no fraction.
    """
    keys = load_recipe(path, _EnsembleKeys)
    try:
        members = tuple(_member(name, recipes) for name in keys.members)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for recipe, _ in members:
        if is_neighbors(recipe.config.model):
            raise UserError(f"{path}: {recipe.name} is no network; an ensemble's members are.")
        if recipe.config.dataset != members[0][0].config.dataset:
            raise UserError(
                f"{path}: {members[0][0].name} is trained on {members[0][0].config.dataset} and {recipe.name} on "
                f"{recipe.config.dataset}; name recipes of one data set."
            )
    ensemble = EnsembleRecipe(path, members, keys.weights, *_published(path))
    ensemble.trainings()  # refuses members that are too few or held out too little
    return ensemble


def _member(name: str, recipes: Mapping[str, Recipe]) -> tuple[Recipe, int | None]:
    """Return the recipe that a member's name says, and the seed where it says one."""
    if not isinstance(name, str):
        raise UserError(f"members must be a list of names of recipes; {name!r} is none.")
    if name in recipes:
        return recipes[name], None
    seeded = _SEEDED.fullmatch(name)
    if seeded and seeded[1] in recipes:
        return recipes[seeded[1]], int(seeded[2])
    raise unknown_name("recipe", name, recipes)


def _published(path: Path) -> tuple[str, str]:
    """Return the figure and the source of a recipe file's line `# published: `; empty where it has none."""
    found = _PUBLISHED.search(read_text(path))
    if not found:
        return "", ""
    figure, source = found.groups()
    if not figure[:1].isdigit():
        return "", "" if figure == "none" else found[1]
    if not re.fullmatch(r"0\.\d+|1\.0", figure):
        raise UserError(f"{path} says published: {figure}; write a fraction, as in: # published: 0.9918 (source)")
    return figure, source or ""
