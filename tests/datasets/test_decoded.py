"""Decoded data sets: made once, whole, whoever asks and however often."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from kuzushiji_tf.datasets import decoded
from kuzushiji_tf.datasets.decoded import decoded_folder, list_decoded, open_decoded, remove_decoded, write_left_out
from kuzushiji_tf.errors import UserError

SOURCE = Path(__file__)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "cache"))


def build_slowly(folder):
    time.sleep(0.5)
    (folder / "images.bin").write_bytes(b"decoded")
    with open(folder.parents[1] / "decodings.txt", "a", encoding="utf-8") as log:
        log.write("once\n")


def open_slowly(queue):
    queue.put(open_decoded("some", SOURCE, {}, build_slowly))


def test_decoded_once_and_opened_ever_after():
    def fail(folder):
        raise AssertionError("decoded twice")

    first = open_decoded("some", SOURCE, {}, build_slowly)
    assert open_decoded("some", SOURCE, {}, fail) == first
    assert (first / "images.bin").read_bytes() == b"decoded"


def test_changed_files_are_decoded_anew():
    first = open_decoded("some", SOURCE, {"bytes": 1}, build_slowly)
    assert open_decoded("some", SOURCE, {"bytes": 2}, build_slowly) != first


def test_two_processes_at_once_both_succeed_and_one_decodes(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=open_slowly, args=(queue,)) for _ in range(2)]
    for process in processes:
        process.start()
    folders = {queue.get(timeout=20) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(folders) == 1
    assert (tmp_path / "cache" / "decodings.txt").read_text(encoding="utf-8") == "once\n"


def test_a_killed_decoding_leaves_nothing_behind_once_another_has_finished():
    context = multiprocessing.get_context("fork")
    process = context.Process(target=open_slowly, args=(context.Queue(),))
    process.start()
    folder = decoded_folder("some", SOURCE, {})
    while not list(folder.parent.glob(".some-*")):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not folder.exists()
    open_decoded("some", SOURCE, {}, build_slowly)
    assert folder.is_dir() and not list(folder.parent.glob(".some-*"))


def test_a_failed_decoding_keeps_nothing():
    def fail(folder):
        (folder / "half").write_bytes(b"half")
        raise UserError("The source is damaged.")

    with pytest.raises(UserError, match="damaged"):
        open_decoded("some", SOURCE, {}, fail)
    assert list(decoded_folder("some", SOURCE, {}).parent.iterdir()) == []


def test_who_waited_for_a_decoding_that_failed_decodes_alone(tmp_path):
    """The lock of the one that failed is removed while the others wait for it."""

    def fail(folder):
        time.sleep(0.2)
        raise UserError("The source is damaged.")

    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def open_in_vain():
        with pytest.raises(UserError):
            open_decoded("some", SOURCE, {}, fail)

    failing = context.Process(target=open_in_vain)
    failing.start()
    while not list(decoded_folder("some", SOURCE, {}).parent.glob(".some-*")):
        time.sleep(0.01)
    waiting = [context.Process(target=open_slowly, args=(queue,)) for _ in range(2)]
    for process in waiting:
        process.start()
    assert len({queue.get(timeout=20) for _ in waiting}) == 1
    for process in (failing, *waiting):
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "cache" / "decodings.txt").read_text(encoding="utf-8") == "once\n"


def test_who_does_not_leave_damaged_images_out_is_told_that_an_earlier_one_did(capsys):
    def decode(folder):
        write_left_out(folder, {"damaged": 3, "blank": 2})

    open_decoded("some", SOURCE, {}, decode, skip_damaged=True)
    open_decoded("some", SOURCE, {}, decode, skip_damaged=True)
    assert capsys.readouterr().err == ""
    open_decoded("some", SOURCE, {}, decode)
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 damaged images" in line and str(SOURCE) in line and "--skip-damaged" in line
    write_left_out(open_decoded("some", SOURCE, {"bytes": 1}, decode, skip_damaged=True), {"blank": 2})
    open_decoded("some", SOURCE, {"bytes": 1}, decode)
    assert capsys.readouterr().err == ""


def write(folder):
    (folder / "images.bin").write_bytes(bytes(1000))


def last_used(folder: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


def test_the_cache_says_what_is_there_and_what_nobody_can_use_any_more(tmp_path):
    (tmp_path / "source").touch()
    gone = open_decoded("some", tmp_path / "source", {"changed": 1}, write)
    (tmp_path / "source").unlink()
    old, new, other_size = (
        open_decoded("some", SOURCE, {"changed": changed, "image_size": size}, write)
        for changed, size in ((1, 28), (2, 28), (2, 64))
    )
    last_used(old, 1 / 24)
    entries = {entry.folder: entry for entry in list_decoded()}
    assert {folder for folder, entry in entries.items() if entry.is_stale} == {gone, old}
    assert entries[new].source == SOURCE and 1000 < entries[new].size < 2000
    assert {entry.folder for entry in remove_decoded(entries.values())} == {gone, old, new, other_size}
    assert list_decoded() == [] and list(new.parent.iterdir()) == []


def test_what_is_stale_goes_by_itself_but_not_within_a_day_of_its_use():
    first, second = (open_decoded("some", SOURCE, {"changed": changed}, write) for changed in (1, 2))
    assert first.is_dir()
    last_used(first, 2)
    open_decoded("some", SOURCE, {"changed": 3}, write)
    assert not first.exists() and second.is_dir()


def test_beyond_the_limit_what_was_used_longest_ago_goes(monkeypatch):
    monkeypatch.setattr(decoded, "LIMIT", 2500)
    folders = [open_decoded("some", SOURCE, {"image_size": size}, write) for size in range(3)]
    assert all(folder.is_dir() for folder in folders)
    for days, folder in zip((3, 4, 2), folders, strict=True):
        last_used(folder, days)
    open_decoded("some", SOURCE, {"image_size": 3}, write)
    assert [folder.is_dir() for folder in folders] == [False, False, True]


def test_a_use_makes_a_folder_young_again():
    folder = open_decoded("some", SOURCE, {}, write)
    last_used(folder, 9)
    open_decoded("some", SOURCE, {}, write)
    assert time.time() - list_decoded()[0].used < 60


def test_what_is_being_decoded_is_not_removed():
    context = multiprocessing.get_context("fork")
    process = context.Process(target=open_slowly, args=(context.Queue(),))
    process.start()
    while not (unfinished := list_decoded()):
        time.sleep(0.01)
    assert remove_decoded(unfinished) == []
    process.kill()
    process.join()
    assert remove_decoded(unfinished) == unfinished
