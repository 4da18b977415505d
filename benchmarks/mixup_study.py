"""Manifold mixup, input mixup or none: the same network, epochs and seeds, the median accuracy on the test split.

    python benchmarks/mixup_study.py --epochs 10

The network is PreAct-ResNet-20 at half its width. The mixing's alpha is that of its source: 1 for input mixup, 2 for
manifold mixup. Runs that `--runs` holds already are not trained again, and unfinished ones are resumed.

Last line: JSON with `none`, `input` and `manifold`, each the median over the seeds of the accuracy at the last epoch.
"""

import json
import os
import statistics
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tyro

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.config import Architecture, TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.scoring import score
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training.runs import train
from kuzushiji_tf.workdirs import WorkDirectory

ALPHAS = {"none": 1.0, "input": 1.0, "manifold": 2.0}


@dataclass(frozen=True)
class Flags:
    """What is trained, and for how long."""

    dataset: str = "kmnist"  # a registered data set
    epochs: int = 10
    epoch_images: int = 0  # images of an epoch; 0: all there are
    seeds: tuple[int, ...] = (1, 2, 3)
    batch_size: int = 100
    learning_rate: float = 0.1
    width: float = 0.5  # channels of the network, times this
    precision: str = "float32"  # of the layers' arithmetic: float32, bfloat16 or float16
    runs: Path | None = None  # where the runs go; default: a temporary folder
    data_dir: Path | None = None  # where the data set's files are


def accuracy(config: TrainingConfig, path: Path, test: CharacterDataset, data_dir: Path | None) -> float:
    """Return a run's accuracy at its last epoch; train or resume it where need be.

    Raises:
        UserError: the folder holds a run with other settings.
    """
    workdir = WorkDirectory(path)
    if workdir.config_file.exists() and workdir.config != config:
        raise UserError(f"{path} holds a run with other settings: choose another folder with --runs.")
    if not workdir.config_file.exists() or "result" not in workdir.description:
        resume = workdir.has_checkpoint
        train(config, path, data_dir=data_dir, overwrite=not resume and workdir.config_file.exists(), resume=resume)
    return score(load_predictor(path), test)["accuracy"]


def main(flags: Flags) -> None:
    """Train all runs, seed by seed; print the table and, as the last line, the JSON object."""
    base = TrainingConfig(
        dataset=flags.dataset,
        model="preact_resnet20",
        epochs=flags.epochs,
        epoch_images=flags.epoch_images,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        validation_fraction=0.0,
        precision=flags.precision,
        architecture=Architecture(width=flags.width),
    )
    test = load_dataset(flags.dataset, "test", options_of_run(base, flags.data_dir))
    accuracies: dict[str, list[float]] = {mixing: [] for mixing in ALPHAS}
    with nullcontext(flags.runs) if flags.runs else tempfile.TemporaryDirectory() as folder:
        for seed in flags.seeds:
            for mixing, alpha in ALPHAS.items():
                config = replace(base, seed=seed, mixing=mixing, mixing_alpha=alpha)
                found = accuracy(config, Path(folder) / f"{mixing}-seed{seed}", test, flags.data_dir)
                accuracies[mixing].append(found)
                print(f"seed {seed}, {mixing}: {found:.2%}", flush=True)
    print(f"\n{'mixing':10}{'median':>9}   accuracy of each seed, {flags.epochs} epochs")
    for mixing, values in accuracies.items():
        print(f"{mixing:10}{statistics.median(values):9.2%}   {' '.join(f'{value:.2%}' for value in values)}")
    print(json.dumps({mixing: round(statistics.median(values), 4) for mixing, values in accuracies.items()}))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
