"""Tar archives that nobody has to trust: read member by member, never extracted to disk."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of

LARGEST_MEMBER = 1 << 20  # bytes; an image of a character has a few thousand
MOST_MEMBERS = 1_000_000
# What tarfile and the decompressors raise on damaged or foreign files.
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, OverflowError)


def read_members(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name and the content of every file of a tar archive, plain or compressed (gzip, bzip2, xz).

    Raises:
        MissingFileError: no such file.
        UserError: not a tar archive, damaged or cut short; or a member that no data set has: a name that leads out of
            the archive's folder, a link, a device, a file of more than 1 MiB, or more than a million members.
    """
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for count, member in enumerate(archive, start=1):
                _require_harmless(path, member, count)
                # A stream's members are kept in a list for later; nobody needs them, and they fill the memory.
                archive.members.clear()  # type: ignore[attr-defined]
                if content := archive.extractfile(member):
                    yield PurePosixPath(member.name), content.read()
    except UserError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except _DAMAGE as error:
        reason = reason_of(error)
        raise UserError(f"{path} is damaged, incomplete or not a tar archive ({reason}); fetch it again.") from None


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
