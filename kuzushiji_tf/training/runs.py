"""Train one recognizer: a function over (config, work directory)."""

import shutil
import time
from pathlib import Path

import keras
import numpy as np

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.batches.mixup import make_mixer
from kuzushiji_tf.batches.pipeline import ordered_batches, training_batches
from kuzushiji_tf.batches.sampling import EpochPlan, make_sampling
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
from kuzushiji_tf.training.calibration import calibrate
from kuzushiji_tf.training.callbacks import (
    Checkpoint,
    History,
    Pictures,
    Progress,
    SaveBest,
    SpeedMeter,
    StopOnInterrupt,
    StopOnNan,
)
from kuzushiji_tf.training.checkpoints import load_checkpoint, save_for_use
from kuzushiji_tf.training.compiling import compiled_models, unmixed, with_targets
from kuzushiji_tf.training.distillation import describe_teacher, find_teacher, load_teacher
from kuzushiji_tf.training.distribution import device_name, make_strategy
from kuzushiji_tf.workdirs import WorkDirectory, reserved

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg")


def train(
    config: TrainingConfig,
    path: Path,
    data_dir: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    devices: list[str] | None = None,
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every knob.
        path: the work directory; created if need be.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there.
        resume: go on with an interrupted run there; its config must be `config`.
        devices: as `distribution.make_strategy` takes them.

    Raises:
        UserError: the directory holds another run or is in use, a knob is wrong, or the loss became NaN.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run; the last finished epoch is in `checkpoints/last.keras`.
    """
    require_model(config.model, config.architecture)
    dataset = load_dataset(config.dataset, "train", options_of_run(config, data_dir))
    teacher = find_teacher(config.distillation.teacher, dataset) if config.distillation.teacher else None
    rows, held_out = validation_rows(dataset, config.validation_fraction, config.seed)
    with reserved(path, config, overwrite, resume) as workdir:
        if resume:
            _require_same_data(workdir, dataset)
            _require_same_teacher(workdir, teacher)
        else:
            _describe(workdir, config, dataset, len(rows), len(held_out), teacher)
        if is_neighbors(config.model):
            start = time.perf_counter()
            figures = fit_neighbors(config, dataset, rows, workdir.neighbors)
            minutes = (time.perf_counter() - start) / 60
            workdir.finish({**figures, "minutes": minutes, "device": device_name()})
        else:
            _fit(config, workdir, dataset, rows, held_out, teacher, devices)
    return workdir


def _describe(
    workdir: WorkDirectory,
    config: TrainingConfig,
    dataset: CharacterDataset,
    rows: int,
    held: int,
    teacher: Path | None,
) -> None:
    data = {
        "name": dataset.name,
        "content_hash": dataset.content_hash,
        "images": len(dataset),
        "training_images": rows,
        "validation_images": held,
        "image_size": list(dataset.image_size),
        "licence": dataset.licence,
        "credit": dataset.credit,
    }
    dataset.classes.write(workdir.labels_file)
    description = {"config": config.to_dict(), "versions": versions_of(_VERSIONED), "data": data}
    if teacher:
        description["teacher"] = describe_teacher(teacher)
    write_json(workdir.config_file, description)


def _require_same_data(workdir: WorkDirectory, dataset: CharacterDataset) -> None:
    if dataset.content_hash != workdir.description["data"].get("content_hash"):
        raise UserError(
            f"The data set {dataset.name!r} is no longer the one that the run in {workdir.path} was started with: "
            "bring that back, or start a new run."
        )


def _require_same_teacher(workdir: WorkDirectory, teacher: Path | None) -> None:
    if teacher and describe_teacher(teacher) != workdir.description.get("teacher"):
        raise UserError(
            f"{teacher} is no longer the teacher that the run in {workdir.path} was started with: bring that back, or "
            "start a new run."
        )


def _fit(
    config: TrainingConfig,
    workdir: WorkDirectory,
    dataset: CharacterDataset,
    rows: np.ndarray,
    held_out: np.ndarray,
    teacher: Path | None,
    devices: list[str] | None,
) -> None:
    sampling = make_sampling(config, dataset.labels, rows)
    plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images)
    strategy = make_strategy(devices)
    finished, restored = 0, None
    with strategy.scope():
        recognizer, model = compiled_models(
            config,
            dataset.image_size,
            len(dataset.classes),
            plan.steps_per_epoch,
            load_teacher(teacher) if teacher else None,
        )
        if workdir.checkpoint.exists():
            finished, restored = load_checkpoint(workdir.checkpoint, model)
    steps = plan.steps_per_epoch
    mix = make_mixer(config, count_mixable(recognizer), plan.step_size, strategy.num_replicas_in_sync)
    batches = training_batches(
        dataset,
        sampling,
        plan,
        config.augmentation,
        start_step=finished * steps,
        plain_from=(config.epochs - config.plain_epochs) * steps if config.plain_epochs else None,
        mix=mix,
    )
    validation = ordered_batches(dataset, held_out, config.batch_size) if len(held_out) else None
    watchers = _watchers(config, workdir, recognizer)
    history = History(workdir.history_file, finished)
    # An early stop that was restored has been decided already.
    has_stopped = any(state.get("stopped_epoch") for state in restored or [])
    with StopOnInterrupt() as interrupts:
        model.fit(
            with_targets(batches, config),
            epochs=finished if has_stopped else config.epochs,
            initial_epoch=finished,
            steps_per_epoch=plan.steps_per_epoch,
            validation_data=unmixed(validation, config, recognizer),
            verbose=0,
            shuffle=False,
            callbacks=[
                interrupts,
                StopOnNan(),
                SpeedMeter(plan.steps_per_epoch * plan.step_size),
                *watchers,
                history,
                Checkpoint(workdir.checkpoint, watchers, restored),
                keras.callbacks.TensorBoard(workdir.tensorboard, write_graph=False),
                Pictures(workdir.tensorboard, recognizer, batches, validation, dataset.classes),
                Progress(config.epochs, plan.steps_per_epoch),
            ],
        )
    _finish(workdir, config, dataset, rows, held_out, recognizer, model.optimizer, history)


def _finish(
    workdir: WorkDirectory,
    config: TrainingConfig,
    dataset: CharacterDataset,
    rows: np.ndarray,
    held_out: np.ndarray,
    recognizer: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    history: History,
) -> None:
    """Keep the trained recognizer, calibrate it on the images that were held out, and mark the run as finished."""
    # After early stopping the last epoch is, by intent, not the one to keep.
    if config.early_stopping_patience:
        with atomic_path(workdir.final) as temporary:
            shutil.copyfile(workdir.best, temporary)
    else:
        population = None
        if config.population_images:
            # In random order, so that each batch is like the whole, of data sorted by class too.
            order = np.random.default_rng(config.seed).permutation(rows)
            population = dataset.images[order[: config.population_images]]
        save_for_use(recognizer, optimizer, workdir.final, population)
    calibration = {}
    if len(held_out):
        probabilities = load_predictor(workdir.path).predict(dataset.images[held_out])
        calibration = {"calibration": calibrate(probabilities, dataset.labels[held_out])}
    workdir.finish(
        {
            "parameters": recognizer.count_params(),
            # Of the training steps, in all sittings of a resumed run.
            "minutes": sum(float(row["seconds"]) for row in history.rows) / 60,
            "device": device_name(),
            "last_epoch": {name: float(value) for name, value in history.rows[-1].items()},
            **calibration,
        }
    )


def _watchers(
    config: TrainingConfig, workdir: WorkDirectory, recognizer: keras.Model
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that follow the validation figures and have a state of their own."""
    watchers = []
    if config.validation_fraction:
        watchers.append(SaveBest(workdir.best, recognizer))
    if config.ema_decay:
        watchers.append(keras.callbacks.SwapEMAWeights())
    if config.schedule == "plateau":
        plateau = {"patience": config.plateau_patience, "factor": config.plateau_factor}
        watchers.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **plateau))
    if config.early_stopping_patience:
        watchers.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.early_stopping_patience))
    return watchers
