"""Files and folders appear whole or not at all, and leave nothing beside them."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_folder, atomic_path, read_json, read_text, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_file_appears_with_its_content_and_nothing_beside_it(tmp_path):
    with atomic_path(tmp_path / "new" / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert not (tmp_path / "new" / "model.keras").exists()
        temporary.write_bytes(b"whole")
    assert (tmp_path / "new" / "model.keras").read_bytes() == b"whole"
    assert names(tmp_path / "new") == ["model.keras"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path, error):
    write_text(tmp_path / "labels.txt", "old")
    with pytest.raises(error), atomic_path(tmp_path / "labels.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert (tmp_path / "labels.txt").read_text() == "old"
    assert names(tmp_path) == ["labels.txt"]


def test_file_that_cannot_be_put_in_place_leaves_no_temporary_one(tmp_path):
    (tmp_path / "target" / "content").mkdir(parents=True)
    with pytest.raises(OSError), atomic_path(tmp_path / "target") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == ["target"]


def test_new_files_and_folders_have_the_permissions_that_others_have(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "plain-folder").mkdir()
    write_text(tmp_path / "file", "")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain-folder").stat().st_mode


def test_json_keeps_japanese_readable(tmp_path):
    write_json(tmp_path / "card.json", {"classes": ["あ"]})
    assert "あ" in (tmp_path / "card.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8")) == {"classes": ["あ"]}


def test_failed_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "card.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "card.json", object())
    assert (tmp_path / "card.json").read_text() == "1\n"


def test_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "export"
    for content in ("old", "new"):
        with atomic_folder(target) as folder:
            write_text(folder / f"{content}.txt", content)
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["export"]


def test_two_never_write_a_folder_at_once(tmp_path):
    with atomic_folder(tmp_path / "export") as folder:
        with pytest.raises(UserError, match="another process"), atomic_folder(tmp_path / "export"):
            pass
        with atomic_folder(tmp_path / "other"):
            pass
        write_text(folder / "whole.txt", "the first one's")
    assert names(tmp_path / "export") == ["whole.txt"]
    assert names(tmp_path) == ["export", "other"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_folder_leaves_the_old_one_and_no_temporary_one(tmp_path, error):
    with atomic_folder(tmp_path / "export") as folder:
        write_text(folder / "old.txt", "old")
    with pytest.raises(error), atomic_folder(tmp_path / "export") as folder:
        write_text(folder / "half.txt", "half")
        raise error
    assert names(tmp_path / "export") == ["old.txt"]
    assert names(tmp_path) == ["export"]


def test_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "export") as folder:
        write_text(folder / "old.txt", "old")
    rename = os.rename

    def refuse_new(source, target):
        if Path(target).name == "export" and not str(source).endswith(".old"):
            raise PermissionError
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_new)
    with pytest.raises(PermissionError), atomic_folder(tmp_path / "export") as folder:
        write_text(folder / "new.txt", "new")
    assert names(tmp_path / "export") == ["old.txt"]
    assert names(tmp_path) == ["export"]


def test_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_folder(tmp_path / "link") as folder:
        write_text(folder / "new.txt", "new")
    assert names(tmp_path / "real") == ["new.txt"]
    assert names(tmp_path) == ["link", "real"]


def test_file_in_the_place_of_a_folder_is_left_alone(tmp_path):
    write_text(tmp_path / "export", "a file")
    with pytest.raises(UserError, match="is a file"), atomic_folder(tmp_path / "export"):
        pass
    assert (tmp_path / "export").read_text() == "a file"
    assert names(tmp_path) == ["export"]


@pytest.mark.parametrize("appear", [atomic_path, atomic_folder])
@pytest.mark.parametrize(
    "error, free",
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1 << 30),
        (RuntimeError("Can't decrement id ref count (errno = 28, error message = 'No space left on device')"), 1 << 30),
        (OSError("encoder error -2 when writing image file"), 0),
    ],
    ids=["the system's", "HDF5's", "Pillow's"],
)
def test_a_full_disk_is_told_by_the_name_asked_for_and_leaves_nothing(tmp_path, monkeypatch, appear, error, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(OSError) as refused, appear(tmp_path / "x"):
        raise error
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, str(tmp_path / "x"))
    assert names(tmp_path) == []


def test_an_error_on_a_disk_with_space_stays_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="another"), atomic_path(tmp_path / "x"):
        raise RuntimeError("another")


@pytest.mark.parametrize("appear", [atomic_path, atomic_folder])
def test_a_folder_that_may_not_be_written_to_is_told_by_the_name_asked_for(tmp_path, monkeypatch, appear):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".x-g9a2vwak"))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError) as refused, appear(tmp_path / "x"):
        pass
    assert refused.value.filename == str(tmp_path / "x")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, '"\\ud800"', "9" * 5000, "\0"],
    ids=["empty", "cut", "open", "nested lists", "nested objects", "half a character", "5,000 digits", "zero"],
)
def test_json_that_nobody_wrote_in_earnest_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"character": "𠮟", "levels": [[[[[[1.5]]]]]], "none": None}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    (tmp_path / "b.json").write_text(json.dumps(value), encoding="ascii")
    assert read_json(tmp_path / "b.json") == value


def test_no_more_of_a_text_is_read_than_any_has(tmp_path, monkeypatch):
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="16 MiB"):
        read_text(tmp_path / "endless")


KILLED = """
import os, sys
from pathlib import Path
from kuzushiji_tf import files

target, renames = Path(sys.argv[1]), int(sys.argv[2])
rename = os.rename

def rename_and_die(source, target):
    global renames
    rename(source, target)
    renames -= 1
    if not renames:
        os.kill(os.getpid(), 9)

os.rename = rename_and_die
with files.atomic_path(target.parent / "history.csv") as temporary, files.atomic_folder(target) as folder:
    temporary.write_text("half")
    (folder / "new.txt").write_text("new")
    if not renames:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("renames, there", [(0, ["old.txt"]), (1, None), (2, ["new.txt"])])
def test_what_a_killed_process_leaves_is_mended_by_the_next_that_writes_there(tmp_path, renames, there):
    target = tmp_path / "export"
    with atomic_folder(target) as folder:
        write_text(folder / "old.txt", "old")
    subprocess.run([sys.executable, "-c", KILLED, str(target), str(renames)], check=False)
    assert len(names(tmp_path)) > 1
    assert there == (names(target) if target.exists() else None)
    with pytest.raises(KeyboardInterrupt), atomic_folder(target):
        raise KeyboardInterrupt
    assert names(target) == (there or ["old.txt"])
    write_text(tmp_path / "another.txt", "")
    assert names(tmp_path) == ["another.txt", "export"]


def test_what_a_living_process_is_writing_stays(tmp_path):
    with atomic_path(tmp_path / "model.keras") as temporary:
        temporary.write_text("whole")
        write_text(tmp_path / "another.txt", "")
        write_text(tmp_path / ".name-12345678.tmpl", "somebody else's")
    assert (tmp_path / "model.keras").read_text() == "whole"
    write_text(tmp_path / "another.txt", "")
    assert names(tmp_path) == [".name-12345678.tmpl", "another.txt", "model.keras"]


def test_a_name_is_on_the_disk_before_a_file_counts_as_written(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    write_text(tmp_path / "file", "")
    assert synced[-1] == str(tmp_path)
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("")
    assert {str(tmp_path / ".folder.tmp"), str(tmp_path / ".folder.tmp" / "file")} < set(synced)
    assert synced[-1] == str(tmp_path)
