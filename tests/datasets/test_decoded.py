"""Decoded data sets: made once, whole, whoever asks and however often."""

import multiprocessing
import time

import pytest

from kuzushiji_tf.datasets.decoded import decoded_folder, open_decoded
from kuzushiji_tf.errors import UserError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def build_slowly(folder):
    time.sleep(0.5)
    (folder / "images.bin").write_bytes(b"decoded")
    with open(folder.parents[1] / "decodings.txt", "a", encoding="utf-8") as log:
        log.write("once\n")


def open_slowly(queue):
    queue.put(open_decoded("some", {"source": "a"}, build_slowly))


def test_decoded_once_and_opened_ever_after():
    def fail(folder):
        raise AssertionError("decoded twice")

    first = open_decoded("some", {"source": "a"}, build_slowly)
    assert open_decoded("some", {"source": "a"}, fail) == first
    assert (first / "images.bin").read_bytes() == b"decoded"


def test_changed_files_are_decoded_anew():
    first = open_decoded("some", {"size": 1}, build_slowly)
    assert open_decoded("some", {"size": 2}, build_slowly) != first


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
    assert (tmp_path / "cache" / "kuzushiji_tf" / "decodings.txt").read_text(encoding="utf-8") == "once\n"


def test_a_killed_decoding_leaves_nothing_behind_once_another_has_finished():
    context = multiprocessing.get_context("fork")
    process = context.Process(target=open_slowly, args=(context.Queue(),))
    process.start()
    folder = decoded_folder("some", {"source": "a"})
    while not list(folder.parent.glob(".some-*")):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not folder.exists()
    open_decoded("some", {"source": "a"}, build_slowly)
    assert folder.is_dir() and not list(folder.parent.glob(".some-*"))


def test_a_failed_decoding_keeps_nothing():
    def fail(folder):
        (folder / "half").write_bytes(b"half")
        raise UserError("The source is damaged.")

    with pytest.raises(UserError, match="damaged"):
        open_decoded("some", {"source": "a"}, fail)
    folder = decoded_folder("some", {"source": "a"})
    assert not folder.exists() and not list(folder.parent.glob(".some-*"))
