"""Train one recognizer: a function over (config, work directory)."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras

from kuzushiji_tf.batches.loading import (
    hash_of_test,
    note_on_few_steps,
    options_of_run,
    require_square,
    with_absolute_paths,
)
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import require_model
from kuzushiji_tf.models.neighbors import is_neighbors
from kuzushiji_tf.training import extending
from kuzushiji_tf.training.checkpoints import last_checkpoint
from kuzushiji_tf.training.distillation import find_teacher
from kuzushiji_tf.training.distribution import choose_devices, device_name
from kuzushiji_tf.training.preparation import Run
from kuzushiji_tf.training.resuming import Resume, finished_run, resolved
from kuzushiji_tf.training.starting import find_start
from kuzushiji_tf.workdirs import CHECKPOINT_MINUTES, WorkDirectory, find_last, reserved


def train(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    config: TrainingConfig,
    folder: str | Path | None = None,
    *,
    dataset: CharacterDataset | None = None,
    data_dir: str | Path | None = None,
    overwrite: bool = False,
    resume: Resume = False,
    extend: int = 0,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    devices: Sequence[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every setting.
        folder: the work directory, created if need be; None: the next free one in `runs/`, or the last one there to
            `resume` or to `extend`.
        dataset: the images to train on, as they are; None: those that the config says. `evaluate` and `export` are then
            to be told what they measure on.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there, once nothing is wrong with the new one.
        resume: continue an interrupted run there; its config must be `config`. `auto`: if there is one; start it, if
            there is none, and return at once, if it is finished.
        extend: train a finished run there for so many more epochs, as `resume` does; until they are there, what it
            ended with stands. Its schedule is then that of all epochs together.
        checkpoint_minutes: after which the state is saved in the middle of an epoch too; 0: only after each.
        devices: to train on, such as `GPU:1`; None: all visible GPUs, or the processor where there is none.
        callbacks: further ones for `fit`, behind the run's own; their state is not in the checkpoints.
        report: is told what begins, once nothing is wrong with the settings, the data and the folder; and which
            checkpoint is damaged.

    Returns:
        The work directory, with the run's result in its `description`.

    Raises:
        UserError: the directory holds another run or is in use, a setting is wrong, the images are not square, the loss
            became NaN, the disk is full, or every checkpoint is damaged.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run, whose last step is saved; the sentence says how to continue.
    """
    _require_sense(overwrite, resume, extend)
    config = with_absolute_paths(replace(config, dataset=dataset.name) if dataset else config)
    if not 0 <= checkpoint_minutes < math.inf:
        raise UserError(f"checkpoint_minutes is {checkpoint_minutes}; it must be a number not below 0.")
    require_model(config.model, config.architecture)
    chosen = ["CPU:0"] if is_neighbors(config.model) else choose_devices(devices)
    if resume == "auto" and (finished := finished_run(folder, config)):
        report(f"The run in {finished.path} is finished.")
        return finished
    resume, overwrite = resolved(resume, overwrite, folder)
    path = Path(folder) if folder else find_last().path if resume or extend else None
    options = options_of_run(config, Path(data_dir) if data_dir else None)
    data = dataset or load_dataset(config.dataset, "train", options)
    require_square(data)
    teacher = find_teacher(config.distillation.teacher, data) if config.distillation.teacher else None
    start = None if resume or extend else find_start(config, data)
    with _claimed(path, config, overwrite, resume, extend) as workdir, _told_how_to_continue(workdir):
        if resume or extend:
            config = extending.with_all_epochs(replace(config, epochs=config.epochs + extend), workdir)
        run = Run(config, workdir, data, teacher, start, resume or extend > 0, dataset is not None, callbacks)
        if run.resume:
            run.require_unchanged()
        if is_neighbors(config.model):
            training = run.prepare_neighbors()
        else:
            training = run.prepare_network(chosen, checkpoint_minutes, report)
        if extend:
            extending.begin(workdir, config.epochs)
        elif not resume:
            run.take_folder(None if dataset else hash_of_test(config, options))
        on = f"{', '.join(chosen)} ({device_name(chosen)})"
        report(f"training {config.model} on {config.dataset} in {workdir.path}, computed on {on}")
        if not run.resume and not is_neighbors(config.model) and (note := note_on_few_steps(config, data)):
            report(note)
        extending.finish(workdir, config, training())
    return workdir


def _require_sense(overwrite: bool, resume: Resume, extend: int) -> None:
    if extend < 0:
        raise UserError(f"extend is {extend}; it must be at least 1, or left out.")
    if extend and (resume or overwrite):
        raise UserError(
            "extend goes on with a finished run, resume with an interrupted one (extended or not), and overwrite "
            "replaces one: choose one of them."
        )


@contextmanager
def _claimed(
    path: Path | None, config: TrainingConfig, overwrite: bool, resume: bool, extend: int
) -> Iterator[WorkDirectory]:
    """Keep the work directory that a training is to have, as `extensible` and `reserved` do."""
    found = extending.extensible(path, config) if path and extend else reserved(path, config, overwrite, resume)
    with found as workdir:
        yield workdir


@contextmanager
def _told_how_to_continue(workdir: WorkDirectory) -> Iterator[None]:
    """Give a KeyboardInterrupt the sentence that says how to continue the run, where it can be."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not workdir.has_checkpoint or extending.is_finished(workdir):
            raise
        raise type(stop)(
            f"Stopped; {last_checkpoint(workdir.checkpoints)}; continue with: "
            f"python train.py --resume --workdir {workdir.path}"
        ) from None
