"""Downloads, against a server on this machine: verified, whole, from the first mirror that works."""

import errno
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kuzushiji_tf.datasets.download import Patience, fetch
from kuzushiji_tf.datasets.locations import cache_folder
from kuzushiji_tf.errors import UserError

CONTENT = bytes(range(256)) * 2000
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Mirrors(ThreadingHTTPServer):
    """Hosts `/<behavior>/file.gz`; `requests` lists the behaviors in the order they were asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []
        self.closing = threading.Event()

    def url(self, behavior: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behavior}/file.gz"


class _Handler(BaseHTTPRequestHandler):
    server: Mirrors

    def do_GET(self):
        behavior = self.path.split("/")[1]
        self.server.requests.append(behavior)
        if behavior == "silent":
            self.server.closing.wait(20)
        elif behavior == "absent":
            self.send_error(404)
        elif behavior == "second-time" and self.server.requests.count(behavior) == 1:
            self.send_error(503)
        else:
            self._send(behavior)

    def _send(self, behavior: str):
        self.send_response(200)
        content = b"<html>moved</html>" if behavior == "wrong" else CONTENT
        if behavior != "unannounced":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        cut = behavior in ("truncated", "unannounced", "stalling")
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if behavior == "stalling":
            self.wfile.flush()
            self.server.closing.wait(20)

    def log_message(self, *arguments):
        """Keep the tests' output clean."""


@pytest.fixture
def mirrors(monkeypatch) -> Iterator[Mirrors]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Mirrors()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def fetch_quickly(urls: list[str], folder: Path, **changes) -> Path:
    return fetch(urls, MD5, folder, Patience(**{"timeout": (0.5, 0.5), "pause": 0.0, **changes}))


def test_good_file_arrives_whole_under_its_own_name(mirrors, tmp_path):
    path = fetch_quickly([mirrors.url("good")], tmp_path / "cache" / "kmnist")
    assert path == tmp_path / "cache" / "kmnist" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file.gz"]


def test_file_in_the_cache_is_not_asked_for_again(mirrors, tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT)
    fetch_quickly([mirrors.url("good")], tmp_path)
    assert mirrors.requests == []


def test_damaged_file_in_the_cache_is_downloaded_again(mirrors, tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])
    assert fetch_quickly([mirrors.url("good")], tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["wrong", "truncated", "unannounced", "stalling", "silent", "absent"])
def test_next_mirror_is_tried_after_a_bad_one(mirrors, tmp_path, bad):
    path = fetch_quickly([mirrors.url(bad), mirrors.url("good")], tmp_path)
    assert path.read_bytes() == CONTENT
    assert mirrors.requests == [bad, "good"]


def test_next_mirror_is_tried_after_one_that_is_down(mirrors, tmp_path):
    assert fetch_quickly(["http://127.0.0.1:1/file.gz", mirrors.url("good")], tmp_path).read_bytes() == CONTENT


def test_mirrors_are_tried_again(mirrors, tmp_path):
    urls = [mirrors.url("absent"), mirrors.url("second-time")]
    assert fetch_quickly(urls, tmp_path).read_bytes() == CONTENT
    assert mirrors.requests == ["absent", "second-time"] * 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("wrong", "other content than published"),
        ("unannounced", "other content than published"),
        ("truncated", "broken transfer"),
        ("silent", "timed out"),
        ("stalling", "connection failed"),
        ("absent", "HTTP status 404"),
    ],
)
def test_failed_download_names_file_host_reason_and_the_manual_way(mirrors, tmp_path, bad, reason):
    with pytest.raises(UserError) as caught:
        fetch_quickly([mirrors.url(bad)], tmp_path, rounds=1)
    sentence = str(caught.value)
    assert sentence.startswith("file.gz ")
    assert f"127.0.0.1:{mirrors.server_port}: {reason}" in sentence
    assert mirrors.url(bad) in sentence
    assert "--data-dir" in sentence
    assert "KUZUSHIJI_DATA" in sentence
    assert "\n" not in sentence
    assert list(tmp_path.iterdir()) == []


def test_every_host_is_named_when_all_fail(mirrors, tmp_path):
    with pytest.raises(UserError) as caught:
        fetch_quickly(["http://127.0.0.1:1/file.gz", mirrors.url("absent")], tmp_path)
    assert "127.0.0.1:1: connection failed; 127.0.0.1:" in str(caught.value)


def test_failed_download_leaves_what_was_there(mirrors, tmp_path):
    (tmp_path / "file.gz").write_bytes(b"something else")
    with pytest.raises(UserError):
        fetch_quickly([mirrors.url("wrong")], tmp_path, rounds=1)
    assert (tmp_path / "file.gz").read_bytes() == b"something else"


def test_a_full_disk_is_no_hosts_fault(mirrors, tmp_path, monkeypatch):
    def fill(*arguments, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pooch.retrieve", fill)
    with pytest.raises(UserError) as caught:
        fetch_quickly([mirrors.url("good"), mirrors.url("second-time")], tmp_path)
    sentence = str(caught.value)
    assert os.strerror(errno.ENOSPC) in sentence and str(tmp_path) in sentence and "127.0.0.1" not in sentence


def test_folder_that_cannot_be_made_is_one_sentence(mirrors, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"file\.gz .*(exists|directory)"):
        fetch_quickly([mirrors.url("good")], tmp_path / "cache" / "kmnist", rounds=1)


def test_nothing_is_printed_where_no_terminal_is(mirrors, tmp_path, capfd):
    fetch_quickly([mirrors.url("good")], tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the place differs between systems")
def test_downloads_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUZUSHIJI_CACHE")
    assert cache_folder() == tmp_path / "kuzushiji_tf"
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
