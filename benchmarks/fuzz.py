"""Broken and hostile inputs for each parser: none may end in anything but a result or one sentence.

    python benchmarks/fuzz.py
    python benchmarks/fuzz.py --parser cards --inputs 1 --first 4711

Inputs are valid files (`fuzz_parsers.py`) that were made wrong (`fuzz_mutations.py`); input number n of a parser is the
same in every run. A defect is an exception other than UserError, a sentence of more than one line, more than `SECONDS`
of computing, more than `MEBIBYTES` of memory, or the end of the process. Each is printed once for each place in the
code where it arises, with the command that makes its input again.

Last line: JSON with `<parser>_inputs` and `<parser>_defects`.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import tyro
from fuzz_parsers import PARSERS

from kuzushiji_tf.errors import UserError

SECONDS = 5.0  # of computing, for one input
MEBIBYTES = 512  # that one input may need beyond what the process had
ADDRESSES = 6 << 30  # bytes of address space beyond what the process had: allocating more is refused at once
PIECE = 20_000  # inputs of one process
PATIENCE = 120  # seconds without an answer after which a process is ended
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Flags:
    """What is attacked, and how long."""

    parser: tuple[str, ...] = tuple(PARSERS)
    inputs: int = 200_000  # for each parser
    first: int = 0  # the number of the first input


@dataclass(frozen=True)
class Defect:
    """An input that a parser does not withstand: its number, what happened, and where."""

    number: int
    what: str


@dataclass
class Tally:
    """What became of the inputs of one parser; `defects` has the first of each kind."""

    inputs: int = 0
    read: int = 0
    defects: dict[str, Defect] = field(default_factory=dict)

    def add(self, defect: Defect) -> None:
        self.defects.setdefault(defect.what, defect)


class TooSlow(BaseException):
    """One input has had its time; not an Exception, which a parser could take for damage."""


def main(flags: Flags) -> None:
    """Attack each parser, print a table and, as the last line, the JSON object."""
    result: dict[str, int] = {}
    print(f"{'parser':16}{'inputs':>10}{'read':>10}{'refused':>10}{'defects':>9}{'seconds':>9}")
    for name in flags.parser:
        start = time.perf_counter()
        tally = attack_in_processes(name, flags.first, flags.inputs)
        refused = tally.inputs - tally.read
        seconds = time.perf_counter() - start
        print(
            f"{name:16}{tally.inputs:10,}{tally.read:10,}{refused:10,}{len(tally.defects):9}{seconds:9.0f}", flush=True
        )
        for defect in tally.defects.values():
            print(f"  {defect.what}\n    python benchmarks/fuzz.py --parser {name} --inputs 1 --first {defect.number}")
        result |= {f"{name}_inputs": tally.inputs, f"{name}_defects": len(tally.defects)}
    print(json.dumps(result))


def attack(name: str, numbers: range, tally: Tally, progress: Any = None) -> None:
    """Give a parser the inputs of these numbers, and add what becomes of them to a tally.

    It ends early after an input that took too much memory: what the next ones take could not be seen.

    Args:
        progress: a shared number that says which input is the next.
    """
    parser = PARSERS[name]()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, alarm():
        target = Path(folder) / "input"
        before = _peak()
        for number in numbers:
            if progress is not None:
                progress.value = number
            files = parser.make(Random(f"{name}/{number}"))
            write_files(target, files)
            tally.inputs += 1
            what = attempt(parser, target)
            tally.read += what is None
            if what:
                tally.add(Defect(number, what))
            if _peak() - before > MEBIBYTES:
                tally.add(Defect(number, f"more than {MEBIBYTES} MiB of memory"))
                return


def attempt(parser: Any, target: Path) -> str | None:
    """Return what is wrong with how a parser takes an input: nothing at all, "" where it refused it in order."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        parser.read(target)
    except UserError as error:
        return _fault_of(error)
    except TooSlow as error:
        return f"more than {SECONDS:g} s of computing{_place_of(error)}"
    except Exception as error:  # noqa: BLE001  what else it is, is what is looked for
        return f"{type(error).__name__}{_place_of(error)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _fault_of(error: UserError) -> str:
    sentence = str(error)
    try:
        sentence.encode()
    except UnicodeEncodeError:
        return f"a sentence that cannot be printed{_place_of(error)}"
    if len(sentence.splitlines()) != 1 or len(sentence) > 2010:
        return f"no single short sentence{_place_of(error)}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"more memory asked for than there is{_place_of(cause)}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _place_of(error: BaseException) -> str:
    """Return where in the package an exception arose."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "kuzushiji_tf" in frame.filename]
    return f" at {frames[-1].filename.rpartition('kuzushiji_tf/')[2]}:{frames[-1].lineno}" if frames else ""


def write_files(target: Path, files: dict[str, bytes]) -> None:
    """Write the files of an input into a folder, in place of those of the one before."""
    shutil.rmtree(target, ignore_errors=True)
    for name, content in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def memory_folder() -> str | None:
    """Return a folder that is kept in memory; None: the system's temporary one."""
    return str(IN_MEMORY) if IN_MEMORY.is_dir() else None


def _peak() -> float:
    """Return the most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def alarm() -> Iterator[None]:
    """Let `attempt` end what takes too long."""

    def ring(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)


def attack_in_processes(name: str, first: int, count: int) -> Tally:
    """Return the tally of an attack in processes of their own, which may die of it."""
    whole, following = Tally(), first
    context = multiprocessing.get_context("spawn")
    while following < first + count:
        progress = context.Value("q", following, lock=False)
        answers, answer = context.Pipe(duplex=False)
        numbers = range(following, min(following + PIECE, first + count))
        process = context.Process(target=_work, args=(name, numbers, progress, answer))
        process.start()
        answer.close()
        tally = _wait(process, answers, progress)
        if tally is None:  # it died of this input
            tally = Tally(progress.value + 1 - following)
            tally.add(Defect(progress.value, f"the process ended ({process.exitcode})"))
        whole.inputs, whole.read = whole.inputs + tally.inputs, whole.read + tally.read
        for defect in tally.defects.values():
            whole.add(defect)
        following += tally.inputs
    return whole


def _wait(process: Any, answers: Any, progress: Any) -> Tally | None:
    """Return what a process answers; None where it dies, or is ended since it has stopped at one input."""
    number, since = progress.value, time.monotonic()
    try:
        while not answers.poll(1):
            if progress.value != number:
                number, since = progress.value, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                process.kill()
        return answers.recv()
    except EOFError:
        return None
    finally:
        process.join()


def _work(name: str, numbers: range, progress: Any, answer: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is left out, and what libtiff and the like complain of
    tally = Tally()
    PARSERS[name]()  # imports what it needs before the limit is set
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, resource.RLIM_INFINITY))
    attack(name, numbers, tally, progress)
    answer.send(tally)


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
