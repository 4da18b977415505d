"""Saving and restoring a run, so that a resumed one equals one that was never interrupted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.errors import UserError, reason_of
from kuzushiji_tf.files import atomic_path, write_json
from kuzushiji_tf.training.population import measure_population

# What Keras's EarlyStopping and ReduceLROnPlateau keep between epochs and Keras's own checkpoints forget.
_CALLBACK_STATE = ("wait", "best", "best_epoch", "cooldown_counter", "stopped_epoch")


def save_checkpoint(model: keras.Model, path: Path, epoch: int, stateful: Sequence[keras.callbacks.Callback]) -> None:
    """Save a whole run after `epoch` epochs: weights, optimizer, the state of stateful callbacks and the dropout seeds.

    The state is written first and kept for two epochs; the model file's own step count says which of them holds, so
    a kill between the two writes loses nothing.
    """
    state_file = _state_file(path)
    states = json.loads(state_file.read_text()) if state_file.exists() else {}
    states = {str(epoch - 1): states[str(epoch - 1)]} if str(epoch - 1) in states else {}
    states[str(epoch)] = {
        "iterations": _steps_done(model),
        "callbacks": [_state_of(callback) for callback in stateful],
        "seeds": [keras.ops.convert_to_numpy(variable).tolist() for variable in _seed_variables(model)],
    }
    write_json(state_file, states)
    with atomic_path(path) as temporary:
        model.save(temporary)


def load_checkpoint(path: Path, model: keras.Model) -> tuple[int, list[dict[str, Any]] | None]:
    """Restore what `save_checkpoint` saved into a newly compiled model of the same config.

    Only values are taken from the file: a loaded optimizer would have forgotten which weights do not decay.

    Returns:
        The number of finished epochs, and the state of each stateful callback; 0 and None where nothing was saved.

    Raises:
        UserError: the checkpoint is damaged.
    """
    if not path.exists():
        return 0, None
    try:
        saved = keras.models.load_model(path)
        states = json.loads(_state_file(path).read_text())
    except (OSError, TypeError, ValueError) as error:  # a TypeError is what another version's layers end in
        raise UserError(
            f"The checkpoint {path} cannot be loaded ({reason_of(error)}); start again with --overwrite."
        ) from error
    iterations = _steps_done(saved)
    fitting = [
        (int(epoch), state)
        for epoch, state in states.items()
        if state["iterations"] == iterations and "callbacks" in state
    ]
    if not fitting:
        raise UserError(f"The checkpoint {path} and its state do not fit together; start again with --overwrite.")
    epoch, state = fitting[-1]
    model.set_weights(saved.get_weights())
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, saved.optimizer.variables, strict=True):
        variable.assign(value)
    for variable, value in zip(_seed_variables(model), state["seeds"], strict=True):
        variable.assign(np.asarray(value, variable.dtype))
    return epoch, state["callbacks"]


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


def _steps_done(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))  # under a strategy it is on every device


def _state_file(path: Path) -> Path:
    return path.with_name("state.json")


def _state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    values = {name: getattr(callback, name) for name in _CALLBACK_STATE if hasattr(callback, name)}
    return {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}


def _seed_variables(model: keras.Model) -> list[keras.Variable]:
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]
