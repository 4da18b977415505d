"""The work directory of a run: its layout, who may use it, and how the last one is found.

config.json   every knob, the seed, versions, the data set's content hash
labels.txt    one class a line
history.csv   one row an epoch
tensorboard/  event files
checkpoints/  last.keras and the callbacks' state, for --resume
best.keras    weights of the best validation epoch
final.keras   weights of the last epoch (what is evaluated and exported unless asked otherwise)
evaluation/   one folder a data set
export/       the exported recogniser
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kuzushiji_tf.config import TrainingConfig, config_from_dict
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.labels import Labels

RUNS = Path("runs")


@dataclass(frozen=True)
class WorkDirectory:
    """Paths and contents of one run's folder."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def labels_file(self) -> Path:
        return self.path / "labels.txt"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoints" / "last.keras"

    @property
    def best(self) -> Path:
        return self.path / "best.keras"

    @property
    def final(self) -> Path:
        return self.path / "final.keras"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @cached_property
    def description(self) -> dict[str, Any]:
        """The contents of config.json: `config`, `versions`, `data` and, when the run has ended, `result`.

        Raises:
            MissingFileError: this is no work directory.
            UserError: its config.json is damaged.
        """
        try:
            return json.loads(self.config_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFileError(f"{self.path} is no work directory: it has no config.json.") from None
        except ValueError:
            raise UserError(f"{self.config_file} is damaged: it is not JSON.") from None

    @cached_property
    def config(self) -> TrainingConfig:
        """The run's knobs."""
        return config_from_dict(self.description["config"], str(self.config_file))

    @cached_property
    def labels(self) -> Labels:
        """The run's classes."""
        return Labels.read(self.labels_file)


def find_last(root: Path = RUNS) -> WorkDirectory:
    """Return the run under `root` that was started last.

    Raises:
        MissingFileError: there is none yet.
    """
    runs = sorted(root.glob("*/config.json"), key=lambda file: (file.stat().st_mtime, file.parent.name))
    if not runs:
        raise MissingFileError(f"There is no run under {root}/ yet; start one with: python train.py")
    return WorkDirectory(runs[-1].parent)


def next_path(config: TrainingConfig, root: Path = RUNS) -> Path:
    """Return the first unused `runs/<dataset>-<model>-<number>`."""
    number = 1
    while (path := root / f"{config.dataset}-{config.model}-{number}").exists():
        number += 1
    return path
