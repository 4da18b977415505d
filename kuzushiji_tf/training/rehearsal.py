"""What a training would be, without beginning it: its data, its model, its steps and the memory that it takes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kuzushiji_tf.batches.loading import options_of_run, require_square, with_absolute_paths
from kuzushiji_tf.batches.sampling import EpochPlan, make_sampling
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.models import require_model
from kuzushiji_tf.models.complexity import layer_outputs
from kuzushiji_tf.models.neighbors import is_neighbors
from kuzushiji_tf.training.compiling import compiled_models
from kuzushiji_tf.training.distillation import find_teacher
from kuzushiji_tf.training.distribution import choose_devices, form_team
from kuzushiji_tf.training.freezing import layer_names
from kuzushiji_tf.training.preparation import Run
from kuzushiji_tf.training.starting import find_start
from kuzushiji_tf.training.workers import Team
from kuzushiji_tf.workdirs import WorkDirectory

_FLOAT = 4  # bytes; the weights have it in every precision


@dataclass(frozen=True)
class Network:
    """The network of a training.

    Attributes:
        parameters: weights of the recognizer.
        trained: those of them that learn.
        layers: that have weights, without the classifier.
        frozen: how many of those do not learn.
        steps_per_epoch: as it says.
        memory: bytes by what takes them: `images` in the host's memory, `weights` with their gradients and what the
            optimizer keeps, and `step`, what the layers return for a device's share of a batch.
    """

    parameters: int
    trained: int
    layers: int
    frozen: int
    steps_per_epoch: int
    memory: dict[str, int]


def rehearse(
    config: TrainingConfig, *, data_dir: str | Path | None = None, devices: Sequence[str] | None = None
) -> tuple[Run, Network | None]:
    """Return what a new training would learn from, and the network that it would train; nothing is written.

    A run is prepared up to its first step; of several machines, the share of this one's devices is looked at. There is
    no network in a nearest-neighbor model.

    Args:
        config: every setting.
        data_dir: where the data set's files are, as `train` takes it.
        devices: to train on, as `train` takes them.

    Raises:
        UserError, MissingFileError: as `train`.
    """
    config = with_absolute_paths(config)
    require_model(config.model, config.architecture)
    data = load_dataset(config.dataset, "train", options_of_run(config, Path(data_dir) if data_dir else None))
    require_square(data)
    teacher = find_teacher(config.distillation.teacher, data) if config.distillation.teacher else None
    run = Run(config, WorkDirectory(Path(os.devnull)), data, teacher, find_start(config, data), resume=False)
    if is_neighbors(config.model):
        return run, None
    names = choose_devices(devices)
    return run, _describe(run, form_team("one" if len(names) == 1 else "mirrored", names))


def _describe(run: Run, team: Team) -> Network:
    config, data = run.config, run.dataset
    run.prepare_network(team, 0.0, lambda _: None)  # refuses what a training would
    sampling = make_sampling(config, data.labels, run.rows[0])
    plan = EpochPlan(len(sampling), config.batch_size, config.seed, config.epoch_images, config.steps_per_execution)
    recognizer, model = compiled_models(config, data.image_size, len(data.classes), plan)
    model.optimizer.build(model.trainable_variables)
    names = layer_names(recognizer)
    return Network(
        recognizer.count_params(),
        _numbers(recognizer.trainable_variables),
        len(names),
        sum(not layer.trainable for layer in names),
        plan.steps_per_epoch,
        {
            "images": _images(run),
            "weights": _FLOAT * _numbers([*model.variables, *model.trainable_variables, *model.optimizer.variables]),
            "step": _step(config, recognizer, plan.step_size, team.replicas),
        },
    )


def _images(run: Run) -> int:
    """Return the bytes of the images that a run holds; those in the decoded cache are the file's."""
    images = run.dataset.images
    return images.nbytes * (1 if isinstance(images, np.memmap) else 2)


def _step(config: TrainingConfig, recognizer: keras.Model, step_size: int, devices: int) -> int:
    number = _FLOAT if config.precision == "float32" else _FLOAT // 2
    return number * layer_outputs(recognizer) * -(-step_size // devices)


def _numbers(variables: list[keras.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
