"""Data sets decoded once: a folder of arrays in the cache, made by whoever needs it first."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kuzushiji_tf.datasets.places import cache_folder
from kuzushiji_tf.files import atomic_folder, write_json

LEFT_OUT = "left_out.json"


def decoded_folder(name: str, identity: dict[str, Any]) -> Path:
    """Return where `open_decoded` keeps a data set, whether it is there or not."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "decoded" / f"{name}-{digest}"


def open_decoded(name: str, identity: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """Return the folder with the decoded form of some files, decoding them first unless that was done before.

    Several processes may ask at the same time: one decodes, the others wait for it. A process that is killed leaves
    nothing that anybody would take for a finished folder.

    Args:
        name: how the folder's name begins.
        identity: JSON-able values that say which files (paths, sizes, times of change) and which form; whenever one
            of them changes, the files are decoded anew.
        build: writes the arrays into the empty folder that it is given.

    Raises:
        UserError: as `build` does; nothing is kept then.
    """
    folder = decoded_folder(name, identity)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _forget_leftovers(folder)
            with atomic_folder(folder) as temporary:
                build(temporary)
                write_json(temporary / "identity.json", identity)
    return folder


def write_left_out(folder: Path, counts: Mapping[str, int]) -> None:
    """Write how many images were left out while decoding, by the reason; reasons without any are not written."""
    write_json(folder / LEFT_OUT, {reason: count for reason, count in counts.items() if count})


def read_left_out(folder: Path) -> dict[str, int]:
    """Read what `write_left_out` wrote."""
    return json.loads((folder / LEFT_OUT).read_text(encoding="utf-8"))


def _forget_leftovers(folder: Path) -> None:
    """Remove what a killed process left; nobody else is at work here while we hold the lock."""
    for leftover in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
