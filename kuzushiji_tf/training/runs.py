"""Train one recognizer: a function over (config, work directory)."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import keras
import tensorflow as tf

from kuzushiji_tf.batches.loading import (
    hash_of_test,
    note_on_few_steps,
    options_of_run,
    require_square,
    with_absolute_paths,
)
from kuzushiji_tf.config import TrainingConfig, config_from_dict
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import require_model
from kuzushiji_tf.models.neighbors import is_neighbors
from kuzushiji_tf.training import extending
from kuzushiji_tf.training.checkpoints import last_checkpoint
from kuzushiji_tf.training.distillation import find_teacher
from kuzushiji_tf.training.distribution import device_name, form_team
from kuzushiji_tf.training.preparation import Run
from kuzushiji_tf.training.resuming import Resume, finished_run, resolved
from kuzushiji_tf.training.starting import find_start
from kuzushiji_tf.training.workers import Team
from kuzushiji_tf.workdirs import CHECKPOINT_MINUTES, WorkDirectory, find_last, reserved

Strategy = Literal["auto", "one", "mirrored", "multiworker"]


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
    strategy: Strategy = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every setting.
        folder: the work directory, created if need be; None: the next free one in `runs/`, or the last one there to
            `resume` or to `extend`.
        dataset: the images to train on, as they are; None: those that the config names.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there, once nothing is wrong with the new one.
        resume: continue an interrupted run there; its config must be `config`. `auto`: if there is one; start it, if
            there is none, and return at once, if it is finished.
        extend: train a finished run there for so many more epochs, as `resume` does; until they are there, what it
            ended with stands. Its schedule is then that of all epochs together.
        checkpoint_minutes: after which the state is saved in the middle of an epoch too; 0: only after each.
        devices: to train on, such as `GPU:1`; None: all visible GPUs, or the processor where there is none.
        strategy: `one` device, several `mirrored` ones of this machine, or those of several machines (`multiworker`),
            which the environment variable TF_CONFIG names; `auto`: what TF_CONFIG and the devices ask for.
        callbacks: further ones for `fit`, behind the run's own; their state is not in the checkpoints.
        report: is told what begins, once nothing is wrong, and which checkpoint is damaged.

    Returns:
        The work directory, with the run's result in its `description`. Of several machines the chief alone has it.

    Raises:
        UserError: the directory holds another run or is in use, a setting is wrong, the images are not square, the loss
            became NaN, the disk is full, every checkpoint is damaged, or another machine that trains too has ended.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run, whose last step is saved; the sentence says how to continue.
    """
    _require_sense(overwrite, resume, extend)
    config = with_absolute_paths(replace(config, dataset=dataset.name) if dataset else config)
    if not 0 <= checkpoint_minutes < math.inf:
        raise UserError(f"checkpoint_minutes is {checkpoint_minutes}; it must be a number not below 0.")
    require_model(config.model, config.architecture)
    team = form_team(*("one", ["CPU:0"]) if is_neighbors(config.model) else (strategy, devices))
    asked = _Asked(
        config=config,
        folder=Path(folder) if folder else None,
        dataset=dataset,
        data_dir=Path(data_dir) if data_dir else None,
        overwrite=overwrite,
        resume=resume,
        extend=extend,
        checkpoint_minutes=checkpoint_minutes,
        callbacks=callbacks,
        report=report,
    )
    with team.ending_together():
        finished, asked = asked.decided_by_chief(team)
        if finished:
            report(f"The run in {finished} is finished.")
            return WorkDirectory(Path(finished))
        return asked.train(team)


def _require_sense(overwrite: bool, resume: Resume, extend: int) -> None:
    if extend < 0:
        raise UserError(f"extend is {extend}; it must be at least 1, or left out.")
    if extend and (resume or overwrite):
        raise UserError(
            "extend goes on with a finished run, resume with an interrupted one (extended or not), and overwrite "
            "replaces one: choose one of them."
        )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a call of `train` asks for, by the names of its arguments."""

    config: TrainingConfig
    folder: Path | None
    dataset: CharacterDataset | None
    data_dir: Path | None
    overwrite: bool
    resume: Resume
    extend: int
    checkpoint_minutes: float
    callbacks: Sequence[keras.callbacks.Callback]
    report: Callable[[str], None]

    @property
    def goes_on(self) -> bool:
        """Whether there is a run already."""
        return self.resume is True or self.extend > 0

    def decided_by_chief(self, team: Team) -> tuple[str | None, "_Asked"]:
        """Return the folder of a run that is finished and to be left so, if any; and what `auto` comes to."""
        decision = None
        if team.is_chief:
            finished = finished_run(self.folder, self.config) if self.resume == "auto" else None
            folder = str(finished.path) if finished else None
            decision = folder, *resolved(self.resume, self.overwrite, self.folder)
        folder, resume, overwrite = team.agree(decision)
        return folder, replace(self, resume=resume, overwrite=overwrite)

    def train(self, team: Team) -> WorkDirectory:
        """Train, and return the work directory."""
        config = _agreed(team, self.config, self.goes_on)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        options = options_of_run(config, self.data_dir)
        dataset = self.dataset or load_dataset(config.dataset, "train", options)
        require_square(dataset)
        team.require_same(dataset.content_hash, "The images")
        teacher = find_teacher(config.distillation.teacher, dataset) if config.distillation.teacher else None
        start = find_start(config, dataset) if team.is_chief and not self.goes_on else None
        with self._claimed(team, config) as (workdir, epochs), _told_how_to_continue(workdir):
            config = replace(config, epochs=epochs)
            run = Run(config, workdir, dataset, teacher, start, self.goes_on, self.dataset is not None, self.callbacks)
            if self.goes_on and team.is_chief:
                run.require_unchanged()
            if is_neighbors(config.model):
                training = run.prepare_neighbors()
            else:
                training = run.prepare_network(team, self.checkpoint_minutes, self.report)
            if team.is_chief:
                self._begin(run, options)
            self.report(f"training {config.model} on {config.dataset} in {workdir.path}, computed on {_place(team)}")
            is_new = team.is_chief and not self.goes_on and not is_neighbors(config.model)
            if is_new and (note := note_on_few_steps(config, dataset)):
                self.report(note)
            result = training()
            if team.is_chief:
                extending.finish(workdir, config, result)
            team.agree()  # that all is written
        return workdir

    def _begin(self, run: Run, options: LoadOptions) -> None:
        """Write down what begins."""
        if self.extend:
            extending.begin(run.workdir, run.config.epochs)
        elif not self.resume:
            run.take_folder(None if self.dataset else hash_of_test(run.config, options))

    @contextmanager
    def _claimed(self, team: Team, config: TrainingConfig) -> Iterator[tuple[WorkDirectory, int]]:
        """Keep the work directory that a training is to have, and tell the other machines of it and of all epochs.

        They have no part in it.
        """
        if not team.is_chief:
            folder, epochs = team.agree()
            yield WorkDirectory(Path(folder)), epochs
            return
        path = self.folder or (find_last().path if self.goes_on else None)
        if path and self.extend:
            claim = extending.extensible(path, config)
        else:
            claim = reserved(path, config, self.overwrite, self.resume is True)
        with claim as workdir:
            epochs = config.epochs
            if self.goes_on:
                longer = replace(config, epochs=config.epochs + self.extend)
                epochs = extending.with_all_epochs(longer, workdir).epochs
            team.agree([str(workdir.path), epochs])
            yield workdir, epochs


def _agreed(team: Team, config: TrainingConfig, goes_on: bool) -> TrainingConfig:
    """Return the settings of the run, which are the same on every machine."""
    if goes_on and team.workers > 1:  # the others need not have the folder that says how it was started
        return config_from_dict(team.agree(config.to_dict()), "config.json")
    team.require_same(config.to_dict(), "The settings")
    return config


def _place(team: Team) -> str:
    """Return where a team computes, as the first line of a training says it."""
    devices = f"{', '.join(team.devices)} ({device_name(team.devices)})"
    return devices if team.workers == 1 else f"{devices}, worker {team.index} of {team.workers}"


@contextmanager
def _told_how_to_continue(workdir: WorkDirectory) -> Iterator[None]:
    """Give a KeyboardInterrupt the sentence that says how to continue the run, where it can be."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not workdir.has_checkpoint or workdir.is_finished:
            raise
        raise type(stop)(
            f"Stopped; {last_checkpoint(workdir.checkpoints)}; continue with: "
            f"python train.py --resume --workdir {workdir.path}"
        ) from None
