"""An LSTM that looks at a latent vector in every step, with layer normalization and recurrent dropout."""

from typing import Any

import keras
from keras import layers, ops

from kuzushiji_tf.models.building import Seeds

FORGET_BIAS = 1.0  # added to the forget gate, so that a new network remembers (Jozefowicz et al. 2015)

_EPSILON = 1e-3  # of the normalization, as in Sketch-RNN's code


@keras.saving.register_keras_serializable("kuzushiji_tf")
class LayerNormLSTMCell(layers.Layer):
    """One step of an LSTM whose four gates and cell are each normalized over the units (Ba et al. 2016, section 3.1).

    Inputs: float32 `[batch, features]`; after these may stand `units` columns by which the candidates are multiplied,
    which is recurrent dropout without loss of memory (Semeniuta et al. 2016, equation 9). States: hidden and cell,
    `[batch, units]`, and context, `[batch, 4 * units]`: what the gates are given in every step.

    Args:
        features: columns of the input that are multiplied with the kernel.
        units: of each gate, of the cell and of the output.
        layer_norm: normalize; without it the context should bring a bias.
        seed: of the initial weights.
    """

    def __init__(self, features: int, units: int, layer_norm: bool = True, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.features, self.units, self.layer_norm, self.seed = features, units, layer_norm, seed
        self.state_size, self.output_size = [units, units, 4 * units], units

    def build(self, input_shape):  # noqa: ARG002  Keras's signature
        """Make the weights: one kernel for the input and the hidden state, gains and shifts."""
        self.kernel = self.add_weight((self.features + self.units, 4 * self.units), self._initial_kernel, name="kernel")
        if self.layer_norm:
            self.gate_gain = self.add_weight((4, self.units), "ones", name="gate_gain")
            self.gate_shift = self.add_weight((4, self.units), "zeros", name="gate_shift")
            self.cell_gain = self.add_weight((self.units,), "ones", name="cell_gain")
            self.cell_shift = self.add_weight((self.units,), "zeros", name="cell_shift")

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Return the output `[batch, units]` and the next states."""
        hidden, cell, context = states
        # One product for the input and the state: an input's few columns cost next to nothing in it.
        gates = ops.matmul(ops.concatenate([inputs[:, : self.features], hidden], axis=1), self.kernel) + context
        gates = ops.reshape(gates, (-1, 4, self.units))
        if self.layer_norm:
            gates = _normalized(gates, self.gate_gain, self.gate_shift)
        entering, candidate, forgetting, leaving = (gates[:, gate] for gate in range(4))
        candidate = ops.tanh(candidate)
        if inputs.shape[1] > self.features:
            candidate *= inputs[:, self.features :]
        cell = cell * ops.sigmoid(forgetting + FORGET_BIAS) + ops.sigmoid(entering) * candidate
        shown = _normalized(cell, self.cell_gain, self.cell_shift) if self.layer_norm else cell
        hidden = ops.tanh(shown) * ops.sigmoid(leaving)
        return hidden, [hidden, cell, context]

    def get_config(self):
        """Return what the cell is made from."""
        own = {"features": self.features, "units": self.units, "layer_norm": self.layer_norm, "seed": self.seed}
        return super().get_config() | own

    def _initial_kernel(self, shape: tuple[int, int], dtype: Any = None) -> Any:
        """Return uniform weights for the input and, for the hidden state, an orthogonal matrix for each gate."""
        seeds = Seeds(self.seed)
        of_input = seeds.glorot_uniform()((self.features, shape[1]), dtype)
        of_gates = [keras.initializers.Orthogonal(seed=seeds.draw())((self.units,) * 2, dtype) for _ in range(4)]
        return ops.concatenate([of_input, ops.concatenate(of_gates, axis=1)], axis=0)


@keras.saving.register_keras_serializable("kuzushiji_tf")
class ConditionedLSTM(layers.Layer):
    """An LSTM over rows `[batch, t, features]`, given a vector z `[batch, latent]` in every step.

    Giving z in every step is adding its product with a matrix to the gates, the same in each: `condition` makes it
    once a drawing. Further inputs are the first states, `[batch, units]`; the output is `[batch, t, units]`.

    Args:
        features, units, layer_norm: as `LayerNormLSTMCell`.
        recurrent_dropout: chance of a candidate to be dropped, in training only.
        seed: of the initial weights and of the dropout.
    """

    def __init__(
        self,
        features: int,
        units: int,
        layer_norm: bool = True,
        recurrent_dropout: float = 0.0,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.features, self.units, self.layer_norm = features, units, layer_norm
        self.recurrent_dropout, self.seed = recurrent_dropout, seed
        seeds = Seeds(seed)
        self.loop = layers.RNN(
            LayerNormLSTMCell(features, units, layer_norm, seeds.draw(), name="lstm_cell"),
            return_sequences=True,
            name="loop",
        )
        self.condition = layers.Dense(
            4 * units, use_bias=not layer_norm, kernel_initializer=seeds.glorot_uniform(), name="condition"
        )
        self.random = keras.random.SeedGenerator(seeds.draw())

    def build(self, rows_shape, z_shape, hidden_shape, cell_shape):  # noqa: ARG002  Keras goes by these names
        """Make the weights."""
        self.condition.build(z_shape)
        self.loop.build(rows_shape)

    def call(self, rows: Any, z: Any, hidden: Any, cell: Any, training: bool = False) -> Any:
        """Return the outputs of all steps, `[batch, t, units]`."""
        if training and self.recurrent_dropout:
            ones = ops.ones_like(rows[..., :1]) * ops.ones(self.units)
            kept = keras.random.dropout(ones, self.recurrent_dropout, seed=self.random)
            rows = ops.concatenate([rows, kept], axis=-1)
        return self.loop(rows, initial_state=[hidden, cell, self.condition(z)])

    def step(self, row: Any, z: Any, hidden: Any, cell: Any) -> tuple[Any, Any]:
        """Return the next hidden and cell state `[batch, units]` after one row `[batch, features]`."""
        _, (hidden, cell, _) = self.loop.cell(row, [hidden, cell, self.condition(z)])
        return hidden, cell

    def get_config(self):
        """Return what the layer is made from."""
        own = {
            "features": self.features,
            "units": self.units,
            "layer_norm": self.layer_norm,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }
        return super().get_config() | own


def _normalized(values: Any, gain: Any, shift: Any) -> Any:
    """Return values with mean 0 and variance 1 over the last axis, then scaled and shifted."""
    centered = values - ops.mean(values, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    return centered * ops.rsqrt(variance + _EPSILON) * gain + shift
