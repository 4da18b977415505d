"""Archives that nobody has to trust: read member by member, never extracted to disk, and never more than is bounded."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of, shown

LARGEST_MEMBER = 1 << 20  # bytes; an image of a character has a few thousand
MOST_MEMBERS = 1_000_000
LARGEST_TAR = 4 << 30  # bytes of all members of a tar archive; Kuzushiji-Kanji has 0.3 GB
UNSUSPECTED = 64 << 20  # bytes of a member of a zip archive that may be packed however small
MOST_RATIO = 200  # a larger one is at most so many times as large as it is packed; images of ink are 5 to 30 times
LONGEST_HEADER = 1 << 20  # bytes between two members of a tar archive; a header has 512
# What zipfile, tarfile and the decompressors raise on damaged, encrypted or foreign files.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


class _Rationed:
    """A stream of which no more may be read than was allowed: tarfile keeps long names and tables before it tells."""

    def __init__(self, stream: IO[bytes]):
        self.stream = stream
        self.allowed = LONGEST_HEADER
        self.total = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: they are more than allowed.
        """
        self.allowed -= size
        self.total += size
        if self.allowed < 0:
            raise ValueError("its headers are longer than those of any data set")
        return self.stream.read(size)


def read_members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name and the content of every file of a tar archive, plain or compressed (gzip, bzip2, xz).

    Raises:
        MissingFileError: no such file.
        UserError: not a tar archive, damaged or cut short; or a member that no data set has: a name that leads out of
            the archive's folder, a link, a device, a file of more than 1 MiB, or more than a million members or
            `LARGEST_TAR` bytes in all.
    """
    try:
        with open(path, "rb") as stream:
            rationed = _Rationed(_unpacked(stream))
            with tarfile.open(fileobj=rationed, mode="r|") as archive:  # type: ignore[call-overload]
                for count, member in enumerate(archive, start=1):
                    _require_harmless(path, member, count)
                    if rationed.total > LARGEST_TAR:
                        raise UserError(
                            f"{path} holds more than {LARGEST_TAR >> 30} GiB; this is no set of characters."
                        )
                    # A stream's members are kept in a list for later; nobody needs them, and they fill the memory.
                    archive.members.clear()
                    rationed.allowed = LONGEST_HEADER + member.size
                    if content := archive.extractfile(member):
                        yield PurePosixPath(member.name), content.read()
    except UserError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except DAMAGE as error:
        reason = reason_of(error)
        raise UserError(f"{path} is damaged, incomplete or not a tar archive ({reason}); fetch it again.") from None


def require_no_bomb(entry: zipfile.ZipInfo, where: str | Path) -> None:
    """Check that a member of a zip archive is no larger than its packed size makes likely.

    Raises:
        UserError: it is; `where` begins the sentence.
    """
    if entry.file_size > max(UNSUSPECTED, MOST_RATIO * entry.compress_size):
        raise UserError(
            f"{where}: {shown(entry.filename)} is more than {MOST_RATIO} times as large as it is packed, as neither "
            "images nor weights are; write or fetch it again."
        )


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    """Return what a file holds, unpacked if it is compressed."""
    beginning = stream.read(max(map(len, _COMPRESSED)))
    stream.seek(0)
    for magic, unpack in _COMPRESSED.items():
        if beginning.startswith(magic):
            unpacked: IO[bytes] = unpack(stream)
            return unpacked
    return stream


def _require_harmless(path: Path, member: tarfile.TarInfo, count: int) -> None:
    name = PurePosixPath(member.name)
    problem = None
    if name.is_absolute() or ".." in name.parts or "\\" in member.name:
        problem = "a name that leads out of the archive's folder"
    elif not (member.isfile() or member.isdir()):
        problem = "neither a file nor a folder but a link or a device"
    elif member.size > LARGEST_MEMBER:
        problem = f"{member.size:,} bytes long, more than any image of a character"
    elif count > MOST_MEMBERS:
        problem = f"member number {count:,}, more than any data set has"
    if problem:
        raise UserError(f"{path} holds {member.name[:80]!r}, {problem}; this is not the archive it should be.")
