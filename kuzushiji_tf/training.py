"""Train one recogniser: a function over (config, work directory)."""

import shutil
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from kuzushiji_tf import __version__
from kuzushiji_tf.callbacks import Checkpoint, History, Pictures, Progress, SaveBest, SpeedMeter, StopOnNan
from kuzushiji_tf.checkpoints import load_checkpoint, save_for_use
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.distribution import make_strategy
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_path, write_json
from kuzushiji_tf.models import build_model, require_model
from kuzushiji_tf.pipeline import ordered_batches, training_batches
from kuzushiji_tf.sampling import EpochPlan, make_sampling
from kuzushiji_tf.workdirs import WorkDirectory, claimed

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg")


def train(
    config: TrainingConfig,
    path: Path,
    data_dir: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    devices: list[str] | None = None,
) -> WorkDirectory:
    """Train a recogniser in a work directory.

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
    require_model(config.model)
    dataset = load_dataset(config.dataset, "train", LoadOptions.of_run(config, data_dir))
    rows, held_out = validation_rows(dataset, config.validation_fraction, config.seed)
    with claimed(path, config, overwrite, resume) as workdir:
        if resume:
            _require_same_data(workdir, dataset)
        else:
            _describe(workdir, config, dataset, len(rows), len(held_out))
        _fit(config, workdir, dataset, rows, held_out, devices)
    return workdir


def _describe(workdir: WorkDirectory, config: TrainingConfig, dataset: CharacterDataset, rows: int, held: int) -> None:
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
    versions = {"kuzushiji_tf": __version__} | {name: version(name) for name in _VERSIONED}
    write_json(workdir.config_file, {"config": config.to_dict(), "versions": versions, "data": data})


def _require_same_data(workdir: WorkDirectory, dataset: CharacterDataset) -> None:
    if dataset.content_hash != workdir.description["data"].get("content_hash"):
        raise UserError(
            f"The data set {dataset.name!r} is no longer the one that the run in {workdir.path} was started with: "
            "bring that back, or start a new run."
        )


def _fit(
    config: TrainingConfig,
    workdir: WorkDirectory,
    dataset: CharacterDataset,
    rows: np.ndarray,
    held_out: np.ndarray,
    devices: list[str] | None,
) -> None:
    sampling = make_sampling(config, dataset.labels, rows)
    plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images)
    validation = ordered_batches(dataset, held_out, config.batch_size) if len(held_out) else None
    finished, restored = 0, None
    with make_strategy(devices).scope():
        model = compiled_model(config, dataset.image_size, len(dataset.classes), plan.steps_per_epoch)
        if workdir.checkpoint.exists():
            finished, restored = load_checkpoint(workdir.checkpoint, model)
    steps = plan.steps_per_epoch
    batches = training_batches(
        dataset,
        sampling,
        plan,
        config.augmentation,
        start_step=finished * steps,
        plain_from=(config.epochs - config.plain_epochs) * steps if config.plain_epochs else None,
    )
    watchers = _watchers(config, workdir)
    history = History(workdir.history_file, finished)
    start = time.perf_counter()
    # An early stop that was restored has been decided already.
    has_stopped = any(state.get("stopped_epoch") for state in restored or [])
    model.fit(
        batches,
        epochs=finished if has_stopped else config.epochs,
        initial_epoch=finished,
        steps_per_epoch=plan.steps_per_epoch,
        validation_data=validation,
        verbose=0,
        shuffle=False,
        callbacks=[
            StopOnNan(),
            SpeedMeter(plan.steps_per_epoch * plan.step_size),
            *watchers,
            history,
            Checkpoint(workdir.checkpoint, watchers, restored),
            keras.callbacks.TensorBoard(workdir.tensorboard, write_graph=False),
            Pictures(workdir.tensorboard, batches, validation, dataset.classes),
            Progress(config.epochs, plan.steps_per_epoch),
        ],
    )
    # After early stopping the last epoch is, by intent, not the one to keep.
    if config.early_stopping_patience:
        with atomic_path(workdir.final) as temporary:
            shutil.copyfile(workdir.best, temporary)
    else:
        save_for_use(model, workdir.final)
    workdir.finish(
        {
            "parameters": model.count_params(),
            "minutes": (time.perf_counter() - start) / 60,
            "last_epoch": {name: float(value) for name, value in history.rows[-1].items()},
        }
    )


def compiled_model(
    config: TrainingConfig, image_size: tuple[int, int], classes: int, steps_per_epoch: int
) -> keras.Model:
    """Return a new model of the config, compiled for one-hot targets; call it under the strategy's scope."""
    model = build_model(config.model, image_size, classes, config.seed, config.precision)
    model.compile(
        optimizer=_optimizer(config, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=config.jit,
    )
    return model


def _optimizer(config: TrainingConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(round(config.warmup_epochs * steps_per_epoch), config.epochs * steps_per_epoch - 1)
        steps = config.epochs * steps_per_epoch - warmup
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, steps, warmup_target=rate if warmup else None, warmup_steps=warmup
        )
    knobs = {"learning_rate": rate, "weight_decay": config.weight_decay or None}
    if config.ema_decay:
        knobs |= {"use_ema": True, "ema_momentum": config.ema_decay}
    match config.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(momentum=0.9, nesterov=True, **knobs)
        case "adamw":
            optimizer = keras.optimizers.AdamW(**knobs)
        case "adadelta":
            optimizer = keras.optimizers.Adadelta(**knobs)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _watchers(config: TrainingConfig, workdir: WorkDirectory) -> list[keras.callbacks.Callback]:
    """Return the callbacks that follow the validation figures and have a state of their own."""
    watchers = []
    if config.validation_fraction:
        watchers.append(SaveBest(workdir.best))
    if config.ema_decay:
        watchers.append(keras.callbacks.SwapEMAWeights())
    if config.schedule == "plateau":
        plateau = {"patience": config.plateau_patience, "factor": config.plateau_factor}
        watchers.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **plateau))
    if config.early_stopping_patience:
        watchers.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.early_stopping_patience))
    return watchers
