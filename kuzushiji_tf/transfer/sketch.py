"""The decoder of Sketch-RNN: from a latent vector, a drawing point by point (Ha and Eck 2017, sections 3.2 and 3.3).

A step's output is one vector of parameters, as `steps` takes it apart.
"""

from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kuzushiji_tf.models.building import Seeds
from kuzushiji_tf.transfer.gaussians import LATENT
from kuzushiji_tf.transfer.lstm import ConditionedLSTM
from kuzushiji_tf.transfer.sequences import START
from kuzushiji_tf.transfer.steps import PEN_STATES, log_density

UNITS = 512
MIXTURES = 20

_ROW = 2 + PEN_STATES
_LOOKS = "look_1", "look_2"  # names of the layers between z and all that it conditions, where there are any
_STARTS = "start_hidden", "start_cell"  # names of the layers that make the first states


def build_decoder(
    units: int = UNITS,
    mixtures: int = MIXTURES,
    latent: int = LATENT,
    layer_norm: bool = True,
    recurrent_dropout: float = 0.1,
    seed: int = 0,
    latent_units: int = 0,
) -> keras.Model:
    """Return a new decoder; 1,324,667 parameters by default.

    Its inputs are `z`, float32 `[batch, latent]`, and `previous`, float32 `[batch, t, 5]`: the row before each one
    that is to be predicted (`previous_rows`). Its output is float32 `[batch, t, 3 + 6 * mixtures]`.

    All of it computes in float32: the cell's state adds up over a hundred steps, and on processors bfloat16 products
    of this size take as long.

    Args:
        units: of the LSTM.
        mixtures: components of each step's mixture.
        latent: dimensions of z.
        layer_norm: normalize the gates and the cell.
        recurrent_dropout: chance of a candidate of the cell to be dropped in training.
        seed: of the initial weights and of the dropout.
        latent_units: of two hidden layers between z and all that it conditions; 0: none, as published. What of a code
            of images concerns a stroke is no linear function of it, and an LSTM takes long to find it.
    """
    seeds = Seeds(seed)
    z = keras.Input((latent,), name="z")
    looked = z
    for name in _LOOKS if latent_units else ():
        looked = layers.Dense(latent_units, activation="relu", kernel_initializer=seeds.he_normal(), name=name)(looked)
    previous = keras.Input((None, _ROW), name="previous")
    hidden, cell = (
        layers.Dense(
            units,
            activation="tanh",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001, seed=seeds.draw()),
            name=name,
        )(looked)
        for name in _STARTS
    )
    lstm = ConditionedLSTM(_ROW, units, layer_norm, recurrent_dropout, seeds.draw(), name="lstm")
    outputs = lstm(previous, looked, hidden, cell)
    parameters = layers.Dense(PEN_STATES + 6 * mixtures, kernel_initializer=seeds.glorot_uniform(), name="parameters")(
        outputs
    )
    return keras.Model({"z": z, "previous": previous}, parameters, name="sketch_decoder")


def build_start(decoder: keras.Model) -> keras.Model:
    """Return the decoder's beginning, sharing its weights: `z` -> `hidden` and `cell`, `[batch, units]` each."""
    z = keras.Input(decoder.input["z"].shape[1:], name="z")
    looked = _look(decoder, z)
    hidden, cell = (decoder.get_layer(name)(looked) for name in _STARTS)
    return keras.Model({"z": z}, {"hidden": hidden, "cell": cell}, name="sketch_start")


def build_step(decoder: keras.Model) -> keras.Model:
    """Return one step of the decoder, sharing its weights.

    Its inputs are `z` `[batch, latent]`, `previous` `[batch, 5]`, `hidden` and `cell` `[batch, units]`; its outputs
    `parameters` `[batch, 3 + 6 * mixtures]` and the next `hidden` and `cell`.
    """
    lstm = decoder.get_layer("lstm")
    inputs = {
        "z": keras.Input(decoder.input["z"].shape[1:], name="z"),
        "previous": keras.Input((_ROW,), name="previous"),
        "hidden": keras.Input((lstm.units,), name="hidden"),
        "cell": keras.Input((lstm.units,), name="cell"),
    }
    hidden, cell = lstm.step(inputs["previous"], _look(decoder, inputs["z"]), inputs["hidden"], inputs["cell"])
    outputs = {"parameters": decoder.get_layer("parameters")(hidden), "hidden": hidden, "cell": cell}
    return keras.Model(inputs, outputs, name="sketch_step")


def _look(decoder: keras.Model, z: Any) -> Any:
    """Return what a decoder makes of z before it conditions anything."""
    for layer in decoder.layers:
        if layer.name in _LOOKS:
            z = layer(z)
    return z


def previous_rows(rows: Any, ops: ModuleType = np) -> Any:
    """Return the row before each of stroke-5 rows `[n, t, 5]`, the first after `START`: what the decoder is given."""
    start = ops.broadcast_to(np.float32(START), (rows.shape[0], 1, _ROW))
    return ops.concatenate([start, rows[:, :-1]], axis=1)


@keras.saving.register_keras_serializable("kuzushiji_tf")
def offset_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the offsets' negative log-likelihood `[batch]`: of steps before the end, divided by all (equation 9)."""
    shown = _shown(y_true, y_pred)
    before_end = 1 - shown[..., _ROW - 1]
    return -ops.sum(before_end * log_density(y_pred, shown[..., :2], ops), axis=-1) / y_true.shape[1]


@keras.saving.register_keras_serializable("kuzushiji_tf")
def pen_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the cross-entropy of the pen states `[batch]`: the mean over all steps, padding included (equation 9)."""
    log_chances = ops.log_softmax(y_pred[..., :PEN_STATES], axis=-1)
    return -ops.sum(_shown(y_true, y_pred)[..., 2:] * log_chances, axis=(-2, -1)) / y_true.shape[1]


def _shown(y_true: Any, y_pred: Any) -> Any:
    """Return the rows that were predicted: the last ones, of nothing but ends, may have been left out."""
    return y_true[:, : ops.shape(y_pred)[1]]


@keras.saving.register_keras_serializable("kuzushiji_tf")
class SketchLoss(keras.losses.Loss):
    """The reconstruction loss of Sketch-RNN: `offset_loss` plus `pen_loss` (Ha and Eck 2017, equation 9).

    `y_true` holds stroke-5 rows `[batch, t, 5]`, `y_pred` the decoder's output; t is the paper's N_max. An output may
    leave out the last of them, where every drawing has ended: they count as predicted, as they are in the end.
    """

    def __init__(self, **knobs):
        super().__init__(**({"name": "sketch_loss"} | knobs))

    def call(self, y_true, y_pred):
        """Return the loss of each drawing, `[batch]`."""
        return offset_loss(y_true, y_pred) + pen_loss(y_true, y_pred)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class DecayToFloor(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that falls by a constant factor each step, towards a floor and never below it.

    Args:
        initial: the rate of the first step.
        floor: the rate it tends to.
        decay: the factor of what lies above the floor.
    """

    def __init__(self, initial: float, floor: float, decay: float):
        super().__init__()
        self.initial, self.floor, self.decay = initial, floor, decay

    def __call__(self, step):
        """Return the rate of a step, counted from 0."""
        share = ops.exp(ops.cast(step, "float32") * float(np.log(self.decay)))
        return self.floor + (self.initial - self.floor) * share

    def get_config(self):
        """Return what the schedule is made from."""
        return {"initial": self.initial, "floor": self.floor, "decay": self.decay}


def compile_sketch(
    decoder: keras.Model,
    learning_rate: float = 1e-3,
    floor: float = 1e-5,
    decay: float = 0.9999,
    clip: float = 1.0,
    jit: bool = False,
) -> keras.Model:
    """Compile a decoder of `build_decoder` for batches ({z, previous}, rows) as its authors did; returns it.

    Args:
        learning_rate, floor, decay: as `DecayToFloor`.
        clip: no element of a gradient is farther from 0.
        jit: compile the step with XLA; on processors the loop is then slower.
    """
    optimizer = keras.optimizers.Adam(DecayToFloor(learning_rate, floor, decay), clipvalue=clip)
    decoder.compile(optimizer=optimizer, loss=SketchLoss(), metrics=[offset_loss, pen_loss], jit_compile=jit)
    return decoder
