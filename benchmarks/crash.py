"""What a training that is killed loses: runs are killed with `kill -9` at random moments, restarted, and compared.

    python benchmarks/crash.py --data-dir FOLDER

Each run is started with `resume="auto"` and a checkpoint every second or so, killed once or twice, in a step, a save, a
validation or between them, every fifth once more in its export, and then left to end. What is visible after a kill must
be whole; in the end weights, history (but for the times) and the epoch it chose must be those of a run that nobody
killed, bit for bit. All have dropout, augmentation, mixup, averaged weights, early stopping and a rate that falls on a
plateau; half of them compute in float16. The share of time that saving takes is measured on the default network and
Kuzushiji-MNIST.

Last line: JSON with `runs`, `kills`, `identical` (runs that are), `half_written` (files found so) and `save_share`
(seconds of saving after each epoch / seconds of its training steps).
"""

import csv
import functools
import io
import json
import math
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

# ruff: noqa: ARG002 -- Keras calls these methods with all their arguments, `logs` by name.

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tyro
from crash_checks import half_written, outcome

from kuzushiji_tf.batches import loading
from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.config import ImageAugmentation, TrainingConfig
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.exporting import folders
from kuzushiji_tf.training import fitting, preparation, runs, saving

LOADED = functools.cache(load_dataset)  # by the process that starts the others; a third of their time is saved
FORK = multiprocessing.get_context("fork")  # importing TensorFlow takes longer than a run; nothing of it is started yet
PHASES = ("between", "step", "save", "validation", "export")
LATEST = {"step": 60, "save": 12, "validation": 30, "export": 1}  # of a phase's turns, the last in which a kill comes
EXPORTED = 5  # every so many runs are exported too, and killed in that
CONFIG = TrainingConfig(
    model="simple_cnn",
    epochs=6,
    batch_size=20,
    validation_fraction=0.2,
    optimizer="adamw",
    learning_rate=2e-3,
    schedule="plateau",
    plateau_patience=1,
    early_stopping_patience=2,
    mixing="input",
    ema_decay=0.9,
    augmentation=ImageAugmentation(rotation_range=10, width_shift_range=0.1, cutout=4),
)


@dataclass(frozen=True)
class Flags:
    """How many runs, and where the images are that the share is measured on."""

    runs: int = 25
    seed: int = 0  # of the moments
    share_steps: int = 60  # of each of three epochs in which the share is measured; 0: it is not
    data_dir: Path | None = None  # where Kuzushiji-MNIST is; default: KUZUSHIJI_DATA, then a download


class Played(NamedTuple):
    """Where a run was killed, and what was found half-written then."""

    places: list[str]
    half_written: list[str]


class Marks:
    """What a process is doing, for the one that started it: the phase, and how often and how long each was entered."""

    def __init__(self) -> None:
        self._phase = FORK.RawValue("i", 0)
        self._turns = FORK.RawArray("q", len(PHASES))
        self._seconds = FORK.RawArray("d", len(PHASES))

    @property
    def phase(self) -> str:
        return PHASES[self._phase.value]

    def turns(self, phase: str) -> int:
        return self._turns[PHASES.index(phase)]

    def mean_seconds(self, phase: str) -> float:
        return self._seconds[PHASES.index(phase)] / max(self.turns(phase), 1)

    def enter(self, phase: str) -> None:
        self._phase.value = PHASES.index(phase)
        self._turns[self._phase.value] += 1
        self._start = time.perf_counter()

    def leave(self) -> None:
        self._seconds[self._phase.value] += time.perf_counter() - self._start
        self._phase.value = 0

    @contextmanager
    def inside(self, phase: str) -> Iterator[None]:
        self.enter(phase)
        yield
        self.leave()

    def around(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*arguments: Any) -> Any:
            with self.inside(phase):
                return function(*arguments)

        return marked

    def progress(marks) -> type[fitting.Progress]:  # noqa: N805 -- `self` is the callback's
        """Return a progress bar that marks the steps and the batches of validation."""

        class Marking(fitting.Progress):
            def on_train_batch_begin(self, batch, logs=None):
                marks.enter("step")

            def on_train_batch_end(self, batch, logs=None):
                super().on_train_batch_end(batch, logs)
                marks.leave()

            def on_test_batch_begin(self, batch, logs=None):
                marks.enter("validation")

            def on_test_batch_end(self, batch, logs=None):
                marks.leave()

        return Marking


def live(folder: Path, config: TrainingConfig, with_export: bool, marks: Marks) -> None:
    """Train and export, or go on with that: what a process does until it ends, or is killed."""
    start_tensorflow()
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))
        for module in (runs, loading, folders):
            stack.enter_context(patch.object(module, "load_dataset", LOADED))
        stack.enter_context(patch.object(fitting, "Progress", marks.progress()))
        for module, name in (
            (saving, "save_checkpoint"),
            (saving, "save_for_use"),
            (preparation, "save_for_use"),
            (preparation, "write_json"),
        ):
            stack.enter_context(patch.object(module, name, marks.around("save", getattr(module, name))))
        run = runs.train(config, folder, resume="auto", checkpoint_minutes=0.01)
        if with_export and not run.export.exists():
            with marks.inside("export"):
                folders.export(run)


def killed(process: Any, marks: Marks, phase: str, turn: float, delay: float) -> str | None:
    """Kill a process so long after it entered a phase for the n-th time; return where it was, or None: it ended."""
    process.start()
    while process.is_alive():
        if marks.turns(phase) >= turn:
            time.sleep(delay)
            process.kill()
            break
        time.sleep(0.0005)
    process.join()
    if process.exitcode == 0:
        return None
    if process.exitcode != -signal.SIGKILL:
        sys.exit(f"a run ended with exit code {process.exitcode}")
    return marks.phase


def write_images(file: Path) -> None:
    """Write images of ten classes, patterns under noise, as a data set of one's own."""
    generator = np.random.default_rng(0)
    labels = np.arange(700) % 10
    patterns = generator.integers(0, 2, (10, 4, 4)).repeat(3, axis=1).repeat(3, axis=2)
    images = patterns[labels] * generator.integers(100, 256, (700, 1, 1)) * (generator.random((700, 12, 12)) < 0.8)
    np.savez_compressed(file, images=images.astype(np.uint8), labels=np.array(list("おきすつなはまやれを"))[labels])


def save_share(flags: Flags, folder: Path) -> float:
    """Return the seconds of saving after each epoch / those of its steps, of the default network on Kuzushiji-MNIST."""
    result = FORK.RawValue("d", 0)
    process = FORK.Process(target=_measure_share, args=(flags, folder, result))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
    return result.value


def _measure_share(flags: Flags, folder: Path, result: Any) -> None:
    seconds: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            start = time.perf_counter()
            function(*arguments)
            seconds.append(time.perf_counter() - start)

        return call

    start_tensorflow()
    config = TrainingConfig(dataset="kmnist", epochs=3, epoch_images=flags.share_steps * TrainingConfig.batch_size)
    with ExitStack() as stack:
        for name in ("save_checkpoint", "save_for_use"):
            stack.enter_context(patch.object(saving, name, timed(getattr(saving, name))))
        run = runs.train(config, folder, data_dir=flags.data_dir)
    with open(run.history_file, encoding="utf-8", newline="") as stream:
        steps = [float(row["seconds"]) for row in csv.DictReader(stream)][1:]  # the first one compiles
    whole = run.description["data"]["training_images"] / config.epoch_images * statistics.median(steps)
    saved = sum(seconds[1:]) / config.epochs  # the first one is before the first epoch
    print(f"saving takes {saved:.2f} s an epoch, whose steps take {whole:.0f} s")
    result.value = saved / whole


def play(run: Path, config: TrainingConfig, usual: Marks, draw: random.Random, phases: Sequence[str]) -> Played:
    """Start a run, kill it at a random moment in each of some phases, and let it end; it is exported if that is one."""
    played = Played([], [])
    for phase in (*phases, None):
        marks = Marks()
        process = FORK.Process(target=live, args=(run, config, "export" in phases, marks))
        turn = draw.randint(1, LATEST[phase]) if phase else math.inf
        delay = draw.random() * usual.mean_seconds(phase) if phase else 0.0
        where = killed(process, marks, phase or "step", turn, delay)
        if where:
            played.places.append(where)
            played.half_written.extend(half_written(run) if run.exists() else [])
    return played


def main(flags: Flags) -> dict[str, Any]:
    """Kill and compare the runs; print the table and, as the last line, the JSON object."""
    draw, places, identical, broken = random.Random(flags.seed), Counter[str](), 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images.npz")
        configs = [replace(CONFIG, dataset=str(folder / "images.npz"), precision=p) for p in ("float32", "float16")]
        for split in ("train", "test"):
            LOADED(configs[0].dataset, split, loading.options_of_run(configs[0]))
        wanted, usual = [], []
        for config in configs:
            usual.append(Marks())
            process = FORK.Process(target=live, args=(folder / config.precision, config, True, usual[-1]))
            killed(process, usual[-1], "step", math.inf, 0.0)
            wanted.append(outcome(folder / config.precision))
        print(f"{'run':>3}  {'precision':9}  {'killed in':32}  {'epochs':>6}  identical", flush=True)
        for number in range(flags.runs):
            kind, run = number % 2, folder / f"run-{number}"
            phases = draw.choices(("step", "save", "validation"), k=1 + number // 2 % 2)
            phases += ["export"] * (number % EXPORTED == 0)
            played = play(run, configs[kind], usual[kind], draw, phases)
            reached = outcome(run)
            differing = [part for part in wanted[kind] if reached[part] != wanted[kind][part]]
            identical += not differing
            places.update(played.places)
            broken += played.half_written
            row = f"{number + 1:3}  {configs[kind].precision:9}  {', '.join(played.places):32}"
            verdict = "no: " + ", ".join(differing) if differing else "yes"
            print(f"{row}  {len(reached['history']):6}  {verdict}", flush=True)
        print("kills: " + ", ".join(f"{count} in {place}" for place, count in places.most_common()))
        print("half-written: " + (", ".join(broken) or "nothing"))
        figures = {"runs": flags.runs, "kills": places.total(), "identical": identical, "half_written": len(broken)}
        if flags.share_steps:
            figures["save_share"] = round(save_share(flags, folder / "share"), 4)
    print(json.dumps(figures))
    return figures


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
