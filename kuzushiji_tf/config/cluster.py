"""Which machines train together, as TensorFlow's `TF_CONFIG` or the flags of a command name them."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import parse_json

VARIABLE = "TF_CONFIG"
_ADDRESS = re.compile(r"[^\s:/]+:(\d{1,5})")
_HELP = (
    'it must be JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}, '
    "the index that of this machine"
)


@dataclass(frozen=True)
class Cluster:
    """The workers that train together, and which of them this one is.

    Attributes:
        workers: their addresses, `host:port`; the first is the chief's, who alone writes.
        index: of this one.
    """

    workers: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        for address in self.workers:
            found = _ADDRESS.fullmatch(address)
            if not found or not 0 < int(found[1]) < 1 << 16:
                raise UserError(f"The address {address!r} of a worker must be host:port, such as 10.0.0.1:2222.")
        if len(set(self.workers)) < len(self.workers):
            raise UserError(f"Two workers have the same address among {', '.join(self.workers)}.")
        if not 0 <= self.index < len(self.workers):
            raise UserError(
                f"The worker's index is {self.index}; of {len(self.workers)} workers it must be in 0 <= index < "
                f"{len(self.workers)}."
            )

    @property
    def address(self) -> str:
        """The address of this worker."""
        return self.workers[self.index]


def cluster_of_flags(workers: str | None, index: int | None) -> Cluster | None:
    """Return what `--workers host:port,host:port --worker-index N` say; None where neither is given.

    Raises:
        UserError: one without the other, or values that cannot be.
    """
    if workers is None and index is None:
        return None
    if workers is None or index is None:
        raise UserError("--workers names all workers, and --worker-index which of them this is: give both, or neither.")
    return Cluster(tuple(part.strip() for part in workers.split(",")), index)


def cluster_of_environment() -> Cluster | None:
    """Return what `TF_CONFIG` says; None where it is not set, or names one machine alone.

    A job `chief` comes before the workers, and an index of a worker is then counted from it.

    Raises:
        UserError: it is not as TensorFlow has it.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        value = parse_json(text, VARIABLE)
        jobs, task = value.get("cluster", {}), value.get("task", {})
        if not jobs:
            return None
        chiefs, workers = _addresses(jobs.get("chief", [])), _addresses(jobs.get("worker", []))
        kind, index = task["type"], int(task["index"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{VARIABLE} is malformed: {_HELP}.") from None
    if set(jobs) - {"chief", "worker"} or kind not in jobs or len(chiefs) > 1 or not chiefs + workers:
        raise UserError(f"{VARIABLE} names jobs other than workers and one chief: {_HELP}.")
    if not 0 <= index < len(jobs[kind]):
        raise UserError(f"The index in {VARIABLE} is {index}; of {len(jobs[kind])} it must be 0 or above, and below.")
    cluster = Cluster(chiefs + workers, index + (len(chiefs) if kind == "worker" else 0))
    return cluster if len(cluster.workers) > 1 else None


def _addresses(values: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(values)
    return tuple(values)


def write_environment(cluster: Cluster) -> None:
    """Set `TF_CONFIG` for this process, as TensorFlow reads it."""
    task = {"type": "worker", "index": cluster.index}
    os.environ[VARIABLE] = json.dumps({"cluster": {"worker": list(cluster.workers)}, "task": task})
