"""The decoder of Sketch-RNN: from a latent vector, a drawing point by point (Ha and Eck 2017, sections 3.2 and 3.3).

A step's output is one vector of parameters, as `steps` takes it apart.
"""

from types import ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from kuzushiji_tf.models.building import Seeds
from kuzushiji_tf.transfer.config import Sketch
from kuzushiji_tf.transfer.gaussians import LATENT
from kuzushiji_tf.transfer.glimpses import CANVAS, Glimpse
from kuzushiji_tf.transfer.lstm import ConditionedLSTM
from kuzushiji_tf.transfer.modern import IMAGE_SIZE
from kuzushiji_tf.transfer.sequences import START
from kuzushiji_tf.transfer.steps import PEN_STATES, log_density

_ROW = 2 + PEN_STATES
_LOOKS = "look_1", "look_2"  # names of the layers between z and all that it conditions, where there are any
_SEES = "see_1", "see_2"  # names of the layers that understand what is seen
_POSITION_SCALE = 0.3  # of what the layers are given: brings positions, in standard deviations of offsets, to about 1


def build_decoder(config: Sketch, latent: int = LATENT, seed: int = 0, scale: float = 1.0) -> keras.Model:
    """Return a new decoder; 1,324,667 parameters by default, which is the published one.

    Its inputs are `z`, float32 `[batch, latent]`, and `previous`, float32 `[batch, t, 5]`: the row before each one
    that is to be predicted (`previous_rows`); with `glimpse_units` also `ink`, float32 `[batch, 64, 64, 1]`, 0..1: the
    image that z stands for. Its output is float32 `[batch, t, 3 + 6 * mixtures]`.

    All of it computes in float32: the cell's state adds up over a hundred steps.

    Args:
        config: its units, mixtures, layer normalization and recurrent dropout, and three kinds of hidden layers.
            `latent_units`: two layers between z and all that it conditions; what of a code of images concerns a stroke
            is no linear function of it, and an LSTM takes long to find it. `glimpse_units`: two layers, the first twice
            as wide, that see the image around the pen (`glimpses.Glimpse`) and where that is; the ink to follow need
            not be remembered then. `output_units`: one over z, what was seen and the LSTM's output, beside which it
            stands before the step's parameters.
        latent: dimensions of z.
        seed: of the initial weights and of the dropout.
        scale: by which the rows' offsets were divided; of use to glimpses alone.
    """
    seeds = Seeds(seed)
    inputs = {"z": keras.Input((latent,), name="z"), "previous": keras.Input((None, _ROW), name="previous")}
    looked, rows = inputs["z"], inputs["previous"]
    for name in _LOOKS if config.latent_units else ():
        looked = layers.Dense(config.latent_units, activation="relu", kernel_initializer=seeds.he_normal(), name=name)(
            looked
        )
    if config.glimpse_units:
        inputs["ink"] = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="ink")
        see = [
            layers.Dense(wide, activation="relu", kernel_initializer=seeds.he_normal(), name=name)
            for name, wide in zip(_SEES, (2 * config.glimpse_units, config.glimpse_units), strict=True)
        ]
        canvas = _to_canvas(inputs["ink"])
        glimpse, positions = Glimpse(scale, name="glimpse"), ops.cumsum(rows[..., :2], axis=1)
        rows, _ = _with_glimpses(glimpse, see, rows, _Sight(canvas, ops.zeros_like(canvas), positions, _pen(rows)))
    hidden, cell = (
        layers.Dense(
            config.units,
            activation="tanh",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001, seed=seeds.draw()),
            name=name,
        )(looked)
        for name in ("start_hidden", "start_cell")
    )
    lstm = ConditionedLSTM(
        rows.shape[-1], config.units, config.layer_norm, config.recurrent_dropout, seeds.draw(), name="lstm"
    )
    outputs = lstm(rows, looked, hidden, cell)
    if config.output_units:
        of_steps, of_latent = (
            layers.Dense(config.output_units, use_bias=use_bias, kernel_initializer=seeds.he_normal(), name=name)
            for name, use_bias in (("output_of_steps", True), ("output_of_latent", False))
        )
        outputs = _with_hidden_layer(of_steps, of_latent, outputs, rows[..., _ROW:], looked)
    parameters = layers.Dense(
        PEN_STATES + 6 * config.mixtures, kernel_initializer=seeds.glorot_uniform(), name="parameters"
    )
    return keras.Model(inputs, parameters(outputs), name="sketch_decoder")


def build_start(decoder: keras.Model) -> keras.Model:
    """Return the decoder's beginning, sharing its weights.

    From `z`, and `ink` if the decoder sees it, it makes the states of the first step: `hidden` and `cell`
    `[batch, units]`, and for a decoder that sees `position` `[batch, 2]`, `pen` `[batch, 1]`, `drawn` and `canvas`,
    which steps do not change, `[batch, CANVAS, CANVAS]`.
    """
    inputs = {name: keras.Input(given.shape[1:], name=name) for name, given in decoder.input.items()}
    del inputs["previous"]
    looked = _look(decoder, inputs["z"])
    outputs = {name: decoder.get_layer(f"start_{name}")(looked) for name in ("hidden", "cell")}
    if "ink" in inputs:
        outputs["canvas"] = _to_canvas(inputs["ink"])
        outputs["drawn"] = ops.zeros_like(outputs["canvas"])
        outputs["pen"] = ops.zeros_like(inputs["z"][:, :1]) - 1
        outputs["position"] = ops.zeros_like(ops.repeat(outputs["pen"], 2, axis=1))
    return keras.Model(inputs, outputs, name="sketch_start")


def build_step(decoder: keras.Model) -> keras.Model:
    """Return one step of the decoder, sharing its weights.

    Its inputs are `z` `[batch, latent]`, `previous` `[batch, 5]` and the states that `build_start` says; its outputs
    `parameters` `[batch, 3 + 6 * mixtures]` and the next states, but for what does not change.
    """
    lstm, named = decoder.get_layer("lstm"), {layer.name: layer for layer in decoder.layers}
    shapes = {"z": decoder.input["z"].shape[1:], "previous": (_ROW,), "hidden": (lstm.units,), "cell": (lstm.units,)}
    if "ink" in decoder.input:
        shapes |= {"position": (2,), "pen": (1,), "drawn": (CANVAS, CANVAS), "canvas": (CANVAS, CANVAS)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    looked, rows = _look(decoder, inputs["z"]), inputs["previous"][:, None]
    outputs: dict[str, Any] = {}
    if "ink" in decoder.input:
        position = inputs["position"] + inputs["previous"][:, :2]
        sight = _Sight(inputs["canvas"], inputs["drawn"], position[:, None], inputs["pen"])
        rows, drawn = _with_glimpses(named["glimpse"], [named[name] for name in _SEES], rows, sight)
        # Before the first point, after which it counts, the pen is nowhere.
        pen = ops.minimum(inputs["pen"] + 1, 1.0) * inputs["previous"][:, 2:3]
        outputs |= {"position": position, "pen": pen, "drawn": drawn}
    hidden, cell = lstm.step(rows[:, 0], looked, inputs["hidden"], inputs["cell"])
    shown = hidden
    if "output_of_steps" in named:
        of_steps, of_latent = named["output_of_steps"], named["output_of_latent"]
        shown = _with_hidden_layer(of_steps, of_latent, hidden[:, None], rows[..., _ROW:], looked)[:, 0]
    outputs |= {"parameters": named["parameters"](shown), "hidden": hidden, "cell": cell}
    return keras.Model(inputs, outputs, name="sketch_step")


def _look(decoder: keras.Model, z: Any) -> Any:
    """Return what a decoder makes of z before it conditions anything."""
    for layer in decoder.layers:
        if layer.name in _LOOKS:
            z = layer(z)
    return z


def _to_canvas(ink: Any) -> Any:
    """Return what is looked at of images `[batch, 64, 64, 1]`: `[batch, CANVAS, CANVAS]`."""
    return ops.squeeze(ops.average_pool(ink, IMAGE_SIZE // CANVAS), axis=-1)


def _pen(previous: Any) -> Any:
    """Return what a pen did on its way to each of the rows before a drawing's, as `Glimpse` takes it: `[batch, t]`."""
    was_down = ops.pad(previous[:, :-1, 2], ((0, 0), (1, 0)))
    # The first row stands before the first point, to which nothing is drawn.
    steps = ops.cumsum(ops.ones_like(was_down), axis=1)
    return was_down - ops.cast(steps < 3, "float32")


class _Sight(NamedTuple):
    """What `Glimpse` takes beside offsets."""

    canvas: Any
    drawn: Any
    positions: Any
    pen: Any


def _with_glimpses(glimpse: Glimpse, see: list[layers.Layer], previous: Any, sight: _Sight) -> tuple[Any, Any]:
    """Return rows `[batch, t, 5]` with their positions and what is seen there, `[batch, t, 7 + glimpse_units]`.

    Also what is drawn in the end, as `Glimpse` returns it.
    """
    seen, drawn = glimpse(sight.canvas, sight.drawn, previous[..., :2], sight.positions, sight.pen)
    rows = ops.concatenate([previous, _POSITION_SCALE * sight.positions], axis=-1)
    understood = ops.concatenate([rows, seen], axis=-1)
    for layer in see:
        understood = layer(understood)
    return ops.concatenate([rows, understood], axis=-1), drawn


def _with_hidden_layer(of_steps: layers.Layer, of_latent: layers.Layer, outputs: Any, seen: Any, looked: Any) -> Any:
    """Return outputs `[batch, t, units]` and beside them a hidden layer over them, what was seen, if any, and z."""
    known = ops.concatenate([outputs, seen], axis=-1) if seen.shape[-1] else outputs
    hidden = of_steps(known) + of_latent(looked)[:, None]
    return ops.concatenate([outputs, ops.relu(hidden)], axis=-1)


def previous_rows(rows: Any, ops: ModuleType = np) -> Any:
    """Return the row before each of stroke-5 rows `[n, t, 5]`, the first after `START`: what the decoder is given."""
    start = ops.broadcast_to(np.array(START, np.float32), (rows.shape[0], 1, _ROW))
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

    def __init__(self, **kwargs):
        super().__init__(**({"name": "sketch_loss"} | kwargs))

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


def compile_sketch(decoder: keras.Model, config: Sketch, jit: bool = False) -> keras.Model:
    """Compile a decoder of `build_decoder` for batches ({z, previous}, rows) as its authors did; returns it.

    Args:
        config: its learning rate, as `DecayToFloor` lowers it, and the clipping of gradients.
        jit: compile the step with XLA; on processors the loop is then slower.
    """
    rate = DecayToFloor(config.learning_rate, config.minimum_rate, config.decay)
    optimizer = keras.optimizers.Adam(rate, clipvalue=config.clip)
    decoder.compile(optimizer=optimizer, loss=SketchLoss(), metrics=[offset_loss, pen_loss], jit_compile=jit)
    return decoder
