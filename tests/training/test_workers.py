"""Several machines: real processes on loopback that train what one trains, and end together."""

import signal
import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from workers import SETTINGS, Run, difference, free_ports

from kuzushiji_tf.cli import main
from kuzushiji_tf.config import Cluster
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training import workers
from kuzushiji_tf.training.workers import Team, join_cluster

PLAIN = (*SETTINGS, "--model", "plain")


def cluster(index=0):
    return Cluster(tuple(f"127.0.0.1:{port}" for port in free_ports(2)), index)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--workers", "a:1,b:1", "--worker-index", "2"), "0 <= index < 2"),
        (("--workers", "a:1,b:1"), "--worker-index"),
        (("--workers", "a,b", "--worker-index", "0"), "host:port"),
    ],
)
def test_flags_that_name_no_cluster_are_refused_before_anything_is_begun(flags, said, capsys, tmp_path):
    assert main(["train", "--workdir", str(tmp_path / "run"), *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_one_sentence():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener, pytest.raises(UserError, match=f"Port {port} of worker 1"):
        workers._require_free_port(Cluster(("127.0.0.1:1", f"127.0.0.1:{port}"), 1))


def test_the_chief_waits_for_a_worker_that_never_appears_as_long_as_it_should(monkeypatch):
    monkeypatch.setattr(workers, "WAIT_SECONDS", 0.5)
    chief, start = cluster(), time.monotonic()
    with pytest.raises(UserError, match=f"Worker 1 has not appeared at {chief.workers[1]}"):
        workers._wait_for_others(chief)
    assert 0.5 <= time.monotonic() - start < 5


def test_a_process_in_which_tensorflow_has_started_joins_no_others():
    tf.constant(0) + 0
    with pytest.raises(UserError, match="process of its own"):
        join_cluster(cluster())


def test_another_version_of_keras_is_refused(monkeypatch):
    monkeypatch.setattr(workers.keras, "__version__", "3.16.0")
    with pytest.raises(UserError, match=r"keras==3\.15"):
        join_cluster(cluster())


def test_what_tensorflow_says_of_a_lost_worker_is_one_sentence():
    lost = tf.errors.UnavailableError(None, None, "Socket closed")
    strategy = tf.distribute.get_strategy()
    with pytest.raises(UserError, match="Worker 1 of 3 stops"), Team(strategy, ["CPU:0"], 1, 3).ending_together():
        raise lost
    with pytest.raises(tf.errors.UnavailableError), Team(strategy, ["CPU:0"]).ending_together():
        raise lost


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("settings", "limit"), [(("--model", "plain"), 1e-5), (("--model", "normed", "--synchronize"), 1e-4)], ids=str
)
def test_two_workers_train_what_one_process_trains(tmp_path, settings, limit):
    (alone,) = Run(tmp_path / "alone", 1, *SETTINGS, *settings).weights()
    first, second = Run(tmp_path / "two", 2, *SETTINGS, *settings).weights()
    assert difference(first, second) == 0
    assert difference(first, alone) <= limit
    rows = [(tmp_path / name / "run" / "history.csv").read_text().splitlines() for name in ("alone", "two")]
    assert [len(lines) for lines in rows] == [4, 4]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_chief_ends_the_other_worker_and_a_restart_goes_on_until_the_run_is_finished(tmp_path):
    assert Run(tmp_path / "killed", 2, *PLAIN).kill(0) <= 30
    resumed = Run(tmp_path / "killed", 2, *PLAIN, "--resume", "auto").weights()
    whole = Run(tmp_path / "whole", 2, *PLAIN).weights()
    assert [difference(*pair) for pair in zip(resumed, whole, strict=True)] == [0, 0]
    again = Run(tmp_path / "killed", 2, *PLAIN, "--resume", "auto")
    assert again.wait() == [0, 0] and "is finished" in again.output(0) and "training" not in again.output(0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_that_is_sent_sigterm_ends_in_order_and_the_other_after_it(tmp_path):
    run = Run(tmp_path, 2, *PLAIN)
    assert run.kill(1, signal.SIGTERM) <= 30  # TensorFlow takes that signal for itself as it starts
    assert [process.returncode for process in run.processes] == [2, 143]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_that_are_told_different_things_end_with_a_sentence(tmp_path):
    run = Run(tmp_path, 2, *PLAIN, worker_flags=("--seed", "1"))
    assert run.wait() == [2, 2]
    assert "settings of worker 1 differ" in run.output(1)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_chief_that_never_appears_is_given_up(tmp_path):
    program = (
        "from kuzushiji_tf.training import workers\nfrom kuzushiji_tf.cli import run_command\nimport sys\n"
        "workers.WAIT_SECONDS = 3\nsys.exit(run_command('train', sys.argv[1:]))"
    )
    addresses = ",".join(cluster().workers)
    flags = ("--dataset", "kmnist", "--workdir", str(tmp_path / "run"), "--workers", addresses, "--worker-index", "1")
    done = subprocess.run([sys.executable, "-c", program, *flags], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "Worker 1 has not met the chief at 127.0.0.1" in done.stderr
    assert not (tmp_path / "run").exists()
