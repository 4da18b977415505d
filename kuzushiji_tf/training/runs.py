"""Train one recognizer: a function over (config, work directory)."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.batches.loading import options_of_run
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
from kuzushiji_tf.models.neighbors import fit_neighbors, is_neighbors
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.training.calibration import figures_of_confidence
from kuzushiji_tf.training.callbacks import Pictures, SaveBest
from kuzushiji_tf.training.checkpoints import load_checkpoint, save_for_use
from kuzushiji_tf.training.compiling import compiled_models, unmixed, with_targets
from kuzushiji_tf.training.distillation import find_teacher, load_teacher
from kuzushiji_tf.training.distribution import device_name, make_strategy
from kuzushiji_tf.training.fitting import Sitting
from kuzushiji_tf.training.networks import describe_network
from kuzushiji_tf.training.starting import Start, find_start
from kuzushiji_tf.workdirs import WorkDirectory, find_last, next_path, reserved

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg")


def train(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    config: TrainingConfig,
    folder: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    devices: list[str] | None = None,
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every setting.
        folder: the work directory, created if need be; None: the next free one in `runs/`, or the last one there to
            `resume`.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there.
        resume: continue an interrupted run there; its config must be `config`.
        devices: as `distribution.make_strategy` takes them.
        report: is told what begins, once nothing is wrong with the settings, the data and the folder.

    Returns:
        The work directory, with the run's result in its `description`.

    Raises:
        UserError: the directory holds another run or is in use, a setting is wrong, or the loss became NaN.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run; the last finished epoch is in `checkpoints/last.keras`.
    """
    require_model(config.model, config.architecture)
    if folder is None:
        folder = find_last().path if resume else next_path(config)
    options = options_of_run(config, Path(data_dir) if data_dir else None)
    dataset = load_dataset(config.dataset, "train", options)
    teacher = find_teacher(config.distillation.teacher, dataset) if config.distillation.teacher else None
    start = None if resume else find_start(config, dataset)
    with reserved(Path(folder), config, overwrite, resume) as workdir:
        run = _Run(config, workdir, dataset, teacher, start)
        if resume:
            run.require_unchanged()
        else:
            run.describe()
        report(f"training {config.model} on {config.dataset} in {workdir.path}")
        workdir.finish(run.keep_neighbors() if is_neighbors(config.model) else run.train_network(devices))
    return workdir


@dataclass(frozen=True)
class _Run:
    """A run under way: what it was told, where it writes, and what it learns from.

    Attributes:
        config: every setting.
        workdir: its own until it ends.
        dataset: the training split.
        teacher: the file of the recognizer that it learns from too; None: from the labels alone.
        start: the weights before the first step; None: random ones, or those of the checkpoint of a resumed run.
    """

    config: TrainingConfig
    workdir: WorkDirectory
    dataset: CharacterDataset
    teacher: Path | None
    start: Start | None

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The data set's rows to train on, and those to validate on."""
        return validation_rows(self.dataset, self.config.validation_fraction, self.config.seed)

    def describe(self) -> None:
        """Write labels.txt and config.json."""
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
        dataset.classes.write(self.workdir.labels_file)
        description = {"config": self.config.to_dict(), "versions": versions_of(_VERSIONED), "data": data}
        if self.teacher:
            description["teacher"] = describe_network(self.teacher)
        if self.start:
            description["initial_weights"] = self.start.description
        write_json(self.workdir.config_file, description)

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

    def keep_neighbors(self) -> dict[str, Any]:
        """Write a nearest-neighbor model and return its result."""
        start = time.perf_counter()
        figures = fit_neighbors(self.config, self.dataset, self.rows[0], self.workdir.neighbors)
        return {**figures, "minutes": (time.perf_counter() - start) / 60, "device": device_name()}

    def train_network(self, devices: list[str] | None) -> dict[str, Any]:
        """Train from where the run is, keep the recognizer, and return the result."""
        config, workdir, dataset, (rows, rows_to_validate) = self.config, self.workdir, self.dataset, self.rows
        sampling = make_sampling(config, dataset.labels, rows)
        plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images)
        steps, strategy = plan.steps_per_epoch, make_strategy(devices)
        with strategy.scope():
            teacher = load_teacher(self.teacher) if self.teacher else None
            recognizer, model = compiled_models(config, dataset.image_size, len(dataset.classes), steps, teacher)
            if self.start:
                recognizer.set_weights(self.start.weights)
            finished, restored = load_checkpoint(workdir.checkpoint, model)
        changes = Changes(
            config.augmentation,
            plain_from=(config.epochs - config.plain_epochs) * steps if config.plain_epochs else None,
            mix=make_mixer(config, count_mixable(recognizer), plan.step_size, strategy.num_replicas_in_sync),
        )
        batches = training_batches(dataset, sampling, plan, changes, start_step=finished * steps)
        validation = None
        if len(rows_to_validate):  # on characters alone, as recognizers are compared
            characters = rows_to_validate[dataset.is_character[rows_to_validate]]
            validation = as_tf_dataset(dataset.select(characters), config.batch_size, one_hot=True)
        sitting = Sitting(
            workdir,
            plan,
            config.epochs,
            finished,
            restored,
            stateful=_stateful_callbacks(config, workdir, recognizer),
            others=[Pictures(workdir.tensorboard, recognizer, batches, validation, dataset.classes)],
        )
        figures = sitting.fit(model, with_targets(batches, config), unmixed(validation, config, recognizer))
        self._save(recognizer, model.optimizer)
        return {"parameters": recognizer.count_params(), **figures, **self._calibration()}

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
