"""The command `serve`: it listens where it says, needs the key it was given, and finishes what it has begun."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuzushiji_tf.cli import main, serve
from kuzushiji_tf.recognition.pretrained import PRETRAINED
from kuzushiji_tf.serving.site import WEB

BODY = json.dumps({"model": "kana", "strokes": [[[30, 20], [80, 20]], [[55, 5], [52, 60]]]}).encode()
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen, str]]]:
    """Start a server on a free port and return its process and its address; it ends with the test."""
    processes = []

    def start_server(*arguments: str, **environment: str) -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "kuzushiji_tf", "serve", "--port", "0", "--threads", "1", *arguments],
            cwd=Path(__file__).parents[2],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background jobs are started without Ctrl-C, and so would be what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        for line in process.stdout:
            if address := re.search(r"http://\S+", line):
                return process, address[0]
        raise AssertionError(process.stderr.read())

    yield start_server
    for process in processes:
        process.kill()
        process.communicate()


def _ask(address: str, **headers: str) -> dict:
    request = urllib.request.Request(f"{address}/v1/recognize", BODY, HEADERS | headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_it_listens_on_this_machine_alone_reads_strokes_and_ends_with_ctrl_c(start):
    process, address = start("--api-only")
    assert address.startswith("http://127.0.0.1:")
    assert len(_ask(address)["candidates"]) == 5
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "Traceback" not in process.stderr.read()


def test_what_is_under_way_is_finished_before_it_stops(start):
    process, address = start("--api-only")
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /v1/recognize HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:20])
        _ask(address)  # by now the first request has arrived, too
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while _is_open(host, int(port)):
            assert time.monotonic() < deadline
        connection.sendall(BODY[20:])
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"candidates"' in answer
    assert process.wait(20) in (0, -signal.SIGTERM)


def test_an_endless_body_is_refused_before_it_costs_memory(start):
    process, address = start("--api-only")
    host, port = address.removeprefix("http://").split(":")
    _ask(address)
    before = _memory(process)
    chunk = b"%x\r\n" % 65536 + b"[" * 65536 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST /v1/recognize HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent = 0
        while not select.select([connection], [], [], 0)[0]:
            connection.sendall(chunk)
            sent += len(chunk)
            assert sent < 100_000_000
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert _memory(process) - before < 30


def _memory(process: subprocess.Popen) -> float:
    """Return a process's resident memory in MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def _is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_key_of_the_environment_is_asked_for_and_not_shown(start):
    key = "a-key-of-the-environment"
    process, address = start("--api-only", KUZUSHIJI_API_KEY=key)
    assert key not in Path(f"/proc/{process.pid}/cmdline").read_text()
    with pytest.raises(urllib.error.HTTPError) as refused:
        _ask(address)
    assert refused.value.code == 401
    assert json.load(refused.value).keys() == {"error"}
    assert _ask(address, **{"X-API-Key": key})["model"] == "kana"


def test_without_what_the_page_needs_the_api_serves_and_the_note_says_what_to_run(monkeypatch, tmp_path, capsys):
    from kuzushiji_tf.serving import site

    monkeypatch.setattr(site, "WEB", tmp_path)
    assert serve._build_page(tmp_path / "site", PRETRAINED) is None
    assert "npm ci" in capsys.readouterr().err


@pytest.fixture
def models(tmp_path) -> Path:
    """A folder that holds one small recognizer."""
    kept = shutil.ignore_patterns("saved_model", "*.keras", "*float*")
    return shutil.copytree(PRETRAINED / "kana", tmp_path / "models" / "kana", ignore=kept).parent


@pytest.mark.skipif(not (WEB / "vendor").exists(), reason="needs npm ci in serving/web")
def test_a_page_that_was_written_before_is_served_where_nothing_can_be_written(start, models, tmp_path):
    assert main(["serve", "--write-site", str(tmp_path / "site"), "--models", str(models)]) == 0
    nowhere = str(tmp_path / "absent")
    _, address = start("--site", str(tmp_path / "site"), "--models", str(models), TMPDIR=nowhere)
    with urllib.request.urlopen(f"{address}/models/index.json", timeout=30) as answer:
        assert [model["name"] for model in json.load(answer)] == ["kana"]
    assert len(_ask(address)["candidates"]) == 5


def test_a_folder_without_a_page_is_refused(tmp_path, models, capsys):
    assert main(["serve", "--site", str(tmp_path), "--models", str(models), "--port", "0"]) == 2
    assert "--write-site" in capsys.readouterr().err


def test_what_a_person_can_mend_is_said_in_one_sentence(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, message in (
            (["--port", str(port)], f"127.0.0.1 port {port}"),
            (["--port", "99999"], "127.0.0.1 port 99999"),
            (["--host", "192.0.2.1"], "192.0.2.1"),
            (["--models", str(tmp_path)], str(tmp_path)),
            (["--threads", "0"], "--threads is 0"),
            (["--max-requests", "-3"], "--max-requests is -3"),
            (["--api-key-file", str(tmp_path / "absent")], str(tmp_path / "absent")),
        ):
            assert main(["serve", "--api-only", *arguments]) == 2
            error = capsys.readouterr().err
            assert message in error
            assert error.count("\n") == 1
