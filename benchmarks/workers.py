"""Several machines against one: real processes on loopback, of which one is killed and all are resumed.

    python benchmarks/workers.py

Last line: JSON with the largest absolute differences of the final weights from the run of one process: `difference_2`
and `difference_4` (two and four workers, without batch normalization), `difference_2_batch_norm` and
`difference_4_batch_norm` (synchronized); `workers_equal` (all workers of each run ended with the same bits);
`seconds_to_stop` (from the `kill -9` of a worker until the last of the others ended: the longer of a worker's and the
chief's death); and `difference_resumed` (two workers, the chief killed, both resumed, against never killed).

The images are drawn at random around a pattern for each class; each process computes on one core.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

TIME_LIMIT = 600  # seconds of a run
SETTINGS = (
    *("--dataset", "patterns", "--epochs", "3", "--epoch-images", "3200", "--batch-size", "48"),
    *("--validation-fraction", "0.2", "--learning-rate", "0.02", "--ema-decay", "0.9", "--mixing", "input"),
    *("--rotation-range", "10", "--early-stopping-patience", "3"),
)

# What each process runs: where the final weights go, then the flags of `train`.
WORKER = """
import sys
import keras
import numpy as np
import kuzushiji_tf as kt
from kuzushiji_tf.cli import run_command
from kuzushiji_tf.models import building

graph = []

def load(split, options):
    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (10, 12, 12))
    labels = random.integers(0, 10, 400).astype(np.int32)
    images = ((patterns[labels] + random.integers(0, 256, (400, 12, 12))) // 2).astype(np.uint8)
    return kt.CharacterDataset("patterns", split, images, labels, kt.Labels(tuple("おきすつなはまやれを")), "", "")

def build(image, classes, seeds, architecture, normalizes):
    x = building.convolution(8, 3, 2, seeds)(image)
    x = building.norm_relu(x) if normalizes else keras.layers.ReLU()(x)
    graph[:] = image, building.classify(keras.layers.Flatten()(x), classes, seeds, architecture)
    return graph[1]

kt.register_dataset("patterns", load)
kt.register_model("plain", lambda *inputs: build(*inputs, normalizes=False))
kt.register_model("normed", lambda *inputs: build(*inputs, normalizes=True))
weights, *flags = sys.argv[1:]
code = run_command("train", flags)
if code == 0:  # what the layers hold on this worker, whoever wrote the run
    np.savez(weights, *keras.Model(*graph).get_weights())
sys.exit(code)
"""


@dataclass(frozen=True)
class Flags:
    """What to measure."""

    workers: tuple[int, ...] = (2, 4)  # how many processes train together


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


class Run:
    """A training by one process or by several, each of which writes its output and its final weights to `folder`.

    `worker_flags` are for those that are not the chief.
    """

    def __init__(self, folder: Path, count: int, *flags: str, worker_flags: tuple[str, ...] = ()):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.count = folder, count
        addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("TF_CONFIG", None)
        self.processes = []
        for index in range(count):
            together = ("--workers", addresses, "--worker-index", str(index)) if count > 1 else ()
            where = ("--workdir", str(folder / "run")) if index == 0 else worker_flags
            command = [sys.executable, "-c", WORKER, str(self.weights_file(index)), *flags, *where, *together]
            with open(folder / f"{index}.log", "w", encoding="utf-8") as log:
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))

    def weights_file(self, index: int) -> Path:
        """Return where a worker's weights are, once it has ended."""
        return self.folder / f"{index}.npz"

    def output(self, index: int) -> str:
        """Return what a worker has said so far."""
        return (self.folder / f"{index}.log").read_text(encoding="utf-8")

    def wait(self) -> list[int]:
        """Return the exit codes, when all have ended."""
        try:
            return [process.wait(TIME_LIMIT) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()

    def weights(self) -> list[list[np.ndarray]]:
        """Return each worker's final weights, when all have ended well."""
        codes = self.wait()
        if any(codes):
            sys.exit(
                "\n".join(f"worker {index}: exit code {code}\n{self.output(index)}" for index, code in enumerate(codes))
            )
        loaded = [np.load(self.weights_file(index)) for index in range(self.count)]
        return [list(arrays.values()) for arrays in loaded]

    def kill(self, index: int, number: int = signal.SIGKILL) -> float:
        """Send a worker a signal after the first epoch; return the seconds until the last of the others has ended."""
        end = time.monotonic() + TIME_LIMIT
        while "epoch 1/" not in self.output(0):
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                sys.exit(f"the first epoch has not ended:\n{self.output(0)}")
            time.sleep(0.05)
        start = time.perf_counter()
        self.processes[index].send_signal(number)
        codes = self.wait()
        seconds = time.perf_counter() - start
        others = codes[:index] + codes[index + 1 :]
        if set(others) != {2}:
            sys.exit(f"after the end of worker {index} the others ended with {others}:\n{self.output(1 - index)}")
        return seconds


def difference(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Return the largest absolute difference of two models' weights."""
    return max(float(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))


def main(flags: Flags) -> None:
    """Measure; print a line for each run and, as the last line, the JSON object."""
    result: dict[str, float | bool] = {}
    equal = True
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        kinds = {"": ("--model", "plain"), "_batch_norm": ("--model", "normed", "--synchronize")}
        for kind, model in kinds.items():
            (alone,) = Run(root / f"1{kind}", 1, *SETTINGS, *model).weights()
            for count in flags.workers:
                together = Run(root / f"{count}{kind}", count, *SETTINGS, *model).weights()
                equal = equal and all(difference(weights, together[0]) == 0 for weights in together)
                result[f"difference_{count}{kind}"] = difference(together[0], alone)
                print(
                    f"{count} workers{kind.replace('_', ' '):12} differ by {difference(together[0], alone):.1e}",
                    flush=True,
                )
        result["workers_equal"] = equal
        seconds = []
        for index, name in ((1, "a worker"), (0, "the chief")):
            seconds.append(Run(root / f"killed-{index}", 2, *SETTINGS, *kinds[""]).kill(index))
            print(f"{name} killed: the other ended after {seconds[-1]:.1f} s", flush=True)
        result["seconds_to_stop"] = round(max(seconds), 1)
        resumed = Run(root / "killed-0", 2, "--resume").weights()
        whole = Run(root / "whole", 2, *SETTINGS, *kinds[""]).weights()
        result["difference_resumed"] = max(difference(*pair) for pair in zip(resumed, whole, strict=True))
        print(f"resumed, against never killed: {result['difference_resumed']:.1e}")
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
