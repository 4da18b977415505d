"""The leaderboard: train recipes, or collect finished runs, score and export each, and write one table of them all.

    python benchmarks/leaderboard.py recipes/kmnist-4nn.toml recipes/kmnist.toml --seeds 1 2 3
    python benchmarks/leaderboard.py recipes/ensembles/kmnist-vgg-resnet18.toml
    python benchmarks/leaderboard.py --collect runs/kmnist runs/kkanji

Each recipe and seed is trained in `runs/leaderboard/<recipe>-seed<k>`: an unfinished run is resumed, a finished one is
left alone, and one given by --collect that has the recipe's settings and the seed stands in its place. An ensemble's
members are trained as for their own rows and joined in `runs/leaderboard/<ensemble>` (with --seeds one of each seed, in
`<ensemble>-seed<k>`), again where a member has changed. Runs that differ in nothing but the seed are one row: the
median of their figures, those of the weights of the last epoch. What stands there already is used: the evaluation and
the export of a run, and the rows of `results.csv` for recipes that were not asked for. Writes `results.csv`,
`results.md` and `accuracy-against-size.png`.

Last line: JSON with `rows`, the measured ones by recipe, and `failed`, a sentence for each run that gave no figures.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from leaderboard_recipes import EnsembleRecipe, Training, read_recipes
from leaderboard_results import PAGE, TABLE, Measured, make_rows, merge, percent, write_results

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.config import TrainingConfig, config_from_dict
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.workdirs import WorkDirectory

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Flags:
    """Which rows are made, from what, and where they go."""

    recipes: tyro.conf.Positional[tuple[Path, ...]] = ()  # TOML files of the rows to train, or to join
    collect: tuple[Path, ...] = ()  # finished work directories to make rows of, whoever trained them
    seeds: tuple[int, ...] = ()  # each recipe is trained with each of them; default: its own, or its members' own
    runs: Path = Path("runs/leaderboard")  # where they are trained
    output: Path = Path("docs")  # the folder of the table, the page and the picture
    data_dir: Path | None = None  # where the data sets' files are; default: KUZUSHIJI_DATA, then a download


def trained(training: Training, runs: Path, data_dir: Path | None) -> WorkDirectory:
    """Return the finished run of a recipe and a seed; train or resume it where need be.

    Training is a process of its own, so that each run begins with all of the machine's memory.

    Raises:
        UserError: its folder holds a run with other settings, or the training failed.
    """
    workdir, recipe = WorkDirectory(runs / training.name), training.recipe.path
    arguments = ["--recipe", str(recipe), "--seed", str(training.seed)]
    if workdir.config_file.exists():
        if workdir.config != training.config:
            raise UserError(f"{workdir.path} holds a run with other settings than {recipe}'s: move it away.")
        if "result" in workdir.description:
            return workdir
        arguments = ["--resume"] if workdir.has_checkpoint else [*arguments, "--overwrite"]
    if data_dir:
        arguments += ["--data-dir", str(data_dir)]
    command = [sys.executable, "-m", "kuzushiji_tf", "train", "--workdir", str(workdir.path), *arguments]
    code = subprocess.run(command).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise UserError(f"The training of {recipe} with seed {training.seed} ended with exit code {code}.")
    return workdir


def finished_by_settings(paths: Iterable[Path]) -> dict[TrainingConfig, WorkDirectory]:
    """Return the finished runs among some folders, by their settings and seed."""
    found = {}
    for workdir in map(WorkDirectory, paths):
        with suppress(UserError):  # what is wrong with it is said when it is measured
            if "result" in workdir.description:
                found[workdir.config] = workdir
    return found


def finished_trainings(trainings: Iterable[Training], flags: Flags, failed: list[str]) -> dict[Training, WorkDirectory]:
    """Return the finished run of each training: one that was collected, or else as `trained`.

    A training that fails is not among them, and leaves a sentence in `failed`.
    """
    collected, finished = finished_by_settings(flags.collect), {}
    for training in dict.fromkeys(trainings):
        with _noting(failed):
            finished[training] = collected.get(training.config) or trained(training, flags.runs, flags.data_dir)
    return finished


def joined(
    ensemble: EnsembleRecipe, seed: int | None, finished: dict[Training, WorkDirectory], flags: Flags
) -> WorkDirectory:
    """Return the work directory of an ensemble; join its members where that was not done or they have changed since.

    Raises:
        UserError: a member is not finished, the folder holds another kind of run, or as `ensembles.join_runs`.
    """
    from kuzushiji_tf.training.ensembles import holds_ensemble_of, join_runs

    trainings = ensemble.trainings(seed)
    missing = [training.name for training in trainings if training not in finished]
    if missing:
        raise UserError(f"{ensemble.path} is not joined: there is no finished run of {' '.join(missing)}.")
    members = [finished[training] for training in trainings]
    workdir = WorkDirectory(flags.runs / (ensemble.name if seed is None else f"{ensemble.name}-seed{seed}"))
    if holds_ensemble_of(workdir, members, ensemble.weights):
        return workdir
    print(f"joining {' '.join(str(member.path) for member in members)}", flush=True)
    return join_runs(
        [member.path for member in members],
        workdir.path,
        weighting=ensemble.weights,
        data_dir=flags.data_dir,
        overwrite=workdir.config_file.exists(),
    )


def measured(workdir: WorkDirectory, data_dir: Path | None) -> Measured:
    """Return the figures of a finished run; evaluate and export it where that has not been done.

    Raises:
        UserError: the run is not finished, or as `evaluating.evaluate`.
    """
    description, config = workdir.description, workdir.config
    if "result" not in description:
        raise UserError(f"The run in {workdir.path} is not finished; resume it with: python train.py --resume")
    scores = _scores(workdir, data_dir)
    figures = {name: scores[name] for name in ("accuracy", "top5_accuracy", "balanced_accuracy")}
    figures |= {
        "parameters": description["result"]["parameters"],
        "minutes": description["result"].get("minutes", 0.0),
    }
    if "last_epoch" in description["result"]:
        figures["epochs"] = description["result"]["last_epoch"]["epoch"]
    if workdir.final.exists():  # nearest neighbors have no graph
        figures |= _figures_of_graph(workdir, data_dir)
    device = description["result"].get("device", "")
    ensemble = description.get("ensemble", {"members": [], "weights": ""})
    members = tuple(config_from_dict(member["recipe"], str(workdir.config_file)) for member in ensemble["members"])
    model, weights = _model(workdir), ensemble["weights"]
    return Measured(workdir.path, config, model, device, scores["split"], figures, members, weights)


def _model(workdir: WorkDirectory) -> str:
    """Return the model's name; for an ensemble those of its members, and whether their weights were fitted."""
    ensemble = workdir.description.get("ensemble")
    if not ensemble:
        return workdir.config.model
    names = "+".join(member["model"] for member in ensemble["members"])
    return names if ensemble["weights"] == "equal" else f"{names}, weighted"


def _scores(workdir: WorkDirectory, data_dir: Path | None) -> dict[str, Any]:
    """Return what the run's evaluation on its test split says."""
    from kuzushiji_tf.evaluation.evaluating import evaluate
    from kuzushiji_tf.evaluation.scoring import METRICS

    folder = workdir.evaluation / f"{Path(workdir.config.dataset).resolve().name}-test"
    file = folder / METRICS
    if file.exists() and file.stat().st_mtime >= workdir.config_file.stat().st_mtime:
        scores = json.loads(file.read_text(encoding="utf-8"))
        if Path(scores["model"]).name != workdir.best.name:
            return scores
    print(f"evaluating {workdir.path}", flush=True)
    return evaluate(workdir.path, split="test", output=folder, data_dir=data_dir)


def _figures_of_graph(workdir: WorkDirectory, data_dir: Path | None) -> dict[str, float]:
    """Return the operations of a run's network and the figures of its exported files."""
    from kuzushiji_tf.exporting.folders import export
    from kuzushiji_tf.models.complexity import multiply_accumulates
    from kuzushiji_tf.models.loading import load_keras
    from kuzushiji_tf.recognition.cards import CARD, EXPORTED_FILES, read_card

    figures = {"macs": multiply_accumulates(load_keras(workdir.final))}
    card = read_card(workdir.export) if (workdir.export / CARD).exists() else None
    if not card or card["training"]["weights"] != "final" or "left_out" in card["test"]:
        try:
            card = export(workdir, data_dir=data_dir, report=print)
        except UserError as error:  # a file beyond its bound: the row says so by having no such figure
            print(f"{workdir.path} could not be exported: {error}")
            return figures
    int8, float32 = (card["files"][EXPORTED_FILES[kind]] for kind in ("int8", "float32"))
    accuracy = int8.get("accuracy", int8.get("synthetic_accuracy"))
    return figures | {
        "int8_accuracy": accuracy,
        "int8_bytes": int8["bytes"],
        "float32_latency_ms": float32["latency_ms"],
    }


def main(flags: Flags) -> int:
    """Make the rows that were asked for, write the results and print them; return the exit code."""
    if not flags.recipes and not flags.collect:
        raise UserError("Name recipes to train, or finished work directories with --collect.")
    own = [path for folder in ("recipes", "recipes/ensembles") for path in sorted((ROOT / folder).glob("*.toml"))]
    known = read_recipes([*own, *flags.recipes])
    asked = [(known[path.stem], seed) for path in flags.recipes for seed in flags.seeds or (None,)]
    trainings = [training for recipe, seed in asked for training in recipe.trainings(seed)]
    failed: list[str] = []  # the other rows are still worth having
    finished = finished_trainings(trainings, flags, failed)
    start_tensorflow()  # only now: it would hold on to a GPU's memory, which the training needs
    workdirs = [WorkDirectory(path) for path in flags.collect]
    for recipe, seed in asked:
        if isinstance(recipe, EnsembleRecipe):
            with _noting(failed):
                workdirs.append(joined(recipe, seed, finished, flags))
        else:
            workdirs += [finished[training] for training in recipe.trainings(seed) if training in finished]
    runs = []
    for workdir in dict.fromkeys(workdirs):
        with _noting(failed):
            runs.append(measured(workdir, flags.data_dir))
    rows = make_rows(runs, known.values())
    if rows:
        write_results(flags.output, merge(flags.output / TABLE, rows), known)
    for row in rows:
        print(
            f"{row['recipe']:32} {row['dataset']:12} {percent(row['accuracy']):>8} {row['parameters']:>12} parameters"
        )
    print("\n".join([f"written: {flags.output / PAGE}"] * bool(rows) + [f"failed: {sentence}" for sentence in failed]))
    print(json.dumps({"rows": {row["recipe"]: _numbers(row) for row in rows}, "failed": failed}, ensure_ascii=False))
    return 2 if failed else 0


@contextmanager
def _noting(failed: list[str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        failed.append(str(error))


def _numbers(row: dict[str, str]) -> dict[str, float]:
    words = ("recipe", "dataset", "model", "split", "seeds", "device")
    return {name: float(value) for name, value in row.items() if value and name not in words}


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Flags, description=__doc__.splitlines()[0])))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped; run the same command to continue.", file=sys.stderr)
        sys.exit(130)
