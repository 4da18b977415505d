"""Manifold mixup (Verma et al. 2019): a training graph that mixes pairs of images in a hidden layer."""

from itertools import pairwise

import keras
from keras import ops

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import MIXABLE


def swapped(values: keras.KerasTensor) -> keras.KerasTensor:
    """Return values `[n, ...]` with neighbors in each other's place: 0 and 1, 2 and 3, ...; n is even."""
    pairs = ops.reshape(values, (-1, 2, *values.shape[1:]))
    return ops.reshape(ops.flip(pairs, axis=1), (-1, *values.shape[1:]))


@keras.saving.register_keras_serializable("kuzushiji_tf")
class MixPairs(keras.layers.Layer):
    """Mixes each value with its neighbor's in training: (values `[n, ...]`, shares `[n, layers]`) -> values.

    Args:
        column: of the shares to go by; a share of 1 leaves the value as it is.
    """

    def __init__(self, column: int, **kwargs):
        super().__init__(**kwargs)
        self._column = column

    def call(self, inputs, training=False):
        values, shares = inputs
        if not training:
            return values
        share = ops.reshape(shares[:, self._column], (-1, *(1 for _ in values.shape[1:])))
        return share * values + (1 - share) * swapped(values)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "column": self._column}


def count_mixable(recognizer: keras.Model) -> int:
    """Return how many layers can mix: the input, and those that the model's builder named mixable."""
    return 1 + len(_mixable_layers(recognizer))


def mixing_graph(recognizer: keras.Model) -> keras.Model:
    """Return a training graph over the recognizer's own layers.

    Its inputs are `image` and `shares`, float32 `[n, layers]` (`mixup.mixer`), its output the recognizer's logits.

    Raises:
        UserError: the model has no mixable layer.
    """
    hidden = [layer.output for layer in _mixable_layers(recognizer)]
    if not hidden:
        raise UserError(f"mixing = manifold needs a model with mixable layers; {recognizer.name} has none.")
    borders = [recognizer.input, *hidden, recognizer.output]
    image = keras.Input(recognizer.input.shape[1:], name="image")
    shares = keras.Input((len(borders) - 1,), name="shares")
    x = image
    for column, (start, end) in enumerate(pairwise(borders)):
        # Mixing is cheap; that it is in the precision of its layer keeps a share of 1 exact.
        mixed = MixPairs(column, dtype=keras.DTypePolicy(start.dtype), name=f"mix_{column}")([x, shares])
        x = keras.Model(start, end, name=f"segment_{column}")(mixed)
    return keras.Model({"image": image, "shares": shares}, x, name=recognizer.name)


def _mixable_layers(recognizer: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in recognizer.layers if layer.name.startswith(MIXABLE)]
