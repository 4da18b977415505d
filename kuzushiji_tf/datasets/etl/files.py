"""The user's own files of the ETL Character Database: found in a folder or a zip archive, read record by record.

Nothing is extracted to disk, and no more is read at a time than a batch of records, whatever a file claims.
"""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from kuzushiji_tf.datasets.archives import DAMAGE
from kuzushiji_tf.datasets.locations import folders_of
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of

BATCH_BYTES = 4 << 20


@dataclass(frozen=True)
class RecordFile:
    """One file of records.

    Attributes:
        name: as published, e.g. `ETL8G_01`.
        size: bytes, as the file system or the archive says.
        path: the file, or the archive that it is in.
        member: its name in the archive, or None.
    """

    name: str
    size: int
    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.member} in {self.path}" if self.member else str(self.path)

    @property
    def number(self) -> int:
        """The number at the end of the name; 1 where a single file needs none."""
        found = re.search(r"\d{1,9}$", self.name)
        return int(found[0]) if found else 1

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Yield the content as a stream.

        Raises:
            UserError: the file or the archive cannot be read.
        """
        try:
            if self.member is None:
                with open(self.path, "rb") as stream:
                    yield stream
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                    yield stream
        except UserError:
            raise
        except DAMAGE as error:
            raise _unreadable(self, error) from None


def find_source(folder_name: str, pattern: str, data_dir: Path | None) -> Path | None:
    """Return the folder or the zip archive that has a data set's files, or None.

    Looked for in `data_dir` (None: the folder that `KUZUSHIJI_DATA` names), there and in its folder `etl`: the folder
    or the archive of the data set's name, then the files themselves.
    """
    for place in folders_of("etl", data_dir, cached=False):
        for folder in (place / folder_name, place / folder_name / folder_name):
            if _files_in(folder, pattern):
                return folder
        if (archive := place / f"{folder_name}.zip").is_file():
            return archive
        if _files_in(place, pattern):
            return place
    return None


def record_files(source: Path, pattern: str) -> list[RecordFile]:
    """Return a data set's files in a folder or an archive, in the order of their names and numbers.

    Raises:
        MissingFileError: there are none.
        UserError: the archive cannot be read.
    """
    found = _files_in(source, pattern) if source.is_dir() else _members(source, pattern)
    if not found:
        raise MissingFileError(
            f"{source} holds no file of this data set, named {pattern.split('[')[0]}...; is it the right one?"
        )
    return sorted(found, key=lambda file: (file.name.rstrip("0123456789"), file.number))


def read_records(file: RecordFile, fields: np.dtype, skip_damaged: bool) -> Iterator[np.ndarray]:
    """Yield the records of a file in batches: arrays `[n]` of type `fields`.

    A record cut short at the end of the file is an error, or left out if `skip_damaged`.

    Raises:
        UserError: the file is not made of whole records, is shorter than it claims, or cannot be read.
    """
    count, rest = divmod(file.size, fields.itemsize)
    if rest and not skip_damaged:
        raise UserError(
            f"{file} ends within record {count + 1}, with {rest:,} of its {fields.itemsize:,} bytes: it is cut short "
            "or another file; download it again, or leave broken records out with --skip-damaged."
        )
    step = max(BATCH_BYTES // fields.itemsize, 1)
    with file.open() as stream:
        for first in range(0, count, step):
            wanted = min(step, count - first) * fields.itemsize
            content = stream.read(wanted)
            if len(content) != wanted:
                raise UserError(
                    f"{file} is cut short: record {first + len(content) // fields.itemsize + 1} of {count:,} is not "
                    "whole; download it again."
                )
            yield np.frombuffer(content, fields)


def _files_in(folder: Path, pattern: str) -> list[RecordFile]:
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if re.fullmatch(pattern, path.name) and path.is_file()]
    return [RecordFile(path.name, path.stat().st_size, path) for path in paths]


def _members(path: Path, pattern: str) -> list[RecordFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            # Some programs on Windows write backslashes.
            entries = [(entry.filename.replace("\\", "/").rpartition("/")[2], entry) for entry in archive.infolist()]
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except DAMAGE as error:
        raise _unreadable(path, error) from None
    return [
        RecordFile(name, entry.file_size, path, entry.filename)
        for name, entry in entries
        if re.fullmatch(pattern, name)
    ]


def _unreadable(what: Path | RecordFile, error: Exception) -> UserError:
    reason = reason_of(error)
    return UserError(f"{what} cannot be read or is damaged ({reason}); download it again.")
