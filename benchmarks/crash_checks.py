"""What `crash.py` asks of a work directory: is all that is visible whole, and what did its run come to."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from kuzushiji_tf.exporting.model_card import describe_file
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.training import checkpoints
from kuzushiji_tf.workdirs import WorkDirectory

TIMED = ("images_per_second", "seconds")


def half_written(folder: Path) -> list[str]:
    """Return the visible files of a work directory that are not whole.

    TensorBoard's event files are left out, to which it appends.
    """
    workdir, found = WorkDirectory(folder), []
    for file in sorted(folder.rglob("*")):
        visible = not any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and visible and workdir.tensorboard not in file.parents and not _is_whole(file):
            found.append(str(file))
    if workdir.export.exists():
        files = json.loads((workdir.export / CARD).read_text(encoding="utf-8"))["files"]
        for name, about in files.items():
            if not describe_file(workdir.export / name).items() <= about.items():
                found.append(str(workdir.export / name))
    return found


def _is_whole(file: Path) -> bool:
    try:
        match file.suffix:
            case ".state":
                checkpoints._read(file)
            case ".json":
                json.loads(file.read_text(encoding="utf-8"))
            case ".keras":
                with zipfile.ZipFile(file) as archive:
                    return archive.testzip() is None and bool(_arrays(file))
            case ".csv":
                with open(file, encoding="utf-8", newline="") as stream:
                    return all(None not in row and None not in row.values() for row in csv.DictReader(stream))
            case _:
                return file.stat().st_size > 0
    except (*checkpoints._DAMAGES, UnicodeDecodeError):
        return False
    return True


def _arrays(file: Path) -> dict[str, bytes]:
    """Return the weights in a .keras file."""
    arrays: dict[str, bytes] = {}

    def note(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset):
            arrays[name] = value[()].tobytes()

    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(note)
    return arrays


def outcome(folder: Path) -> dict[str, Any]:
    """Return all of a finished run that must not depend on how often it was killed."""
    workdir = WorkDirectory(folder)
    with open(workdir.history_file, encoding="utf-8", newline="") as stream:
        history = [{name: value for name, value in row.items() if name not in TIMED} for row in csv.DictReader(stream)]
    result = workdir.description["result"]
    best = max(history, key=lambda row: (float(row["val_accuracy"]), -float(row["val_loss"])))
    return {
        "weights": _arrays(workdir.final),
        "history": history,
        "chosen epoch": (best["epoch"], _arrays(workdir.best)),
        "calibration": result["calibration"],
    }
