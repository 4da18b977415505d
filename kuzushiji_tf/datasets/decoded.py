"""Data sets decoded once: folders of arrays in the cache, made by whoever needs them first, removed when stale."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kuzushiji_tf.datasets.locations import cache_folder
from kuzushiji_tf.files import atomic_folder, is_ours_alone, write_json

LIMIT = 32 << 30  # bytes of all that is decoded; beyond them, what was used longest ago goes
SAFE = 24 * 3600  # seconds for which nothing is removed by itself after its last use
LEFT_OUT = "left_out.json"
_IDENTITY = "identity.json"


@dataclass(frozen=True)
class Decoded:
    """A data set in the cache.

    Attributes:
        folder: where its arrays are.
        source: the file or folder that it was decoded from; None where a killed process left it unfinished.
        size: bytes on disk.
        used: when it was last used, seconds since 1970.
        is_stale: whether nobody can use it any more: its source is gone or was decoded anew, or it is unfinished.
    """

    folder: Path
    source: Path | None
    size: int
    used: float
    is_stale: bool


def decoded_folder(name: str, source: Path, identity: Mapping[str, Any]) -> Path:
    """Return where `open_decoded` keeps a data set, whether it is there or not."""
    digest = hashlib.sha256(json.dumps(_identity(source, identity), sort_keys=True).encode()).hexdigest()[:16]
    return decoded_root() / f"{name}-{digest}"


def open_decoded(
    name: str, source: Path, identity: Mapping[str, Any], build: Callable[[Path], None], *, skip_damaged: bool = False
) -> Path:
    """Return the folder with the decoded form of some files, decoding them first unless that was done before.

    Several processes may ask at the same time: one decodes, the others wait for it. A process that is killed leaves
    nothing that anybody would take for a finished folder. Whoever decodes also removes what is stale, and what goes
    beyond `LIMIT`.

    Args:
        name: how the folder's name begins.
        source: the file or folder that is decoded.
        identity: JSON-able values that say which state of the source (sizes, times of change) and which form; whenever
            one of them changes, the files are decoded anew. `image_size` tells forms apart that may stand side by side.
        build: writes the arrays into the empty folder that it is given.
        skip_damaged: whether the caller leaves damaged images out. Who does not is told where an earlier one did.

    Raises:
        UserError: as `build` does; nothing is kept then.
    """
    folder = decoded_folder(name, source, identity)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, wait=True):
            if not folder.is_dir():
                try:
                    with atomic_folder(folder) as temporary:
                        build(temporary)
                        write_json(temporary / _IDENTITY, _identity(source, identity))
                except BaseException:
                    _lock_file(folder).unlink(missing_ok=True)
                    raise
        with suppress(OSError):  # what belongs to somebody else stays
            _tidy(folder)
    with suppress(OSError):  # a cache that may only be read
        os.utime(folder)
    damaged = 0 if skip_damaged else _count_damaged(folder)
    if damaged:
        tqdm.write(
            f"note: {damaged:,} damaged images of {source} are left out, as it was decoded with --skip-damaged.",
            file=sys.stderr,
        )
    return folder


def list_decoded() -> list[Decoded]:
    """Return what is in the cache, the last used first."""
    root = decoded_root()
    folders = []
    for path in root.iterdir() if root.is_dir() else ():
        with suppress(FileNotFoundError):  # another process has just removed it
            if path.is_dir():
                folders.append((path.stat().st_mtime, _size(path), path))
    found, seen = [], set()
    for used, size, folder in sorted(folders, reverse=True):
        about = _read_identity(folder)
        source = Path(about["source"]) if about else None
        # Of one source, one name and one image size, the last used is its present state.
        state = folder.name.rpartition("-")[0], source, (about or {}).get("image_size")
        is_stale = source is None or not source.exists() or state in seen
        seen.add(state)
        found.append(Decoded(folder, source, size, used, is_stale))
    return found


def remove_decoded(entries: Iterable[Decoded]) -> list[Decoded]:
    """Remove data sets from the cache, and return those removed: none that a process is decoding at the moment."""
    removed = []
    for entry in entries:
        with _locked(entry.folder, wait=False) as is_ours:
            if is_ours:
                shutil.rmtree(entry.folder, ignore_errors=True)
                _lock_file(entry.folder).unlink(missing_ok=True)
                removed.append(entry)
    return removed


def write_left_out(folder: Path, counts: Mapping[str, int]) -> None:
    """Write how many images were left out while decoding, by the reason; reasons without any are not written."""
    write_json(folder / LEFT_OUT, {reason: count for reason, count in counts.items() if count})


def read_left_out(folder: Path) -> dict[str, int]:
    """Read what `write_left_out` wrote."""
    return json.loads((folder / LEFT_OUT).read_text(encoding="utf-8"))


def decoded_root() -> Path:
    """Return the folder of all that is decoded."""
    return cache_folder() / "decoded"


def _identity(source: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": str(source.resolve()), **identity}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _read_identity(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / _IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _count_damaged(folder: Path) -> int:
    return read_left_out(folder).get("damaged", 0) if (folder / LEFT_OUT).exists() else 0


def _lock_file(folder: Path) -> Path:
    """Return the lock of a folder; an unfinished one, `.name.tmp`, has that of the folder it was to become."""
    name = folder.name.removeprefix(".").rpartition(".")[0] if folder.name.startswith(".") else folder.name
    return folder.with_name(f"{name}.lock")


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a folder's lock, and yield whether it was to be had without waiting (always, if `wait`)."""
    path = _lock_file(folder)
    while True:
        with open(path, "w", encoding="utf-8") as lock:
            is_ours = is_ours_alone(lock.fileno(), path, wait)
            if is_ours or not wait:
                yield is_ours
                return


def _tidy(folder: Path) -> None:
    """Remove what is stale, then what is too much; nothing that may be in use, and not the folder itself."""
    room, unneeded = LIMIT, []
    for entry in list_decoded():
        room -= 0 if entry.is_stale else entry.size
        if entry.folder != folder and time.time() - entry.used > SAFE and (entry.is_stale or room < 0):
            unneeded.append(entry)
    remove_decoded(unneeded)
