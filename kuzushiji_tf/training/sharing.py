"""How the devices of a team share batches, so that loss, metrics and gradients are those of one device."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training.workers import Team


class SharedModel(keras.Model):
    """A training graph of which each device computes a share of every batch, some of them one image more than others.

    Keras gives each device's mean the same weight in the gradient. Here it counts by its images, as it does in the loss
    that is shown and in metrics.
    """

    step_size: int  # images of a step, on all devices together
    _is_prepared = False

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the mean loss of this device's images, over the number of devices; its gradient is that of a sum."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        share = ops.cast(ops.shape(y)[0] * self.distribute_strategy.num_replicas_in_sync, loss.dtype) / self.step_size
        return loss + (share - 1) * (loss - ops.stop_gradient(loss))

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras's own adds the devices' batches, which needs them to be of one size, and fails on several machines.
        if self._is_prepared:
            return
        strategy = self.distribute_strategy
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(
                lambda values: strategy.experimental_local_results(values)[0], next(batches)
            )
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)
        self._is_prepared = True


class WorkersModel(SharedModel):
    """One that several machines share.

    Keras 3.15 takes the mean of what their steps return along an axis, which a number does not have (keras#20585).
    """

    def train_step(self, data: Any) -> dict[str, Any]:
        return _as_vectors(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return _as_vectors(super().test_step(data))


def _as_vectors(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figure[None] for name, figure in figures.items()}


def shared_model(model: keras.Model, step_size: int) -> keras.Model:
    """Return a training graph in the form that the devices of the current strategy share; for one the graph itself.

    Args:
        step_size: images of a step, on all devices together.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return model
    has_machines = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    shared = (WorkersModel if has_machines else SharedModel)(model.input, model.output, name=model.name)
    shared.step_size = step_size
    return shared


def build_metrics(model: keras.Model, batches: Any) -> None:
    """Build a compiled model's metrics, as the first step does: too late for what they held to be put back.

    Args:
        model: that trains.
        batches: as `fit` takes them.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        batch = tf.nest.map_structure(
            lambda values: strategy.experimental_local_results(values)[0], next(iter(batches))
        )
        model._symbolic_build(data_batch=batch)
    if isinstance(model, SharedModel):
        model._is_prepared = True


def shares(count: int, parts: int) -> np.ndarray:
    """Return how many images each part of a batch has, int `[parts]`; one more at most in some than in others."""
    return np.diff(np.arange(parts + 1) * count // parts)


def require_shares(team: Team, step_size: int) -> None:
    """Refuse a step that has fewer images than there are devices.

    Raises:
        UserError: it does.
    """
    if step_size < team.replicas:
        raise UserError(
            f"A step has {step_size} images, and {team.replicas} devices share it: choose a larger --batch-size, or "
            "fewer devices."
        )


def own_rows(team: Team, step_size: int) -> np.ndarray | None:
    """Return which rows of each training batch this machine makes, int `[n]`; None: all."""
    if team.workers == 1:
        return None
    start, end = (len(team.devices) * worker * step_size // team.replicas for worker in (team.index, team.index + 1))
    return np.arange(start, end)


def share_training(team: Team, batches: tf.data.Dataset, step_size: int) -> Any:
    """Return the endless batches of `own_rows` in the form that `fit` takes, each shared by this machine's devices."""
    if team.replicas == 1:
        return batches
    first = team.index * len(team.devices)
    own = shares(step_size, team.replicas)[first : first + len(team.devices)]
    return _distributed(team, batches, own)


def share_validation(team: Team, batches: tf.data.Dataset, count: int, batch_size: int) -> tuple[Any, int | None]:
    """Return validation batches in the form that `fit` takes, and the number of steps; None: as many as there are.

    Args:
        team: that shares them.
        batches: of `count` images, on each machine.
        count: how many images there are.
        batch_size: images of a step, at most.

    Raises:
        UserError: there are fewer images than devices.
    """
    if team.replicas == 1:
        return batches, None
    if count < team.replicas:
        raise UserError(
            f"There are {count} validation images, and {team.replicas} devices share them: raise "
            "--validation-fraction, or choose fewer devices."
        )
    steps = min(math.ceil(count / batch_size), count // team.replicas)
    return _distributed(team, batches, shares(count, steps * team.replicas), team.workers), steps


def _distributed(team: Team, batches: tf.data.Dataset, sizes: Sequence[int] | np.ndarray, machines: int = 1) -> Any:
    """Return one batch for each device in turn, of the given sizes; of them every so manyth, where machines share."""
    cut = batches.rebatch(sizes)
    if machines > 1:
        cut = cut.shard(machines, team.index)
    return team.strategy.distribute_datasets_from_function(lambda _: cut.prefetch(tf.data.AUTOTUNE))
