"""What the HTTP API does under load: requests a second and latency at 1, 8 and 64 clients, and whether memory stays.

    python benchmarks/serving.py
    python benchmarks/serving.py --model touch-joyo

The server is a process of its own on this machine, each client a connection that asks again as soon as it is answered.

Last line: JSON with `requests_per_second_<clients>`, `p50_ms_<clients>`, `p99_ms_<clients>`, and the server's resident
memory: `memory_before_mebibytes`, `memory_after_mebibytes`, `memory_growth_mebibytes`.
"""

import http.client
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.recognition.pretrained import PRETRAINED

CHARACTERS = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほ"
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Flags:
    """How much is asked of the server."""

    model: str = "kana"
    models: Path = PRETRAINED
    clients: tuple[int, ...] = (1, 8, 64)
    requests: int = 2_000  # for each number of clients, after as many tenths to warm up
    memory_requests: int = 20_000  # between the two looks at the server's memory


class Server:
    """The server as a process of its own, on a free port of this machine."""

    def __init__(self, models: Path):
        command = [sys.executable, "-m", "kuzushiji_tf", "serve", "--port", "0", "--api-only", "--models", str(models)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        addresses = (re.search(r"http://([^:]+):(\d+)", line) for line in self.process.stdout)
        found = next(filter(None, addresses), None)
        if found is None:
            sys.exit("error: the server did not start; its own message stands above.")
        self.host, self.port = found[1], int(found[2])

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def memory(self) -> float:
        """Return the resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def load(server: Server, bodies: list[bytes], clients: int, requests: int) -> tuple[float, list[float]]:
    """Ask from many clients at once, each on a connection of its own; return the seconds in all, and of each request.

    Raises:
        RuntimeError: an answer is not 200.
    """
    numbers = itertools.count()

    def ask() -> list[float]:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        durations = []
        while (number := next(numbers)) < requests:
            start = time.perf_counter()
            connection.request("POST", "/v1/recognize", bodies[number % len(bodies)], HEADERS)
            answer = connection.getresponse()
            content = answer.read()
            durations.append(time.perf_counter() - start)
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}: {content[:200]!r}")
        connection.close()
        return durations

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(ask) for _ in range(clients)]
        durations = [duration for future in futures for duration in future.result()]
    return time.perf_counter() - start, durations


def make_bodies(model: str) -> list[bytes]:
    """Return the request for each of some kana, as a pen would have drawn it."""
    strokes = load_strokes(CHARACTERS)
    return [
        json.dumps(
            {"model": model, "strokes": [np.round(stroke * 300).tolist() for stroke in strokes[character]]}
        ).encode()
        for character in CHARACTERS
    ]


def main(flags: Flags) -> None:
    """Measure and print a table, then one JSON line."""
    bodies = make_bodies(flags.model)
    result: dict[str, float] = {"processors": os.cpu_count() or 1}
    print(f"{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}")
    with Server(flags.models) as server:
        for clients in flags.clients:
            load(server, bodies, clients, max(clients, flags.requests // 10))
            seconds, durations = load(server, bodies, clients, flags.requests)
            cuts = statistics.quantiles(durations, n=100, method="inclusive")
            rate, middle, slow = flags.requests / seconds, 1e3 * cuts[49], 1e3 * cuts[98]
            print(f"{clients:>8}{rate:>12.0f}{middle:>9.2f}{slow:>9.2f}", flush=True)
            result |= {
                f"requests_per_second_{clients}": round(rate, 1),
                f"p50_ms_{clients}": round(middle, 3),
                f"p99_ms_{clients}": round(slow, 3),
            }
        before = server.memory()
        load(server, bodies, 8, flags.memory_requests)
        after = server.memory()
    print(f"memory: {before:.1f} MiB, and {after:.1f} MiB after {flags.memory_requests:,} more requests")
    result |= {
        "memory_before_mebibytes": round(before, 2),
        "memory_after_mebibytes": round(after, 2),
        "memory_growth_mebibytes": round(after - before, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
