"""The work directory of a run: its layout, who may use it, and how the last one is found.

config.json   every setting, the seed, versions, what the data set is and its content hash
labels.txt    one class a line
history.csv   one row an epoch
tensorboard/  event files
checkpoints/  the last two states that were saved, for --resume: after an epoch, or in the middle of one
best.keras    weights of the best validation epoch
final.keras   weights of the last epoch, or of the best one where early stopping was asked for
final.npz     instead of those two: the training images of a nearest-neighbor model
evaluation/   one folder a data set
export/       the exported recognizer
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig, config_from_dict, require_known_schema
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import is_ours_alone, is_temporary, read_json

LOCK = ".lock"
CHECKPOINT = "epoch-{}.state"
EXTENDING = "extending"  # in config.json, while more epochs are trained: how many there are to be
CHECKPOINT_MINUTES = 10.0  # between two, where no epoch ends
RUNS = Path("runs")


@dataclass(frozen=True)
class TrainingFolder:
    """Where a training keeps what it needs to continue, and what shows how it fares."""

    path: Path

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def has_checkpoint(self) -> bool:
        return any(self.checkpoints.glob(CHECKPOINT.format("*")))


@dataclass(frozen=True)
class WorkDirectory(TrainingFolder):
    """Paths and contents of one run's folder."""

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def labels_file(self) -> Path:
        return self.path / "labels.txt"

    @property
    def best(self) -> Path:
        return self.path / "best.keras"

    @property
    def final(self) -> Path:
        return self.path / "final.keras"

    @property
    def neighbors(self) -> Path:
        return self.path / "final.npz"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def description(self) -> dict[str, Any]:
        """The contents of config.json: `config`, `versions`, `data` and, when the run has ended, `result`.

        Raises:
            MissingFileError: this is not a work directory.
            UserError: its config.json is damaged, or of a later version.
        """
        try:
            description = read_json(self.config_file)
        except MissingFileError:
            raise MissingFileError(f"{self.path} is not a work directory: it has no config.json.") from None
        tables = ("config", "versions", "data")
        if not isinstance(description, dict) or not all(isinstance(description.get(key), dict) for key in tables):
            raise UserError(f"{self.config_file} is not that of a run: it must hold config, versions and data.")
        require_known_schema(description, self.config_file)
        return description

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended, and is not going on beyond that."""
        return "result" in self.description and EXTENDING not in self.description

    @property
    def data(self) -> dict[str, Any]:
        """What the run says of its data set, `ink` and `normalization` as `CharacterDataset` has them among it.

        Raises:
            UserError: it does not say these.
        """
        data: dict[str, Any] = self.description["data"]
        if not {"ink", "normalization"} <= data.keys():
            raise UserError(
                f"{self.path} was trained by a version before 0.2.0, which did not note what its images are: train it "
                "again."
            )
        return data

    @property
    def config(self) -> TrainingConfig:
        """The run's settings."""
        return config_from_dict(self.description["config"], str(self.config_file))

    @property
    def labels(self) -> Labels:
        """The run's classes."""
        return Labels.read(self.labels_file)

    @property
    def parts(self) -> list[Path]:
        """The files and folders of a run that are there."""
        files = (self.config_file, self.labels_file, self.history_file, self.best, self.final, self.neighbors)
        folders = (self.tensorboard, self.checkpoints, self.evaluation, self.export)
        return [part for part in (*files, *folders) if part.exists()]

    def clear(self) -> None:
        """Remove the run's own files and folders, and nothing else; config.json last, by which they are its own."""
        for part in reversed(self.parts):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink()


@contextmanager
def reserved(path: Path | None, config: TrainingConfig, overwrite: bool, resume: bool) -> Iterator[WorkDirectory]:
    """Keep a work directory for one run; no other can have it before the block ends.

    An earlier run there stays as it is: `WorkDirectory.clear` is for when nothing can be wrong with the new one.

    Args:
        path: None: the next free one in `runs/`.

    Raises:
        UserError, MissingFileError: another process has it, or as `require_usable`.
    """
    path = path or take_unused(f"{Path(config.dataset).resolve().name}-{config.model}")  # it may be a folder's path
    require_usable(path, config, overwrite, resume)
    with locked(path):
        require_usable(path, config, overwrite, resume)  # again: another may have had it until now
        yield WorkDirectory(path)


def require_usable(path: Path, config: TrainingConfig, overwrite: bool, resume: bool) -> None:
    """Refuse a folder that a run cannot have.

    Raises:
        UserError: it is a file; it holds a run, or something else, and neither `overwrite` nor `resume` was asked for;
            files with the names of a run's are not those of a run; or the run to resume is finished or had other
            settings.
        MissingFileError: there is no run to resume.
    """
    if path.is_file():
        raise UserError(f"{path} is a file; a run needs a folder of its own.")
    workdir = WorkDirectory(path)
    if resume:
        _require_resumable(workdir, config)
        return
    others = foreign_files(path) if path.exists() else []
    if others and not overwrite:
        what = "a run" if workdir.config_file.exists() else f"other files ({others[0]})"
        raise UserError(
            f"{path} already holds {what}: choose another --workdir, --resume an interrupted run, or replace it with "
            "--overwrite."
        )
    if workdir.parts and not workdir.config_file.exists():
        raise UserError(f"{path} holds {workdir.parts[0].name}, but not a run; choose another --workdir.")
    if workdir.parts:
        _ = workdir.description  # refuses a config.json that no run wrote


def foreign_files(path: Path) -> list[str]:
    """Return the names in a folder but for the lock and what a process left that was killed as it wrote."""
    return [entry.name for entry in path.iterdir() if entry.name != LOCK and not is_temporary(entry)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a folder, which is made if need be; nobody else can hold it before the block ends.

    It is removed then if nothing was written there.

    Raises:
        UserError: it is a file, or another process holds it.
    """
    if path.is_file():
        raise UserError(f"{path} is a file; a run needs a folder of its own.")
    path.mkdir(parents=True, exist_ok=True)
    with open(path / LOCK, "w", encoding="utf-8") as lock:
        if not is_ours_alone(lock.fileno(), path / LOCK):
            raise UserError(f"{path} is in use by another run; wait for it, or choose another --workdir.")
        try:
            yield
        finally:
            if [entry.name for entry in path.iterdir()] == [LOCK]:
                (path / LOCK).unlink()
                with suppress(OSError):  # somebody may have come in since
                    path.rmdir()


def _require_resumable(workdir: WorkDirectory, config: TrainingConfig) -> None:
    if workdir.is_finished:
        raise UserError(f"The run in {workdir.path} is finished; there is nothing to resume, but --extend goes on.")
    if not workdir.has_checkpoint:
        raise MissingFileError(f"{workdir.path} has no checkpoint to resume from; start again with --overwrite.")
    require_settings(workdir, config)


def require_settings(workdir: WorkDirectory, config: TrainingConfig) -> None:
    """Refuse a config that is not that of a run.

    Raises:
        UserError: it has another value somewhere.
    """
    before, now = workdir.config.to_dict(), config.to_dict()
    changed = [name for name in now if now[name] != before[name]]
    if changed:
        raise UserError(
            f"The run in {workdir.path} had {changed[0]} = {before[changed[0]]}, not {now[changed[0]]}: "
            "a run is resumed with the settings it was started with."
        )


def find_last(root: Path = RUNS) -> WorkDirectory:
    """Return the run under `root` that was started or finished last.

    Raises:
        MissingFileError: there is none yet.
    """
    runs = all_runs(root)
    if not runs:
        raise MissingFileError(f"There is no run under {root}/ yet; start one with: python train.py")
    return runs[-1]


def all_runs(root: Path = RUNS) -> list[WorkDirectory]:
    """Return the runs under `root`, the one that was started or finished last at the end."""
    return [WorkDirectory(path) for path in run_folders(None, root)]


def run_folders(kind: str | None, root: Path = RUNS) -> list[Path]:
    """Return the folders under `root` whose config.json names a kind, the one that was written last at the end.

    A recognizer's names none.
    """
    files = sorted(root.glob("*/config.json"), key=lambda file: (file.stat().st_mtime, file.parent.name))
    return [file.parent for file in files if _kind_of(file) == kind]


def _kind_of(config_file: Path) -> str | None:
    try:
        description = read_json(config_file)
    except UserError:
        return None  # damaged: whoever reads it says so
    return description.get("kind") if isinstance(description, dict) else None


def take_unused(name: str) -> Path:
    """Make the folder of `unused_path`, which nobody else gets then, however close they follow."""
    while True:
        path = unused_path(name)
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path


def unused_path(name: str, root: Path = RUNS) -> Path:
    """Return the first unused `runs/<name>-<number>`."""
    number = 1
    while (path := root / f"{name}-{number}").exists():
        number += 1
    return path
