"""Files that appear whole or not at all: write beside the target, flush, then replace.

What a process that was killed left beside a target is removed by the next that writes there.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from kuzushiji_tf.errors import MissingFileError, UserError

LARGEST_TEXT = 16 << 20  # bytes of a text file: labels, cards, recipes, strokes
DEEPEST_JSON = 32  # levels of lists and objects; what is read here has six
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\..*-[a-z0-9_]{8}\.tmp(\.[^.]+)?")
_LEAST_SPACE = 1 << 16  # bytes; a disk with less is full, whatever a writer's error says


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; it replaces `target` when the block ends without an error.

    The temporary name keeps the target's suffix, since some writers (Keras, matplotlib) choose the format by it.

    Raises:
        OSError: it cannot be written; where the disk is full, with the target's name, whatever the writer raised.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(target):
        _sweep(target.parent)
        handle, temporary = _held_temporary(target)
    try:
        with _full_disk_named(target):
            yield temporary
            _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `target` (and of what was there) when the block succeeds.

    Raises:
        UserError: `target` is a file, or somebody else is writing it.
        OSError: as `atomic_path`.
    """
    target = Path(target).resolve()  # a link to a folder stays: the folder behind it is replaced
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file, and a folder has to be written there: move it away, or name another.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        temporary = target.with_name(f".{target.name}.tmp")
        recover_folder(target)
        shutil.rmtree(temporary, ignore_errors=True)
        with _naming(target):
            temporary.mkdir()
        try:
            with _full_disk_named(target):
                yield temporary
                replace_folder(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Give a folder beside `target` its name and its place; the caller alone writes there."""
    for path in (*new.rglob("*"), new):
        _sync(path)
    old = _old(target)
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(new, target)
    finally:  # a Ctrl-C can come here, too
        if old.exists() and not target.exists():
            os.rename(old, target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Undo what a process has left that was killed in `replace_folder`; the caller alone writes there."""
    old = _old(target)
    if old.exists() and not target.exists():
        os.rename(old, target)
    shutil.rmtree(old, ignore_errors=True)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _held_temporary(target: Path) -> tuple[int, Path]:
    """Return a new file beside a target, and what holds it: while that is open, `_sweep` leaves it."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=f".tmp{target.suffix}", dir=target.parent)
        if is_ours_alone(handle, Path(name)):
            return handle, Path(name)
        os.close(handle)  # somebody swept at that moment


def _sweep(folder: Path) -> None:
    """Remove the temporary files of processes that are no more."""
    for path in filter(is_temporary, folder.iterdir()):
        with suppress(OSError), open(path, "rb") as stream:
            if is_ours_alone(stream.fileno(), path):
                path.unlink()


def is_temporary(path: Path) -> bool:
    """Return whether a file has a name that `atomic_path` gives, so that it is nobody's once its process is no more."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_ours_alone(handle: int, path: Path, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; return whether nobody else had, nor has removed or renamed it.

    Args:
        handle: of the open file.
        path: where it was.
        wait: until nobody else has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False


def _sync(path: Path) -> None:
    """Wait until what a file or a folder holds is on the disk; some network file systems know that of files only."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep others, in this process or another, from writing a folder; a file beside it says so until the block ends.

    Raises:
        UserError: somebody else is.
    """
    path = target.with_name(f".{target.name}.lock")
    with _naming(target):
        lock = open(path, "w", encoding="utf-8")  # noqa: SIM115 -- closed by the block that follows
    with lock:
        if not is_ours_alone(lock.fileno(), path):
            raise UserError(f"{target} is being written by another process; wait for it, or name another folder.")
        try:
            yield
        finally:
            path.unlink()


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let an error name the file that was asked for, not its temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None


@contextmanager
def _full_disk_named(target: Path) -> Iterator[None]:
    """Raise what a block ends in where the disk is full as one kind of error, with the name that was asked for.

    HDF5, TensorFlow and Pillow each raise their own, and some of these say nothing of the disk.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error) or shutil.disk_usage(target.parent).free < _LEAST_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that no space is left, in whatever form."""
    said = str(error)
    return getattr(error, "errno", None) in _FULL or any(os.strerror(code) in said for code in _FULL)


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        MissingFileError: no such file.
        UserError: not UTF-8, larger than `LARGEST_TEXT`, or it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read(LARGEST_TEXT + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > LARGEST_TEXT:
        raise UserError(f"{path} is larger than {LARGEST_TEXT >> 20} MiB, more than any text file that is read here.")
    try:
        text = content.decode("utf-8-sig")  # editors on Windows put a mark at the beginning
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a UTF-8 text file.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        MissingFileError, UserError: as `read_text` and `parse_json`.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, where: str | Path) -> Any:
    """Return the value of a JSON text from somebody else.

    Raises:
        UserError: it is no JSON, is nested more than `DEEPEST_JSON` levels deep, or holds half a character (a lone
            surrogate), which could not be written again; `where` begins the sentence.
    """
    try:
        value = json.loads(text)
        _require_shallow(value)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UserError(f"{where} is damaged or not JSON; write or fetch it again.") from None
    return value


def _require_shallow(value: Any) -> None:
    layer = [value]
    for _ in range(DEEPEST_JSON):
        layer = [
            part
            for whole in layer
            if isinstance(whole, list | dict)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
    if layer:
        raise ValueError("nested too deeply")


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: str | Path, value: Any, indent: int = 2) -> None:
    """Write a value as indented JSON, Japanese characters as they are, atomically."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def content_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, or of a folder's files in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            if path.is_dir():
                digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
