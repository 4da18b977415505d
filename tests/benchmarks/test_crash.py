"""Runs that are killed end as others do, and what is only half there is noticed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from crash_checks import half_written

from kuzushiji_tf.exporting.model_card import describe_file
from kuzushiji_tf.files import write_json, write_text
from tests.tiny import bars_dataset, tiny_model, write_run

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A work directory with a file of each kind, and an export."""
    workdir = write_run(tmp_path_factory.mktemp("runs") / "run", tiny_model(10), bars_dataset(10))
    write_text(workdir.history_file, "epoch,loss\n1,2.0\n")
    write_text(workdir.export / "labels.txt", "あ\n")
    files = {"labels.txt": {"accuracy": 1.0, **describe_file(workdir.export / "labels.txt")}}
    write_json(workdir.export / "model.json", {"files": files})
    workdir.tensorboard.mkdir()
    (workdir.tensorboard / "events").touch()
    (workdir.path / ".final-12345678.tmp.keras").touch()
    return workdir


def test_what_is_whole_or_hidden_is_no_half_written_file(finished):
    assert half_written(finished.path) == []


@pytest.mark.parametrize(
    "name, content",
    [
        ("checkpoints/epoch-1.state", b"0123"),
        ("config.json", b'{"config": {'),
        ("history.csv", b"epoch,loss\n1\n"),
        ("final.keras", None),
        ("labels.txt", b""),
        ("export/labels.txt", b"half"),
    ],
)
def test_a_file_that_is_not_whole_is_found(finished, name, content):
    file = finished.path / name
    file.parent.mkdir(exist_ok=True)
    before = file.read_bytes() if file.exists() else None
    file.write_bytes(before[:-100] if content is None else content)
    try:
        assert [Path(found).name for found in half_written(finished.path)] == [file.name]
    finally:
        file.unlink() if before is None else file.write_bytes(before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_runs_end_as_one_that_was_not():
    command = [sys.executable, "benchmarks/crash.py", "--runs", "3", "--share-steps", "0"]
    printed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    figures = json.loads(printed.splitlines()[-1])
    assert figures["kills"] >= 3
    assert (figures["identical"], figures["half_written"]) == (3, 0)
