"""What the data sets cost: opening Kuzushiji-Kanji, decoding ETL records, the virtual balanced set, materializing it.

KUZUSHIJI_DATA=FOLDER python benchmarks/data.py
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import tyro
from balanced import materialize_ratio, virtual_ratios
from etl import decoding_rates

OPENINGS = 5
# One opening in a process of its own, as a command has it: seconds without Python's and NumPy's start, and peak memory.
OPEN = """
import resource, time
from kuzushiji_tf.datasets import load_dataset
start = time.perf_counter()
datasets = [load_dataset("kkanji", split) for split in ("train", "test")]
seconds = time.perf_counter() - start
assert sum(map(len, datasets)) == 140396
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass(frozen=True)
class Flags:
    """How much is measured."""

    images: int = 200_000  # that are materialized
    records: int = 5_000  # of each ETL type


def open_once(cache: str) -> tuple[float, float]:
    """Return the seconds and the peak memory (MiB) of opening both splits with the given cache folder."""
    result = subprocess.run(
        [sys.executable, "-c", OPEN],
        env=os.environ | {"KUZUSHIJI_CACHE": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory = map(float, result.stdout.split())
    return seconds, memory


def opening() -> dict[str, float]:
    """Return what the first and a later opening of Kuzushiji-Kanji take."""
    with tempfile.TemporaryDirectory() as cache:
        first = open_once(cache)
        later = [open_once(cache) for _ in range(OPENINGS)]
    return {
        "kkanji_first_open_seconds": first[0],
        "kkanji_first_open_mebibytes": first[1],
        "kkanji_open_seconds": statistics.median(seconds for seconds, _ in later),
        "kkanji_open_mebibytes": max(memory for _, memory in later),
    }


def main(flags: Flags) -> None:
    """Measure and print a table, then one JSON line."""
    figures = opening()
    figures |= {f"{name}_records_per_second": rate for name, rate in decoding_rates(flags.records).items()}
    figures |= virtual_ratios()
    figures |= materialize_ratio(flags.images)
    for name, value in figures.items():
        print(f"{name:40}{value:14,.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
