"""As `fuzz.py`, but guided: what an input reaches in the code decides which inputs are made next.

    pip install atheris
    python benchmarks/fuzz_guided.py cards --inputs 20000

Atheris, which this takes, changes bytes and watches which branches run. The bytes are not the file: they are the random
choices of which the file is made, so that checksums and lengths still hold where they have to. One parser a run.

Last line: JSON with `<parser>_inputs` and `<parser>_defects`.
"""

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated

import fuzz
import tyro
from fuzz_parsers import PARSERS

WATCHED = ["kuzushiji_tf", "fuzz_mutations", "svgelements", "tarfile", "tomllib", "zipfile"]
BEGINNINGS = 30  # inputs to start from
LONGEST = 400  # bytes of choices


@dataclass(frozen=True)
class Flags:
    """What is attacked, and how long."""

    parser: Annotated[str, tyro.conf.Positional]
    inputs: int = 20_000


class Choices(Random):
    """Random numbers that some bytes say; what they do not say is the same every time."""

    def __init__(self, said: bytes):
        super().__init__(0)
        self.said = said
        self.place = 0

    def getrandbits(self, k: int) -> int:
        count = -(-k // 8)
        piece = self.said[self.place : self.place + count]
        self.place += count
        return int.from_bytes(piece, "little") >> (8 * count - k) if len(piece) == count else super().getrandbits(k)

    def random(self) -> float:
        return self.getrandbits(16) / (1 << 16)


def main(flags: Flags) -> None:
    """Attack one parser, print each defect as it is found and, as the last line, the JSON object."""
    import atheris

    with atheris.instrument_imports(include=WATCHED):
        parser = PARSERS[flags.parser]()
    tally = fuzz.Tally()

    def attack(said: bytes) -> None:
        fuzz.write_files(target, parser.make(Choices(said)))
        what = fuzz.attempt(parser, target)
        tally.inputs += 1
        if what and what not in tally.defects:
            tally.add(fuzz.Defect(tally.inputs, what))
            print(f"{what}; the choices were {said.hex()}", flush=True)
        if tally.inputs == flags.inputs:
            counts = {"inputs": tally.inputs, "defects": len(tally.defects)}
            print(json.dumps({f"{flags.parser}_{name}": value for name, value in counts.items()}), flush=True)
            holder.cleanup()
            os._exit(0)  # atheris has no other end that lets its caller speak

    holder = tempfile.TemporaryDirectory(dir=fuzz.memory_folder())
    target, beginnings = (Path(holder.name) / name for name in ("input", "beginnings"))
    with holder, fuzz.alarm():
        beginnings.mkdir()
        for number in range(BEGINNINGS):
            (beginnings / str(number)).write_bytes(Random(number).randbytes(64))
        limits = [f"-max_len={LONGEST}", f"-rss_limit_mb={fuzz.ADDRESSES >> 20}", f"-timeout={fuzz.PATIENCE}"]
        atheris.Setup([sys.argv[0], *limits, str(beginnings)], attack)
        atheris.Fuzz()


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
