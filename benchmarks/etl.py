"""How fast the records of the ETL Character Database are read: records a second for each data set.

    python benchmarks/etl.py

Record files with random pixels and valid codes are written to a temporary folder and read with the package: unpacking,
labels, writers and scaling to 64 x 64 pixels, without the cache. Last line: JSON with `<name>_records_per_second`, each
the median of the repeats.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from kuzushiji_tf.datasets.etl.codes import NO_CHARACTER, UNDEFINED
from kuzushiji_tf.datasets.etl.sets import SETS, EtlSet, read_batches

FILES = {
    "etl1": "ETL1C_{:02d}",
    "etl2": "ETL2_{}",
    "etl6": "ETL6C_{:02d}",
    "etl7": "ETL7LC_{}",
    "etl8b": "ETL8B2C{}",
    "etl8g": "ETL8G_{:02d}",
    "etl9b": "ETL9B_{}",
    "etl9g": "ETL9G_{:02d}",
}
REPEATS = 5
SIZE = 64


def decoding_rates(records: int = 2000) -> dict[str, float]:
    """Return records a second for each data set, by its registered name, reading `records` of it at a time."""
    return {name: _rate(name, records) for name in FILES}


def _rate(name: str, records: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _write_files(name, Path(folder), records)
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            read = sum(len(batch.images) for batch in read_batches(name, Path(folder), SIZE))
            seconds.append(time.perf_counter() - start)
    return read / statistics.median(seconds)


def _write_files(name: str, folder: Path, records: int) -> None:
    """Write files of at most the published size; models for the writers, in files of higher numbers, stay out."""
    etl_set, random, number = SETS[name], np.random.default_rng(0), 0
    while records:
        number += 1
        count = min(records, etl_set.samples.get(number, etl_set.largest - etl_set.dummies))
        content = random.integers(0, 256, (etl_set.dummies + count, etl_set.format.fields.itemsize), np.uint8)
        _set_codes(etl_set, content, random)
        (folder / FILES[name].format(number)).write_bytes(content.tobytes())
        records -= count


def _set_codes(etl_set: EtlSet, content: np.ndarray, random: np.random.Generator) -> None:
    table = etl_set.characters()
    codes = random.choice(np.flatnonzero((table != UNDEFINED) & (table != NO_CHARACTER)), len(content))
    fields = content.view(etl_set.format.fields)[:, 0]
    if "code" in fields.dtype.names:
        fields["code"] = codes
    else:  # two numbers of 6 bits from bit 168 on
        content[:, 21] = codes >> 4
        content[:, 22] = (codes & 15) << 4


def main() -> None:
    """Print the table, then the JSON line."""
    rates = decoding_rates()
    for name, rate in rates.items():
        print(f"{name:<8}{rate:>12,.0f} records/s")
    print(json.dumps({f"{name}_records_per_second": round(rate, 1) for name, rate in rates.items()}))


if __name__ == "__main__":
    main()
