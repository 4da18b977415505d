"""The table of results: figures of runs -> rows, merged with those that stand there, as CSV, page and picture."""

import csv
import io
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leaderboard_recipes import EnsembleRecipe, Recipe, Settings, settings_of

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation import figures, reports
from kuzushiji_tf.files import atomic_path, write_text

COLUMNS = (
    *("recipe", "dataset", "model", "parameters", "macs", "split", "seeds", "epochs", "minutes", "device"),
    *("accuracy", "top5_accuracy", "balanced_accuracy", "int8_accuracy", "int8_bytes", "float32_latency_ms"),
    "published",
)
TABLE, PAGE, PICTURE = "results.csv", "results.md", "accuracy-against-size.png"
MARK = "<!-- Written by benchmarks/leaderboard.py from here on; what stands above is kept. -->"
_WHOLE = ("parameters", "macs", "epochs", "int8_bytes")


@dataclass(frozen=True)
class Measured:
    """The figures of one run.

    Attributes:
        path: its work directory.
        config: its settings; those of the first member for an ensemble.
        model: the registered name, or what an ensemble is made of.
        device: what it was trained on; empty where nobody recorded it.
        split: what it was tested on.
        figures: by column; those that it has not are absent.
        members: the settings of an ensemble's members; empty for any other run.
        weights: of an ensemble, as in `ensemble.join_runs`.
    """

    path: Path
    config: TrainingConfig
    model: str
    device: str
    split: str
    figures: dict[str, float]
    members: tuple[TrainingConfig, ...] = ()
    weights: str = ""

    @property
    def settings(self) -> Settings:
        """What it has in common with other runs of its row, as `leaderboard_recipes.settings_of`."""
        return settings_of(self.members or (self.config,), self.weights)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seed, or those of its members."""
        return tuple(config.seed for config in self.members or (self.config,))


def make_rows(runs: Iterable[Measured], recipes: Iterable[Recipe | EnsembleRecipe]) -> list[dict[str, str]]:
    """Return one row for runs that differ in nothing but the seed, named after the recipe that has their settings.

    Ensembles are told apart by the settings of their members. Of several runs with one seed the last counts. Runs of no
    known recipe are named after their folder.
    """
    groups: dict[Settings, dict[tuple[int, ...], Measured]] = {}
    for run in runs:
        groups.setdefault(run.settings, {})[run.seeds] = run
    known = {recipe.settings: recipe for recipe in recipes}
    rows = []
    for settings, by_seed in groups.items():
        alike = [by_seed[seeds] for seeds in sorted(by_seed)]
        first, config = alike[0], alike[0].config
        recipe = known.get(settings)
        columns = {name: [run.figures[name] for run in alike if name in run.figures] for name in COLUMNS}
        row = {name: _plain(name, statistics.median(values)) if values else "" for name, values in columns.items()}
        row |= {
            "recipe": recipe.name if recipe else re.sub(r"-seed\d+$", "", first.path.resolve().name),
            "dataset": " ".join(filter(None, (config.dataset, config.classes))),
            "model": first.model,
            "split": f"random {first.split}" if config.random_split else first.split,
            "seeds": " ".join(map(str, sorted({seed for seeds in by_seed for seed in seeds}))),
            "device": " or ".join(dict.fromkeys(run.device for run in alike if run.device)),
            "published": str(recipe.leaderboard.published or "") if recipe else "",
        }
        rows.append(row)
    return rows


def _plain(name: str, value: float) -> str:
    if name in _WHOLE:
        return str(round(value))
    return f"{value:.2f}" if name == "minutes" else f"{value:.6g}"


def merge(path: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows and those of a `results.csv` for other recipes, ordered by data set, the best first.

    Raises:
        UserError: the file has other columns.
    """
    kept = []
    if path.exists():
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path} has other columns than the leaderboard: move it away.")
            kept = [row for row in reader if row["recipe"] not in {new["recipe"] for new in rows}]
    return sorted(kept + rows, key=lambda row: (row["dataset"], -float(row["accuracy"]), row["recipe"]))


def write_results(folder: Path, rows: list[dict[str, str]], recipes: dict[str, Recipe | EnsembleRecipe]) -> None:
    """Write the table, the page and the picture; what people wrote above the page's mark is kept."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / TABLE, table.getvalue())
    text = (folder / PAGE).read_text(encoding="utf-8") if (folder / PAGE).exists() else ""
    above = text.partition(MARK)[0] if MARK in text else "# Results\n\n"
    write_text(folder / PAGE, above + page(rows, recipes))
    points = [(row["dataset"], row["recipe"], int(row["parameters"]), float(row["accuracy"])) for row in rows]
    with atomic_path(folder / PICTURE) as temporary:
        figures.save(reports.accuracy_against_size(points), temporary)


def page(rows: list[dict[str, str]], recipes: dict[str, Recipe | EnsembleRecipe]) -> str:
    """Return the table for people: a section a data set, the best row first."""
    parts = [f"{MARK}\n\n## Leaderboard\n\n{_EXPLANATION}\n![Accuracy against size]({PICTURE})\n"]
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        parts.append(f"\n### {dataset}\n\n| {' | '.join(_SHOWN)} |\n|{'---|' * len(_SHOWN)}\n")
        for row in rows:
            if row["dataset"] == dataset:
                cells = [show(row[name]) if row[name] else "" for name, show in _SHOWN.values()]
                parts.append(f"| {' | '.join(cells)} |\n")
    named = [recipes[row["recipe"]] for row in rows if row["recipe"] in recipes]
    sources = [
        f"- {name}: {f'{row.published:.2%}, ' if row.published else ''}{row.source}\n"
        for name, row in ((recipe.name, recipe.leaderboard) for recipe in named)
        if row.source
    ]
    return "".join([*parts, "\n### Where the published figures come from\n\n" if sources else "", *sources])


def percent(value: str) -> str:
    """Return a fraction as people read it."""
    return f"{float(value):.2%}"


def _count(value: str) -> str:
    return f"{int(value):,}"


_EXPLANATION = """\
Each row is made by `python benchmarks/leaderboard.py recipes/NAME.toml` with the recipe of that name, in `recipes/` or
`recipes/ensembles/`; where there are several seeds it is the median. Accuracies are those of the last epoch's weights
on the test split, which chose nothing; *int8* is the exported file of int8 weights (and activations, unless those were
beyond the file's bound), run through LiteRT over the same images, and its size; *ms* is the float32 file's median time
for one image on one thread of the machine that exported it; *minutes* are those of the training steps, on the device
named, of all members for an ensemble. `results.csv` has the figures with more digits.
"""
_SHOWN = {
    "recipe": ("recipe", str),
    "model": ("model", lambda value: value.replace("+", " + ")),  # an ensemble's names must wrap
    "parameters": ("parameters", _count),
    "million MACs": ("macs", lambda value: f"{int(value) / 1e6:,.1f}"),
    "split": ("split", str),
    "seeds": ("seeds", str),
    "epochs": ("epochs", str),
    "minutes": ("minutes", lambda value: f"{float(value):,.0f}"),
    "device": ("device", str),
    "accuracy": ("accuracy", percent),
    "top-5": ("top5_accuracy", percent),
    "balanced": ("balanced_accuracy", percent),
    "int8": ("int8_accuracy", percent),
    "int8 kB": ("int8_bytes", lambda value: f"{int(value) / 1e3:,.0f}"),
    "ms": ("float32_latency_ms", lambda value: f"{float(value):.2f}"),
    "published": ("published", percent),
}
