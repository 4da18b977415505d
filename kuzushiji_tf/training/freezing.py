"""Layers that a run leaves as the initial weights have them, chosen by name."""

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

import keras

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import MIXABLE

_AUTOMATIC_NUMBER = re.compile(r"_\d+$")
_SHOWN = 3  # names in the sentence that refuses a pattern


def freeze(recognizer: keras.Model, patterns: Sequence[str]) -> None:
    """Keep layers from learning; batch normalization among them keeps its statistics, too.

    Args:
        recognizer: whose last layer, the classifier, learns in any case.
        patterns: of names as `layer_names` gives them, such as `stage1/*`; `*` leaves the classifier alone to learn.

    Raises:
        UserError: a pattern fits no layer with weights, or nothing is left that learns.
    """
    names = layer_names(recognizer)
    for pattern in patterns:
        chosen = [layer for layer, name in names.items() if fnmatchcase(name, pattern)]
        if not chosen:
            known = list(names.values())
            some = ", ".join(known[:_SHOWN]) + (f", ... {known[-1]}" if len(known) > _SHOWN else "")
            raise UserError(f"freeze has {pattern!r}, which fits no layer of {recognizer.name} ({some}).")
        for layer in chosen:
            layer.trainable = False
    if patterns and not recognizer.trainable_weights:
        raise UserError(f"{recognizer.name} has no classifier that could be trained alone: freeze fewer of its layers.")


def layer_names(recognizer: keras.Model) -> dict[keras.layers.Layer, str]:
    """Return the layers with weights but the last one, in order, with names that are the same in every process.

    A name is `stage<number>/<kind>_<number>`: a stage ends with a layer that all paths go through (`mixable_<number>`,
    see `models.mixing`), and within it layers of a kind are counted. A layer that its model gave a name keeps that in
    place of kind and number.
    """
    names, counts, stage = {}, Counter[str](), 1
    for layer in recognizer.layers[:-1]:
        kind = _AUTOMATIC_NUMBER.sub("", layer.name)
        is_automatic = kind.replace("_", "") == type(layer).__name__.lower()
        counts[kind] += 1
        if layer.weights:
            names[layer] = f"stage{stage}/{f'{kind}_{counts[kind]}' if is_automatic else layer.name}"
        if layer.name.startswith(MIXABLE):
            stage, counts = stage + 1, Counter()
    return names
