"""A run under way: what its settings, its data and its folder make of it, up to the first step and after the last."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kuzushiji_tf.batches.mixup import make_mixer
from kuzushiji_tf.batches.pipeline import Changes, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan, make_sampling
from kuzushiji_tf.batches.tf_datasets import as_tf_dataset
from kuzushiji_tf.config import SCHEMA, TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_path, write_json
from kuzushiji_tf.models.mixing import count_mixable
from kuzushiji_tf.models.neighbors import fit_neighbors, save_neighbors
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.training.calibration import figures_of_confidence
from kuzushiji_tf.training.callbacks import Pictures
from kuzushiji_tf.training.checkpoints import BEGINNING, Place, Restored, load_checkpoint, save_for_use
from kuzushiji_tf.training.compiling import compiled_models, unmixed, with_targets
from kuzushiji_tf.training.distillation import load_teacher
from kuzushiji_tf.training.distribution import device_name
from kuzushiji_tf.training.fitting import Sitting
from kuzushiji_tf.training.networks import describe_network
from kuzushiji_tf.training.saving import SaveBest, ValidateAverages
from kuzushiji_tf.training.sharing import own_rows, require_shares, share_training, share_validation
from kuzushiji_tf.training.starting import Start
from kuzushiji_tf.training.workers import Team
from kuzushiji_tf.workdirs import WorkDirectory

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg")


@dataclass(frozen=True)
class Run:
    """A run under way: what it was told, where it writes, and what it learns from.

    Attributes:
        config: every setting.
        workdir: its own until it ends.
        dataset: the training split.
        teacher: the file of the recognizer that it learns from too; None: from the labels alone.
        start: the weights before the first step; None: random ones, or those of the checkpoint of a resumed run.
        resume: whether to go on from that checkpoint.
        is_given: whether the data set was given as images, and not by its name.
        callbacks: further ones for `fit`.
    """

    config: TrainingConfig
    workdir: WorkDirectory
    dataset: CharacterDataset
    teacher: Path | None
    start: Start | None
    resume: bool
    is_given: bool = False
    callbacks: Sequence[keras.callbacks.Callback] = ()

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
        if self.is_given:
            data["given"] = True  # nobody can load them by that name
        versions = versions_of(_VERSIONED)
        description = {"schema": SCHEMA, "config": self.config.to_dict(), "versions": versions, "data": data}
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
        if description["data"].get("given") and not self.is_given:
            raise UserError(f"The images of the run in {path} were given in Python: continue it there, with them.")
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

    def prepare_network(
        self, team: Team, checkpoint_minutes: float, report: Callable[[str], None]
    ) -> Callable[[], dict[str, Any]]:
        """Return what trains from where the run is, and on the chief keeps the recognizer and returns the result.

        All that settings can be wrong in is made before, and nothing is written.
        """
        config, workdir, dataset = self.config, self.workdir, self.dataset
        sampling = make_sampling(config, dataset.labels, self.rows[0])
        plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images, config.steps_per_execution)
        steps = plan.steps_per_epoch
        require_shares(team, plan.step_size)
        with team.strategy.scope():
            teacher = load_teacher(self.teacher) if self.teacher else None
            recognizer, model = compiled_models(config, dataset.image_size, len(dataset.classes), plan, teacher)
            if self.start:
                recognizer.set_weights(self.start.weights)
            if team.workers > 1:  # together, since a variable is the chief's everywhere
                model.optimizer.build(model.trainable_variables)
            # What an earlier run left is still there.
            reads = self.resume and team.is_chief
            restored = load_checkpoint(workdir.checkpoints, model, report) if reads else BEGINNING
        restored = _on_every_worker(restored, team)
        team.copy_from_chief(model)
        changes = Changes(
            config.augmentation,
            plain_from=(config.epochs - config.plain_epochs) * steps if config.plain_epochs else None,
            mix=make_mixer(config, count_mixable(recognizer), plan.step_size, team.replicas),
            rows=own_rows(team, plan.step_size),
        )
        batches = training_batches(dataset, sampling, plan, changes, start_step=restored.first_step(steps))
        first_batch, validation = next(iter(batches.take(1))), self._validation()
        shared, validation_steps = None, None
        if validation is not None:
            count = int(dataset.is_character[self.rows[1]].sum())
            unshared = unmixed(validation, config, recognizer)
            shared, validation_steps = share_validation(team, unshared, count, config.batch_size)

        def train() -> dict[str, Any]:
            sitting = Sitting(
                workdir,
                plan,
                config.epochs,
                restored,
                checkpoint_minutes if team.workers == 1 else None,
                stateful=_stateful_callbacks(config, workdir.best if team.is_chief else None, recognizer),
                others=[
                    Pictures(workdir.tensorboard, recognizer, first_batch, validation, dataset.classes),
                    *self.callbacks,
                ],
                devices=team.devices,
                validation_steps=validation_steps,
                writes=team.is_chief,
            )
            trained_on = share_training(team, with_targets(batches, config), plan.step_size)
            figures = sitting.fit(model, trained_on, shared)
            if not team.is_chief:
                return figures
            if team.workers > 1:
                figures["device"] = f"{team.workers} machines, the chief {figures['device']}"
            self._save(recognizer, model.optimizer)
            return {"parameters": recognizer.count_params(), **figures, **self._calibration()}

        return train

    def _validation(self) -> tf.data.Dataset | None:
        """Return the batches to validate on: of characters alone, as recognizers are compared."""
        rows = self.rows[1]
        if not len(rows):
            return None
        characters = rows[self.dataset.is_character[rows]]
        return as_tf_dataset(self.dataset.select(characters), self.config.batch_size, one_hot=True)

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


def _on_every_worker(restored: Restored, team: Team) -> Restored:
    """Return on every machine where the chief goes on."""
    if team.workers == 1:
        return restored
    if restored.place.step:
        raise UserError(
            f"The run was saved in step {restored.place.step} of epoch {restored.place.epoch + 1}, which one machine "
            "began: let one finish it, then resume on several."
        )
    epoch, callbacks = team.agree([restored.place.epoch, restored.callbacks])
    return Restored(Place(epoch), callbacks)


def _stateful_callbacks(
    config: TrainingConfig, best: Path | None, recognizer: keras.Model
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that follow the validation figures and have a state of their own."""
    callbacks: list[keras.callbacks.Callback] = []
    if config.validation_fraction:
        callbacks.append(SaveBest(best, recognizer))
    if config.ema_decay:
        callbacks.append(ValidateAverages())
    if config.schedule == "plateau":
        plateau = {"patience": config.plateau_patience, "factor": config.plateau_factor}
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **plateau))
    if config.early_stopping_patience:
        callbacks.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.early_stopping_patience))
    return callbacks
