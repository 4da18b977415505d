"""Where the files of data sets lie: the user's folder, the one that `KUZUSHIJI_DATA` names, and the cache."""

import os
from pathlib import Path

import pooch

VARIABLE = "KUZUSHIJI_DATA"
CACHE_VARIABLE = "KUZUSHIJI_CACHE"
LEFTOVERS = ("thumbs.db", "desktop.ini", "__macosx")  # besides names that begin with a dot


def cache_folder() -> Path:
    """Return the folder of what is downloaded or decoded: `KUZUSHIJI_CACHE`, else `~/.cache/kuzushiji_tf` (Linux)."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("kuzushiji_tf"))


def user_folder(data_dir: Path | None) -> Path | None:
    """Return the folder of the user's files: `data_dir`, or else what `KUZUSHIJI_DATA` names, or None."""
    named = data_dir or os.environ.get(VARIABLE)
    return Path(named) if named else None


def folders_of(name: str, data_dir: Path | None, *, cached: bool) -> list[Path]:
    """Return the folders in which a data set's files may lie, the likeliest first.

    Args:
        name: of the folder that may hold them within another.
        data_dir: None means `KUZUSHIJI_DATA`.
        cached: whether to look in the download cache as well; not where `data_dir` is given.
    """
    folders = [user_folder(data_dir)]
    if cached and not data_dir:
        folders.append(cache_folder())
    return [inner for folder in folders if folder for inner in (folder / name, folder)]


def is_leftover(name: str) -> bool:
    """Return whether a file or folder is one that systems leave behind: `.DS_Store`, `._1.png`, `__MACOSX`."""
    return name.startswith(".") or name.lower() in LEFTOVERS
