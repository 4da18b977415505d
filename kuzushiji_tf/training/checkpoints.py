"""Saving and restoring a run, so that a resumed one equals one that was never interrupted."""

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_path
from kuzushiji_tf.training.population import measure_population
from kuzushiji_tf.workdirs import CHECKPOINT

_KEPT = 2  # the older one is for when the newer one is damaged
# What the callbacks keep between epochs; Keras's own checkpoints forget it.
_CALLBACK_STATE = ("wait", "best", "best_epoch", "cooldown_counter", "stopped_epoch", "rows")
_DAMAGES = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
_AUTOMATIC_NUMBER = re.compile(r"_\d+(?=[/_]|$)")


def save_checkpoint(model: keras.Model, folder: Path, epoch: int, stateful: Sequence[keras.callbacks.Callback]) -> None:
    """Save a whole run after `epoch` epochs: weights, optimizer, dropout seeds and the state of stateful callbacks.

    One file an epoch: the SHA-256 of what follows, a line of JSON, and all variables as an `.npz`. It is there whole
    before the last but one is removed.

    Raises:
        OSError: it cannot be written; the earlier ones are as they were.
    """
    state = {"epoch": epoch, "callbacks": [_state_of(callback) for callback in stateful]}
    head = json.dumps(state).encode() + b"\n"
    arrays = io.BytesIO()
    np.savez(arrays, **{name: keras.ops.convert_to_numpy(variable) for name, variable in _variables_of(model).items()})
    content = head + arrays.getvalue()  # no view of the buffer: collecting one as garbage crashes Python 3.12.1
    digest = hashlib.sha256(content).hexdigest().encode()
    with atomic_path(folder / CHECKPOINT.format(epoch)) as temporary, open(temporary, "wb") as stream:
        stream.write(digest + b"\n")
        stream.write(content)
    kept = [file for file in _files_in(folder) if _epoch_of(file) <= epoch][:_KEPT]
    for file in _files_in(folder):
        if file not in kept:
            file.unlink()


def load_checkpoint(
    folder: Path,
    model: keras.Model,
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> tuple[int, list[dict[str, Any]] | None]:
    """Restore what `save_checkpoint` saved last into a newly compiled model of the same config.

    Where that is damaged, the one before it is taken.

    Args:
        report: is told so.

    Returns:
        The number of finished epochs, and the state of each stateful callback; 0 and None where nothing was saved.

    Raises:
        UserError: all are damaged, or the model has other variables.
    """
    files = _files_in(folder)
    if not files:
        return 0, None
    for file in files:
        try:
            state, values = _read(file)
        except _DAMAGES:
            continue
        if file != files[0]:
            report(f"{files[0]} is damaged: going on from {file}")
        _assign(values, model, file)
        return state["epoch"], state["callbacks"]
    raise UserError(f"{' and '.join(map(str, files))} are damaged; start again with --overwrite.")


def last_checkpoint(folder: Path) -> str:
    """Return half a sentence that says which checkpoint was saved last."""
    files = _files_in(folder)
    if not files:
        return "no checkpoint was saved"
    epoch = _epoch_of(files[0])
    return f"the last checkpoint, {f'of epoch {epoch}' if epoch else 'from before the first epoch'}, is {files[0]}"


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
    dtype = {"dtype": "float32"} if isinstance(operation, keras.layers.Layer) else {}
    return type(operation).from_config(operation.get_config() | dtype)


def _files_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the last one first."""
    return sorted(folder.glob(CHECKPOINT.format("*")), key=_epoch_of, reverse=True)


def _epoch_of(file: Path) -> int:
    digits = re.sub(r"\D", "", file.stem)
    return int(digits) if digits else -1


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the state and the values of the variables; one of `_DAMAGES` is raised where they are not as saved."""
    digest, _, content = file.read_bytes().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError(file)
    head, _, arrays = content.partition(b"\n")
    with np.load(io.BytesIO(arrays), allow_pickle=False) as values:
        return json.loads(head), dict(values)


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
