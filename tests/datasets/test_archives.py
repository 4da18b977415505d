"""Tar archives: read whole and in memory, or refused in one sentence."""

import io
import tarfile

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


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")])
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
