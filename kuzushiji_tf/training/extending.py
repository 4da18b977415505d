"""More epochs for a run that is finished; until they are there, what it ended with stands.

While they are trained, config.json has the entry `extending`, the epochs to reach; all else in it, and `final.keras`,
is of the run as it ended before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.workdirs import EXTENDING, WorkDirectory, locked


@contextmanager
def extensible(path: Path, config: TrainingConfig) -> Iterator[WorkDirectory]:
    """Keep the work directory of a finished run for more epochs; no other can have it before the block ends.

    Args:
        path: of the work directory.
        config: the run's settings.

    Raises:
        UserError: another process has it, it is not finished, it had other settings, or early stopping ended it.
        MissingFileError: there is no run, or none that was trained by epochs.
    """
    workdir = WorkDirectory(path)
    _require_extensible(workdir, config)
    with locked(path):
        _require_extensible(workdir, config)  # again: another may have had it until now
        yield workdir


def _require_extensible(workdir: WorkDirectory, config: TrainingConfig) -> None:
    path, description = workdir.path, workdir.description
    if not workdir.is_finished:
        raise UserError(f"The run in {path} is not finished: finish it first, with --resume.")
    if not workdir.has_checkpoint:
        raise MissingFileError(f"{path} has no checkpoint to go on from, so it cannot be extended.")
    if workdir.config != config:
        raise UserError(f"The run in {path} is extended with the settings that it was started with: leave others out.")
    ended = description["result"]["last_epoch"]["epoch"]
    if ended < config.epochs:
        raise UserError(
            f"Early stopping ended the run in {path} after epoch {ended:.0f}: start another from its weights, with "
            "--initial-weights and a longer --early-stopping-patience."
        )


def begin(workdir: WorkDirectory, epochs: int) -> None:
    """Note that a finished run goes on until it has so many epochs."""
    write_json(workdir.config_file, {**workdir.description, EXTENDING: epochs})


def with_all_epochs(config: TrainingConfig, workdir: WorkDirectory) -> TrainingConfig:
    """Return the config of a run to resume, with the epochs that it goes on to if it was being extended."""
    return replace(config, epochs=workdir.description.get(EXTENDING, config.epochs))


def finish(workdir: WorkDirectory, config: TrainingConfig, result: dict[str, Any]) -> None:
    """Mark a run as finished, with what it was trained with and its result."""
    kept = {name: value for name, value in workdir.description.items() if name != EXTENDING}
    write_json(workdir.config_file, {**kept, "config": config.to_dict(), "result": result})
