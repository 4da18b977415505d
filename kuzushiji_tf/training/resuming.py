"""What `resume="auto"` comes to: go on with a run, start it, or leave it, since it is finished."""

from pathlib import Path
from typing import Literal

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.workdirs import WorkDirectory, require_settings

Resume = bool | Literal["auto"]


def require_folder(folder: str | Path | None) -> str | Path:
    """Return the folder that `auto` is about.

    Raises:
        UserError: none is named.
    """
    if folder is None:
        raise UserError("--resume auto continues what a folder holds, or starts it there: name it with --workdir.")
    return folder


def finished_run(folder: str | Path | None, config: TrainingConfig) -> WorkDirectory | None:
    """Return the run of a folder if it has ended, so that nothing is to be done where it is restarted.

    Raises:
        UserError: no folder is named, or the run had other settings.
    """
    workdir = WorkDirectory(Path(require_folder(folder)))
    if not workdir.config_file.exists():
        return None
    require_settings(workdir, config)
    return workdir if workdir.is_finished else None


def resolved(resume: Resume, overwrite: bool, folder: str | Path | None) -> tuple[bool, bool]:
    """Return whether to resume, and whether to overwrite, where `auto` is asked for and the run is not finished.

    A run that died before its first checkpoint begins anew.
    """
    if resume != "auto" or folder is None:
        return resume is True, overwrite
    workdir = WorkDirectory(Path(folder))
    return workdir.has_checkpoint, overwrite or (workdir.config_file.exists() and not workdir.has_checkpoint)
