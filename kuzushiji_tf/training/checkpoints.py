"""Saving and restoring a run, so that a resumed one equals one that was never interrupted."""

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from kuzushiji_tf.datasets.arrays import read_whole_npz
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_path, parse_json
from kuzushiji_tf.training.population import measure_population
from kuzushiji_tf.workdirs import CHECKPOINT

_KEPT = 2  # the older one is for when the newer one is damaged
# What the callbacks keep between steps; Keras's own checkpoints forget it.
_CALLBACK_STATE = ("wait", "best", "best_epoch", "cooldown_counter", "stopped_epoch", "rows", "seconds")
_METRIC = "metric {}, replica {}"
_NAME = re.compile(r"epoch-(\d+)(?:-step-(\d+))?\.state")
_DAMAGES = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
_AUTOMATIC_NUMBER = re.compile(r"_\d+(?=[/_]|$)")


class Place(NamedTuple):
    """A place in a training; later ones are greater.

    Attributes:
        epoch: epochs that are finished, with their validation.
        step: steps of the next one that are.
    """

    epoch: int
    step: int = 0

    @property
    def file(self) -> str:
        return CHECKPOINT.format(f"{self.epoch}-step-{self.step}" if self.step else self.epoch)


@dataclass(frozen=True)
class Restored:
    """Where a training goes on, and what is put back once `fit` has reset it.

    Attributes:
        place: where the last sitting ended.
        callbacks: the state of each stateful callback then; None: nothing was saved.
        metrics: what each variable of the metrics held in the middle of an epoch, on each replica.
    """

    place: Place
    callbacks: list[dict[str, Any]] | None
    metrics: Sequence[Sequence[np.ndarray]] = ()

    def first_step(self, steps_per_epoch: int) -> int:
        """Return the number, over all epochs, of the first step."""
        return self.place.epoch * steps_per_epoch + self.place.step


BEGINNING = Restored(Place(0), None)


def save_checkpoint(
    model: keras.Model,
    folder: Path,
    place: Place,
    stateful: Sequence[keras.callbacks.Callback],
    metrics: Sequence[Sequence[np.ndarray]] = (),
) -> None:
    """Save a whole run: weights, optimizer, dropout seeds and the state of stateful callbacks.

    One file each time: the SHA-256 of what follows, a line of JSON, and all variables as an `.npz`. It is there whole
    before the last but one is removed.

    Args:
        metrics: what `metric_values` returned at a place in the middle of an epoch.

    Raises:
        OSError: it cannot be written; the earlier ones are as they were.
    """
    state = {"epoch": place.epoch, "step": place.step, "callbacks": [_state_of(callback) for callback in stateful]}
    head = json.dumps(state).encode() + b"\n"
    values = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables_of(model).items()}
    for number, parts in enumerate(metrics):
        values |= {_METRIC.format(number, replica): value for replica, value in enumerate(parts)}
    arrays = io.BytesIO()
    np.savez(arrays, **values)
    content = head + arrays.getvalue()  # no view of the buffer: collecting one as garbage crashes Python 3.12.1
    digest = hashlib.sha256(content).hexdigest().encode()
    with atomic_path(folder / place.file) as temporary, open(temporary, "wb") as stream:
        stream.write(digest + b"\n")
        stream.write(content)
    kept = [file for file in _files_in(folder) if _place_of(file) <= place][:_KEPT]
    for file in _files_in(folder):
        if file not in kept:
            file.unlink()


def load_checkpoint(
    folder: Path,
    model: keras.Model,
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> Restored:
    """Restore what `save_checkpoint` saved last into a newly compiled model of the same config.

    Where that is damaged, the one before it is taken.

    Args:
        report: is told so.

    Raises:
        UserError: all are damaged, or the model has other variables.
    """
    files = _files_in(folder)
    if not files:
        return BEGINNING
    for file in files:
        try:
            restored, values = _read(file)
        except _DAMAGES:
            continue
        if file != files[0]:
            report(f"{files[0]} is damaged: going on from {file}")
        _assign(values, model, file)
        return restored
    raise UserError(f"{' and '.join(map(str, files))} are damaged; start again with --overwrite.")


def last_checkpoint(folder: Path) -> str:
    """Return half a sentence that says which checkpoint was saved last."""
    files = _files_in(folder)
    if not files:
        return "no checkpoint was saved"
    epoch, step = _place_of(files[0])
    if step:
        when = f"of step {step} of epoch {epoch + 1}"
    else:
        when = f"of epoch {epoch}" if epoch else "from before the first epoch"
    return f"the last checkpoint, {when}, is {files[0]}"


def metric_values(model: keras.Model) -> list[list[np.ndarray]]:
    """Return what each variable of a model's metrics holds, on each replica: the sums behind an epoch's figures."""
    return [[part.numpy() for part in _parts(variable)] for variable in model.metrics_variables]


def assign_metrics(model: keras.Model, metrics: Sequence[Sequence[np.ndarray]]) -> None:
    """Put back what `metric_values` returned; the model's metrics are built.

    On another number of replicas each figure's total is kept, and the rounding of what is added to it is not.
    """
    for variable, values in zip(model.metrics_variables, metrics, strict=True):
        parts = _parts(variable)
        if len(parts) != len(values):
            values = [np.sum(values, axis=0), *[np.zeros_like(values[0])] * (len(parts) - 1)]
        for part, value in zip(parts, values, strict=True):
            part.assign(value)


def _parts(variable: keras.Variable) -> Sequence[Any]:
    """Return TensorFlow's variables behind one of Keras's: one on each replica."""
    return getattr(variable.value, "values", (variable.value,))


def save_for_use(
    recognizer: keras.Model, optimizer: keras.optimizers.Optimizer, path: Path, population: np.ndarray | None = None
) -> None:
    """Save a plain float32 model without the optimizer, whatever precision it was trained in.

    Where the optimizer keeps a moving average of the weights, that is what is saved.

    Args:
        population: images whose statistics batch normalization gets, as `measure_population` takes them; None: it keeps
            its own.
    """
    plain = keras.models.clone_model(recognizer, clone_function=_in_float32)
    plain.set_weights(recognizer.get_weights())
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer.use_ema:
        # The training graph may hold the recognizer's variables in another order.
        averages = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
        average_of = {id(variable): average for variable, average in averages}
        for variable, source in zip(plain.trainable_variables, recognizer.trainable_variables, strict=True):
            variable.assign(keras.ops.convert_to_numpy(average_of[id(source)]))
    if population is not None:
        measure_population(plain, population)
    with atomic_path(path) as temporary:
        plain.save(temporary, include_optimizer=False)


def _in_float32(operation: keras.Operation) -> keras.Operation:
    # What is not a layer, such as a slice, computes in its input's precision.
    changes: dict[str, Any] = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
    if isinstance(operation, keras.layers.BatchNormalization):
        changes["synchronized"] = False  # which is about training
    return type(operation).from_config(operation.get_config() | changes)


def _files_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the last one first."""
    return sorted(folder.glob(CHECKPOINT.format("*")), key=_place_of, reverse=True)


def _place_of(file: Path) -> Place:
    found = _NAME.fullmatch(file.name)
    return Place(*map(int, found.groups(default="0"))) if found else Place(-1)


def _taken_metrics(values: dict[str, np.ndarray]) -> list[list[np.ndarray]]:
    """Take what `metric_values` returned out of a checkpoint's values."""
    metrics: list[list[np.ndarray]] = []
    while (key := _METRIC.format(len(metrics), 0)) in values:
        parts: list[np.ndarray] = []
        while (key := _METRIC.format(len(metrics), len(parts))) in values:
            parts.append(values.pop(key))
        metrics.append(parts)
    return metrics


def _read(file: Path) -> tuple[Restored, dict[str, np.ndarray]]:
    """Return what a checkpoint holds, and the values of the variables; one of `_DAMAGES` is raised where it is none."""
    digest, _, content = file.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError(file)
    head, _, arrays = content.partition(b"\n")
    state = parse_json(head.decode(), file)
    if not isinstance(state, dict):
        raise TypeError(file)
    epoch, step, callbacks = (state.get(name) for name in ("epoch", "step", "callbacks"))
    if not (isinstance(epoch, int) and isinstance(step, int) and isinstance(callbacks, list)):
        raise ValueError(file)
    values = read_whole_npz(io.BytesIO(arrays), file)
    if any(value.dtype.kind not in "biuf" for value in values.values()):  # text, times: no variable holds these
        raise ValueError(file)
    metrics = _taken_metrics(values)
    return Restored(Place(epoch, step), callbacks, metrics), values


def _assign(values: dict[str, np.ndarray], model: keras.Model, file: Path) -> None:
    variables = _variables_of(model)
    there = {name: list(value.shape) for name, value in values.items()}
    here = {name: list(variable.shape) for name, variable in variables.items()}
    differing = sorted(name for name in there | here if there.get(name) != here.get(name))
    if differing:
        raise UserError(
            f"{file} is of a model with other variables (the first that differs: {differing[0]}): resume it with the "
            "versions that its config.json names, or start again with --overwrite."
        )
    for name, variable in variables.items():
        variable.assign(values[name])


def _variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights, the seeds and the optimizer's variables of a compiled model, by name.

    A name is the variable's path without the numbers that Keras gives layers as they are made, which another sitting
    would count differently, and its place among those of the same path. Of an optimizer's variable the last part is
    taken, which holds the path of a weight: what stands before depends on who built the optimizer, and when.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    paths = [(variable.path, variable) for variable in model.variables]
    paths += [(f"optimizer/{variable.path.split('/')[-1]}", variable) for variable in model.optimizer.variables]
    named, counts = {}, Counter[str]()
    for path, variable in paths:
        name = _AUTOMATIC_NUMBER.sub("", path)
        counts[name] += 1
        named[f"{name}:{counts[name]}"] = variable
    return named


def _state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    values = {name: getattr(callback, name) for name in _CALLBACK_STATE if hasattr(callback, name)}
    return {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
