"""Arrays from files that nobody has to trust: shape and type are checked before any data is read."""

import gzip
import math
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np

from kuzushiji_tf.datasets.archives import DAMAGE, require_no_bomb
from kuzushiji_tf.errors import MissingFileError, UserError, shown

LARGEST = 16 << 30  # bytes of an array whose size is not known beforehand; a small file can claim any
Found = TypeVar("Found", np.ndarray, dict[str, np.ndarray])
_CHUNK = 1 << 20


def read_npz_array(
    path: str | Path, *, shape: tuple[int, ...], dtype: np.dtype | type, member: str = "arr_0"
) -> np.ndarray:
    """Read one array of an `.npz` archive; it must have exactly the given shape and type.

    Never unpickles, and never allocates more than the expected array, whatever the file claims.
    Layout: NumPy's NEP 1 (`numpy.lib.format`) inside a zip file.

    Raises:
        MissingFileError: no such file.
        UserError: damaged, not an archive, or another array than the one expected.
    """
    return _read(path, lambda: _read_npz(path, shape, np.dtype(dtype), member))


def read_npz_arrays(
    path: str | Path,
    required: Mapping[str, tuple[str, Sequence[int]]],
    optional: Mapping[str, tuple[str, Sequence[int]]],
) -> dict[str, np.ndarray]:
    """Read the named arrays of an `.npz` archive, of whatever size, as `read_npz_array` does.

    Args:
        required: array name -> what its items must be (`uint8`, `text`, or `any`: text or integers), and how many
            dimensions it may have.
        optional: the same for arrays that may be missing.

    Raises:
        MissingFileError: no such file.
        UserError: damaged, not an archive, too large, or an array is missing or another than expected.
    """
    return _read(path, lambda: _read_npz_arrays(path, required, optional))


def read_whole_npz(source: str | Path | IO[bytes], where: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of an `.npz` archive, as `read_npz_array` does.

    Args:
        source: the file, or a stream of its content.
        where: begins the sentence of an error.

    Raises:
        MissingFileError: no such file.
        UserError: damaged, not an archive, too large, or it holds something else than arrays.
    """
    return _read(where, lambda: _read_whole_npz(source, where))


def read_idx(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an MNIST-format (IDX) file of unsigned bytes, gzipped (`.gz`) or not, with exactly the given shape.

    Source: http://yann.lecun.com/exdb/mnist/ (big-endian magic number `00 00 08 <dimensions>`, sizes, data).

    Raises:
        MissingFileError: no such file.
        UserError: damaged, not in this format, or another array than the one expected.
    """
    return _read(path, lambda: _read_idx(path, shape))


def _read(path: str | Path, reader: Callable[[], Found]) -> Found:
    try:
        return reader()
    except UserError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except DAMAGE:
        raise UserError(f"{path} is damaged, cut short or of another format; download or write it again.") from None


def _read_npz(path: str | Path, shape: tuple[int, ...], dtype: np.dtype, member: str) -> np.ndarray:
    def check(found_shape: tuple[int, ...], found_dtype: np.dtype) -> None:
        if found_shape != shape or found_dtype != dtype:
            raise _other_array(path, str(found_dtype), found_shape, dtype, shape)

    with zipfile.ZipFile(path) as archive:
        return _read_member(path, archive, member, check)


def _read_npz_arrays(
    path: str | Path,
    required: Mapping[str, tuple[str, Sequence[int]]],
    optional: Mapping[str, tuple[str, Sequence[int]]],
) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member, (items, dimensions) in {**required, **optional}.items():
            if member in required or f"{member}.npy" in archive.namelist():
                check = partial(_check_array, path, member, items, dimensions)
                arrays[member] = _read_member(path, archive, member, check)
    return arrays


def _read_whole_npz(source: str | Path | IO[bytes], where: str | Path) -> dict[str, np.ndarray]:
    def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
        if math.prod(shape) * dtype.itemsize > LARGEST:
            raise ValueError("too large")

    with zipfile.ZipFile(source) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        return {name: _read_member(where, archive, name, check) for name in names}


def _check_array(path: str | Path, member: str, items: str, dimensions: Sequence[int], *found: Any) -> None:
    shape, dtype = found
    fits = dtype == np.uint8 if items == "uint8" else dtype.kind in ("U" if items == "text" else "Uiu")
    if items == "text" and dtype.kind in "iuf":
        raise UserError(f"{path}: {member} holds numbers; write each image's character or code point as text.")
    if items == "uint8" and dtype.kind in "biuf" and not fits:
        raise UserError(f"{path}: {member} holds numbers of type {dtype}; make them uint8, 0..255.")
    if not fits or len(shape) not in dimensions or not all(shape):
        wanted = {"uint8": "numbers of type uint8", "text": "text", "any": "text or integers"}[items]
        raise UserError(
            f"{path}: {member} is an array {str(dtype)[:40]} {list(shape)[:5]}; it must be a filled one of {wanted} "
            f"with {' or '.join(map(str, dimensions))} dimensions."
        )
    if math.prod(shape) * dtype.itemsize > LARGEST:
        raise UserError(f"{path}: {member} is larger than {LARGEST >> 30} GB; a folder of arrays may be of any size.")


def _read_member(
    path: str | Path, archive: zipfile.ZipFile, member: str, check: Callable[[tuple[int, ...], np.dtype], None]
) -> np.ndarray:
    if f"{member}.npy" not in archive.namelist():
        raise UserError(f"{path} has no array named {shown(member)}; is it the right file?")
    entry = archive.getinfo(f"{member}.npy")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # all that NumPy writes
        raise zipfile.BadZipFile
    with archive.open(entry) as stream:
        shape, fortran_order, dtype = read_npy_header(stream)
        if dtype.hasobject:
            raise UserError(f"{path} holds pickled Python objects; they are never loaded, as they can run code.")
        check(shape, dtype)
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or entry.file_size - stream.tell() != size:
            raise zipfile.BadZipFile
        require_no_bomb(entry, path)
        array = np.empty(shape, dtype, order="F" if fortran_order else "C")
        _fill(stream, array)
    if dtype.kind == "U" and size:
        codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if codes.max() > sys.maxunicode:  # such a string crashes whatever uses it
            raise ValueError("text that is none")
    return array


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape, whether the order is Fortran's, and the type that an `.npy` header promises.

    Raises:
        ValueError: it is no such header.
    """
    # Version 1.0 alone: it bounds its own length by 64 KiB, and it is what NumPy writes for plain arrays.
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an .npy header of version 1.0")
    try:
        return np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # NumPy's parser raises almost anything on a forged header
        raise ValueError("not an .npy header") from error


def _read_idx(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    with gzip.open(path) if Path(path).suffix == ".gz" else open(path, "rb") as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0":
            raise ValueError(magic)
        found_dtype = "uint8" if magic[2] == 8 else f"type {magic[2]:#x}"
        found_shape = tuple(np.frombuffer(stream.read(4 * magic[3]), ">u4").tolist())
        if found_dtype != "uint8" or found_shape != shape:
            raise _other_array(path, found_dtype, found_shape, np.dtype(np.uint8), shape)
        array = np.empty(shape, np.uint8)
        _fill(cast(IO[bytes], stream), array)
    return array


def _fill(stream: IO[bytes], array: np.ndarray) -> None:
    """Fill the array from the stream, which must end exactly there (its checksum is then checked, too)."""
    memory = memoryview(array.reshape(-1, order="A").view(np.uint8).data)
    position = 0
    while position < len(memory):
        content = stream.read(min(_CHUNK, len(memory) - position))
        if not content:
            raise EOFError
        memory[position : position + len(content)] = content
        position += len(content)
    if stream.read(1):
        raise ValueError("more data than the header says")


def _other_array(
    path: str | Path, found_dtype: str, found_shape: tuple[int, ...], dtype: np.dtype, shape: tuple[int, ...]
) -> UserError:
    found = list(found_shape) if len(found_shape) <= 4 else f"of {len(found_shape)} dimensions"
    return UserError(
        f"{path} holds an array {found_dtype[:40]} {found} where {dtype} {list(shape)} is expected; "
        "is it the right file?"
    )
