"""Tar archives: read whole and in memory, or refused in one sentence."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from kuzushiji_tf.datasets import archives
from kuzushiji_tf.datasets.archives import read_members
from kuzushiji_tf.errors import MissingFileError, UserError

FILES = {"set/a/one.png": b"first", "set/b/two.png": b"second" * 999}


def member(name, data=b"", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info, data


def write(path, members=None, mode="w"):
    with tarfile.open(path, mode) as archive:
        for info, data in members or [member(name, data) for name, data in FILES.items()]:
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.tar.bz2", "w:bz2")]
)
def test_every_compression_gives_the_same_files(tmp_path, name, mode):
    path = write(tmp_path / name, mode=mode)
    assert {str(member): data for member, data in read_members(path)} == FILES


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (member("/etc/passwd", b"x"), "leads out"),
        (member("set/../../x.png", b"x"), "leads out"),
        (member("set\\..\\x.png", b"x"), "leads out"),
        (member("set/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link or a device"),
        (member("set/hard.png", type=tarfile.LNKTYPE, linkname="set/a/one.png"), "a link or a device"),
        (member("set/null.png", type=tarfile.CHRTYPE), "a link or a device"),
        (member("set/pipe.png", type=tarfile.FIFOTYPE), "a link or a device"),
        (member("set/large.png", bytes(archives.LARGEST_MEMBER + 1)), "more than any image"),
    ],
)
def test_a_member_that_no_data_set_has_is_refused_by_name(tmp_path, bad, words):
    path = write(tmp_path / "a.tar", [member("set/a/one.png", b"fine"), bad])
    with pytest.raises(UserError, match=words) as caught:
        list(read_members(path))
    assert str(path) in str(caught.value) and repr(bad[0].name) in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar"]


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    with pytest.raises(UserError, match="member number 2"):
        list(read_members(write(tmp_path / "a.tar")))


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_an_archive_cut_short_is_refused_in_one_sentence(tmp_path, name, mode):
    path = write(tmp_path / name, mode=mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: 2000 if mode == "w" else len(whole) // 2])
    with pytest.raises(UserError, match="damaged") as caught:
        list(read_members(path))
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not an archive at all", bytes(range(256)) * 40])
def test_another_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a tar archive"):
        list(read_members(path))


def test_missing_archive_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"absent\.tar"):
        list(read_members(tmp_path / "absent.tar"))


def test_a_long_name_is_not_kept_in_memory(tmp_path):
    """A megabyte that would unpack to a name of a gigabyte."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        stream.write(b"n" * (32 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="headers are longer"):
            list(read_members(tmp_path / "a.tar.gz"))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_headers_of_headers_are_damage(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    (tmp_path / "a.tar").write_bytes((header.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 2000)
    with pytest.raises(UserError, match="damaged"):
        list(read_members(tmp_path / "a.tar"))


def test_all_members_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_TAR", 1 << 20)
    path = write(tmp_path / "a.tar.gz", [member(f"set/{number}.png", bytes(1 << 19)) for number in range(4)], "w:gz")
    with pytest.raises(UserError, match="more than"):
        list(read_members(path))


def test_names_are_as_long_as_a_file_system_allows(tmp_path):
    names = [f"set/{'n' * length}.png" for length in (10, 120, 240)]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            for name in names:
                archive.addfile(*(lambda info, data: (info, io.BytesIO(data)))(*member(name, b"x" * 999_000)))
        assert [str(name) for name, _ in read_members(tmp_path / "a.tar")] == names
