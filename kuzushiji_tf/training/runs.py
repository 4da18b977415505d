"""Train one recognizer: a function over (config, work directory)."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.batches.loading import (
    hash_of_test,
    note_on_few_steps,
    options_of_run,
    require_square,
    with_absolute_paths,
)
from kuzushiji_tf.batches.mixup import make_mixer
from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan, make_sampling
from kuzushiji_tf.batches.tf_datasets import as_tf_dataset
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_path, write_json
from kuzushiji_tf.models import require_model
from kuzushiji_tf.models.mixing import count_mixable
from kuzushiji_tf.models.neighbors import fit_neighbors, is_neighbors, save_neighbors
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.training.calibration import figures_of_confidence
from kuzushiji_tf.training.callbacks import Pictures, SaveBest
from kuzushiji_tf.training.checkpoints import last_checkpoint, load_checkpoint, save_for_use
from kuzushiji_tf.training.compiling import compiled_models, unmixed, with_targets
from kuzushiji_tf.training.distillation import find_teacher, load_teacher
from kuzushiji_tf.training.distribution import choose_devices, device_name, divide_evenly, make_strategy
from kuzushiji_tf.training.fitting import Sitting
from kuzushiji_tf.training.networks import describe_network
from kuzushiji_tf.training.starting import Start, find_start
from kuzushiji_tf.workdirs import WorkDirectory, find_last, reserved

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg")


def train(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    config: TrainingConfig,
    folder: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    devices: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every setting.
        folder: the work directory, created if need be; None: the next free one in `runs/`, or the last one there to
            `resume`.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there, once nothing is wrong with the new one.
        resume: continue an interrupted run there; its config must be `config`.
        devices: to train on, such as `GPU:1`; None: all visible GPUs, or the processor where there is none.
        report: is told what begins, once nothing is wrong with the settings, the data and the folder; and which
            checkpoint is damaged.

    Returns:
        The work directory, with the run's result in its `description`.

    Raises:
        UserError: the directory holds another run or is in use, a setting is wrong, the images are not square, the loss
            became NaN, the disk is full, or every checkpoint is damaged.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run; the sentence says how to continue.
    """
    config = with_absolute_paths(config)
    require_model(config.model, config.architecture)
    chosen = ["CPU:0"] if is_neighbors(config.model) else choose_devices(devices)
    path = Path(folder) if folder else find_last().path if resume else None
    options = options_of_run(config, Path(data_dir) if data_dir else None)
    dataset = load_dataset(config.dataset, "train", options)
    require_square(dataset)
    teacher = find_teacher(config.distillation.teacher, dataset) if config.distillation.teacher else None
    start = None if resume else find_start(config, dataset)
    with reserved(path, config, overwrite, resume) as workdir, _told_how_to_continue(workdir):
        run = _Run(config, workdir, dataset, teacher, start, resume)
        if resume:
            run.require_unchanged()
        training = run.prepare_neighbors() if is_neighbors(config.model) else run.prepare_network(chosen, report)
        if not resume:
            run.take_folder(hash_of_test(config, options))
        on = f"{', '.join(chosen)} ({device_name(chosen)})"
        report(f"training {config.model} on {config.dataset} in {workdir.path}, computed on {on}")
        if not is_neighbors(config.model) and (note := note_on_few_steps(config, dataset)):
            report(note)
        workdir.finish(training())
    return workdir


@contextmanager
def _told_how_to_continue(workdir: WorkDirectory) -> Iterator[None]:
    """Give a KeyboardInterrupt the sentence that says how to continue the run, where it can be."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not workdir.has_checkpoint or "result" in workdir.description:
            raise
        raise type(stop)(
            f"Stopped; {last_checkpoint(workdir.checkpoints)}; continue with: "
            f"python train.py --resume --workdir {workdir.path}"
        ) from None


@dataclass(frozen=True)
class _Run:
    """A run under way: what it was told, where it writes, and what it learns from.

    Attributes:
        config: every setting.
        workdir: its own until it ends.
        dataset: the training split.
        teacher: the file of the recognizer that it learns from too; None: from the labels alone.
        start: the weights before the first step; None: random ones, or those of the checkpoint of a resumed run.
        resume: whether to go on from that checkpoint.
    """

    config: TrainingConfig
    workdir: WorkDirectory
    dataset: CharacterDataset
    teacher: Path | None
    start: Start | None
    resume: bool

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The data set's rows to train on, and those to validate on."""
        return validation_rows(self.dataset, self.config.validation_fraction, self.config.seed)

    def take_folder(self, test_content_hash: str | None) -> None:
        """Remove what an earlier run left; write config.json and labels.txt.

        Args:
            test_content_hash: of the images that are held out for testing; None: it is not known.
        """
        dataset, (training, validation) = self.dataset, self.rows
        data = {
            "name": dataset.name,
            "content_hash": dataset.content_hash,
            "images": len(dataset),
            "training_images": len(training),
            "validation_images": len(validation),
            "image_size": list(dataset.image_size),
            "ink": dataset.ink,
            "normalization": dataset.normalization,
            "licence": dataset.licence,
            "credit": dataset.credit,
        }
        if test_content_hash:
            data["test_content_hash"] = test_content_hash
        description = {"config": self.config.to_dict(), "versions": versions_of(_VERSIONED), "data": data}
        if self.teacher:
            description["teacher"] = describe_network(self.teacher)
        if self.start:
            description["initial_weights"] = self.start.description
        self.workdir.clear()
        try:
            write_json(self.workdir.config_file, description)
            dataset.classes.write(self.workdir.labels_file)
        except OSError:
            self.workdir.clear()
            raise

    def require_unchanged(self) -> None:
        """Refuse to resume on other data, or with another teacher, than the run was started with."""
        description, path = self.workdir.description, self.workdir.path
        if self.dataset.content_hash != description["data"].get("content_hash"):
            raise UserError(
                f"The data set {self.dataset.name!r} has changed since the run in {path} was started: restore it as it "
                "was, or start a new run."
            )
        if self.teacher and describe_network(self.teacher) != description.get("teacher"):
            raise UserError(
                f"The teacher {self.teacher} has changed since the run in {path} was started: restore it as it was, or "
                "start a new run."
            )

    def prepare_neighbors(self) -> Callable[[], dict[str, Any]]:
        """Return what writes a nearest-neighbor model and returns the result."""
        start = time.perf_counter()
        model = fit_neighbors(self.config, self.dataset, self.rows[0])

        def keep() -> dict[str, Any]:
            figures = save_neighbors(model, self.workdir.neighbors)
            return {**figures, "minutes": (time.perf_counter() - start) / 60, "device": device_name(["CPU:0"])}

        return keep

    def prepare_network(self, devices: list[str], report: Callable[[str], None]) -> Callable[[], dict[str, Any]]:
        """Return what trains from where the run is, keeps the recognizer and returns the result.

        All that settings can be wrong in is made before, and nothing is written.
        """
        config, workdir, dataset, (rows, rows_to_validate) = self.config, self.workdir, self.dataset, self.rows
        sampling = make_sampling(config, dataset.labels, rows)
        plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images)
        steps, replicas = plan.steps_per_epoch, len(devices)
        if replicas > 1 and plan.step_size % replicas and (self.teacher or config.architecture.reconstruction):
            raise UserError(
                f"A step has {plan.step_size} images, which {replicas} devices cannot share equally, as a teacher and "
                f"redrawing need: choose a --batch-size that is a multiple of {replicas}."
            )
        with make_strategy(devices).scope():
            teacher = load_teacher(self.teacher) if self.teacher else None
            recognizer, model = compiled_models(config, dataset.image_size, len(dataset.classes), steps, teacher)
            if self.start:
                recognizer.set_weights(self.start.weights)
            # What an earlier run left is still there.
            finished, restored = load_checkpoint(workdir.checkpoints, model, report) if self.resume else (0, None)
        changes = Changes(
            config.augmentation,
            plain_from=(config.epochs - config.plain_epochs) * steps if config.plain_epochs else None,
            mix=make_mixer(config, count_mixable(recognizer), plan.step_size, replicas),
        )
        batches = training_batches(dataset, sampling, plan, changes, start_step=finished * steps)
        validation = None
        if len(rows_to_validate):  # on characters alone, as recognizers are compared
            characters = rows_to_validate[dataset.is_character[rows_to_validate]]
            validation = as_tf_dataset(dataset.select(characters), config.batch_size, one_hot=True)
        first_batch = next(iter(batches.take(1)))
        validated = int(dataset.is_character[rows_to_validate].sum())

        def train() -> dict[str, Any]:
            sitting = Sitting(
                workdir,
                plan,
                config.epochs,
                finished,
                restored,
                stateful=_stateful_callbacks(config, workdir, recognizer),
                others=[Pictures(workdir.tensorboard, recognizer, first_batch, validation, dataset.classes)],
                devices=devices,
            )
            figures = sitting.fit(
                model,
                divide_evenly(with_targets(batches, config), replicas, plan.step_size, plan.step_size),
                divide_evenly(unmixed(validation, config, recognizer), replicas, validated, config.batch_size),
            )
            self._save(recognizer, model.optimizer)
            return {"parameters": recognizer.count_params(), **figures, **self._calibration()}

        return train

    def _save(self, recognizer: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Write the weights to use from now on: of the last epoch, or of the best after early stopping."""
        if self.config.early_stopping_patience:  # whose last epoch is, by intent, not the one to keep
            with atomic_path(self.workdir.final) as temporary:
                shutil.copyfile(self.workdir.best, temporary)
            return
        population = None
        if self.config.population_images:
            # In random order, so that each batch is like the whole, of data sorted by class too.
            order = np.random.default_rng(self.config.seed).permutation(self.rows[0])
            population = self.dataset.images[order[: self.config.population_images]]
        save_for_use(recognizer, optimizer, self.workdir.final, population)

    def _calibration(self) -> dict[str, Any]:
        """Return what the validation images say about confidence and about what is no character, if there are any."""
        rows = self.rows[1]
        if not len(rows):
            return {}
        validation = self.dataset.select(rows)
        return figures_of_confidence(load_predictor(self.workdir.path).predict(validation.images), validation)


def _stateful_callbacks(
    config: TrainingConfig, workdir: WorkDirectory, recognizer: keras.Model
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that follow the validation figures and have a state of their own."""
    callbacks: list[keras.callbacks.Callback] = []
    if config.validation_fraction:
        callbacks.append(SaveBest(workdir.best, recognizer))
    if config.ema_decay:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    if config.schedule == "plateau":
        plateau = {"patience": config.plateau_patience, "factor": config.plateau_factor}
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **plateau))
    if config.early_stopping_patience:
        callbacks.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.early_stopping_patience))
    return callbacks
