"""A folder that takes long to write: filled under a hidden name, kept when the process dies, finished by the next."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import is_ours_alone, recover_folder, replace_folder, write_json


@contextmanager
def resumable_folder(
    target: Path, origin_name: str, origin: dict[str, Any], overwrite: bool, is_worth_keeping: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield the hidden folder beside `target` that takes its name (and its place) when the block succeeds.

    It holds a file with the origin, and what an earlier block of the same origin has left there.

    Args:
        target: resolved path.
        origin_name: the file in the folder that says what is to be written; more may be added to it.
        origin: its content, for JSON.
        overwrite: whether to drop what was begun with another origin.
        is_worth_keeping: whether there is something to go on with after an error; if not, the hidden folder is removed.

    Raises:
        UserError: another process is writing there, or what was begun has another origin.
    """
    hidden = target.with_name(f".{target.name}.partial")
    hidden.mkdir(parents=True, exist_ok=True)
    handle = os.open(hidden, os.O_RDONLY)
    try:
        if not is_ours_alone(handle, hidden):
            raise UserError(f"{target} is being written by another process; wait for it.")
        recover_folder(target)
        _claim(hidden, origin_name, json.loads(json.dumps(origin)), overwrite)
        try:
            yield hidden
        except BaseException:
            if not is_worth_keeping(hidden):
                shutil.rmtree(hidden, ignore_errors=True)
            raise
        replace_folder(hidden, target)
    finally:
        os.close(handle)


def _claim(hidden: Path, name: str, origin: dict[str, Any], overwrite: bool) -> None:
    try:
        before = json.loads((hidden / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        before = {}
    changed = [key for key in origin if before.get(key) != origin[key]]
    if before and changed and not overwrite:
        raise UserError(
            f"{hidden} holds an unfinished set with {changed[0]} = {before.get(changed[0])}, not {origin[changed[0]]}: "
            "finish that one, or start again with --overwrite."
        )
    if changed:
        for part in hidden.iterdir():
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        write_json(hidden / name, origin)
