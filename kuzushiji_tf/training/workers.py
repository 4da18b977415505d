"""Several machines that train together, by TensorFlow's own runtime: how they meet, agree, and end together."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.collective_all_reduce_strategy import coordination_config_pb2
from tensorflow.python.eager import context

from kuzushiji_tf.config import Cluster, write_environment
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.runtime import native_notes_hidden

WAIT_SECONDS = 300  # for the other machines, which may have images to pull first
_SILENCE_SECONDS = 10  # after which a worker that does not answer is given up
_POLL_SECONDS = 0.2
# What TensorFlow raises where another worker is gone.
_PARTINGS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class LostWorkersError(UserError):
    """Another worker has ended, or cannot be reached, and has ended this one."""


@dataclass(frozen=True)
class Team:
    """What trains together.

    Attributes:
        strategy: under whose scope models are built.
        devices: of this machine, such as `GPU:0`.
        index: of this machine's worker.
        workers: how many machines there are.
    """

    strategy: tf.distribute.Strategy
    devices: list[str]
    index: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Devices of all machines."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that writes."""
        return self.index == 0

    def agree(self, value: Any = None) -> Any:
        """Return what the chief gives, a value that JSON holds, on every worker; each waits for the others."""
        if self.workers == 1:
            return value
        content = json.dumps(value).encode() if self.is_chief else b""
        length = self._sum(np.array([len(content)]))[0]
        return json.loads(self._chiefs_bytes(content, int(length)))

    def require_same(self, value: Any, what: str) -> None:
        """Refuse to go on where this worker's value is not the chief's.

        Raises:
            UserError: it is not; `what` begins the sentence.
        """
        if self.agree(value) != value:
            raise UserError(f"{what} of worker {self.index} differ from the chief's: give each worker the same.")

    def copy_from_chief(self, model: keras.Model) -> None:
        """Give the weights, the seeds and the optimizer's variables of a compiled model the chief's values."""
        if self.workers == 1:
            return
        variables = [*model.variables, *model.optimizer.variables]
        values = [keras.ops.convert_to_numpy(variable) for variable in variables]
        content = b"".join(value.tobytes() for value in values)
        received = self._chiefs_bytes(content, len(content))
        start = 0
        for variable, value in zip(variables, values, strict=True):
            part = received[start : start + value.nbytes]
            start += value.nbytes
            variable.assign(np.frombuffer(part, value.dtype).reshape(value.shape))

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Say in a sentence that another worker has ended, and has ended this one.

        Raises:
            LostWorkersError: so it is.
        """
        try:
            yield
        except _PARTINGS as error:
            if self.workers == 1:
                raise
            raise LostWorkersError(
                f"Worker {self.index} of {self.workers} stops, since another one has ended or cannot be reached: see "
                "what that one said, then start all of them again, with --resume where there is a checkpoint."
            ) from error

    def _chiefs_bytes(self, content: bytes, length: int) -> bytes:
        # As whole numbers, which arrive as they are whatever they stand for.
        words = np.zeros(-(-length // 8), np.int64)
        if self.is_chief:
            words = np.frombuffer(content + b"\0" * (-length % 8), np.int64)
        return self._sum(words).tobytes()[:length]

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the workers of whole numbers int64 `[n]`, of which all but the chief's count as 0."""
        chosen = self.strategy.experimental_distribute_values_from_function(
            lambda replica: tf.constant(values if replica.replica_id_in_sync_group == 0 else np.zeros_like(values))
        )
        return self.strategy.reduce("SUM", chosen, axis=None).numpy()


def join_cluster(cluster: Cluster) -> Team:
    """Return the team of a cluster, once all its workers are there.

    Call it before TensorFlow has started anything: it takes its place in the cluster then, or never.

    Raises:
        UserError: this worker's port is in use, a worker does not appear in `WAIT_SECONDS`, or TensorFlow has started.
    """
    if not keras.__version__.startswith("3.15."):
        raise UserError(
            f"Training on several machines was written for Keras 3.15, not for {keras.__version__}: "
            "pip install 'keras==3.15.*'"
        )
    if context.context()._initialized:
        raise UserError("TensorFlow has started already: train on several machines in a process of its own.")
    _require_free_port(cluster)
    if cluster.index == 0:  # the others wait for the chief in TensorFlow's own way
        _wait_for_others(cluster)
    write_environment(cluster)
    _limit_silence(cluster)
    try:
        with native_notes_hidden(), _endable():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise UserError(
            f"Worker {cluster.index} has not met the chief at {cluster.workers[0]} in {WAIT_SECONDS} seconds: start it "
            "too, and look at addresses and firewalls."
        ) from error
    devices = [name.rpartition("device:")[2] for name in strategy.extended.worker_devices]
    return Team(strategy, devices, cluster.index, len(cluster.workers))


def _require_free_port(cluster: Cluster) -> None:
    port = int(cluster.address.rpartition(":")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TensorFlow would share it with whoever has it
        try:
            listener.bind(("", port))
            listener.listen(1)
        except OSError as error:
            raise UserError(
                f"Port {port} of worker {cluster.index} cannot be had ({error.strerror}): end what uses it, or choose "
                "another in --workers."
            ) from None


def _wait_for_others(cluster: Cluster) -> None:
    """Wait until every other worker listens; TensorFlow's chief would wait for an hour and could not be stopped."""
    end = time.monotonic() + WAIT_SECONDS
    for index, address in list(enumerate(cluster.workers))[1:]:
        host, _, port = address.rpartition(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=_POLL_SECONDS * 10).close()
                break
            except OSError:
                if time.monotonic() >= end:
                    raise UserError(
                        f"Worker {index} has not appeared at {address} in {WAIT_SECONDS} seconds: start it too, and "
                        "look at addresses and firewalls."
                    ) from None
                time.sleep(_POLL_SECONDS)


def _limit_silence(cluster: Cluster) -> None:
    """Tell TensorFlow how long to wait for a worker; it lets others set that in no other way."""
    job = coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(cluster.workers))
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=WAIT_SECONDS * 1000,
        heartbeat_timeout_in_ms=_SILENCE_SECONDS * 1000,
        coordinated_jobs=[job],
    )


@contextmanager
def _endable() -> Iterator[None]:
    """Let a Ctrl-C end the process in a block in which TensorFlow keeps Python from running; then put handlers back.

    TensorFlow takes SIGTERM for itself in it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
