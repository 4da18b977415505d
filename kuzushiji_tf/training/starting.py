"""What a run starts from instead of random weights: those of a trained recognizer of the same model (fine-tuning)."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.loading import load_keras
from kuzushiji_tf.models.neighbors import is_neighbors
from kuzushiji_tf.training.networks import describe_network, find_network


@dataclass(frozen=True, eq=False)
class Start:
    """The weights of a run before its first step.

    Attributes:
        weights: of every layer, in the order of `keras.Model.get_weights`.
        description: what the run's config.json and the card say of where they come from.
    """

    weights: list[np.ndarray]
    description: dict[str, Any]


def find_start(config: TrainingConfig, dataset: CharacterDataset) -> Start | None:
    """Return the weights that `config.initial_weights` names, as a run on a data set starts from; None: random ones.

    The classifier's are carried over by character: a class that the source lacks begins as it would without a source.

    Raises:
        MissingFileError: there is no recognizer there.
        UserError: it is not a network, or one of another architecture.
    """
    path = config.initial_weights
    if path is None:
        if config.freeze:
            raise UserError("freeze keeps the layers of another recognizer: name it as initial_weights.")
        return None
    if is_neighbors(config.model):
        raise UserError(f"{config.model} has no weights to start from: leave initial_weights out.")
    source = find_network(path, "The source of the initial weights")
    model = build_model(
        config.model, dataset.image_size, len(dataset.classes), config.seed, architecture=config.architecture
    )
    weights = _carried_over(load_keras(source.path), source.labels, model, dataset.classes, path)
    carried = sum(character in source.labels for character in dataset.classes)
    counts = {"classes": len(source.labels), "classes_carried_over": carried}
    return Start(weights, {**describe_network(source.path), **counts})


def _carried_over(
    source: keras.Model, source_labels: Labels, model: keras.Model, labels: Labels, path: str
) -> list[np.ndarray]:
    """Return a new model's weights with the source's in their places."""
    classifier = [id(weight) for weight in model.layers[-1].weights]
    if labels != source_labels and not classifier:
        raise UserError(
            f"{model.name} has no last layer that could take over single classes from {path}: choose a recognizer of "
            "the same classes, or leave initial_weights out."
        )
    weights = []
    # Most layers are numbered by Keras as they are made, so that only their order is the same in both.
    for there, here in zip_longest(source.weights, model.weights):
        by_class = here is not None and id(here) in classifier
        if not _fits(there, here, by_class):
            shapes = ["none" if weight is None else list(weight.shape) for weight in (there, here)]
            layer = (here if there is None else there).path
            raise UserError(
                f"The weights of {path} do not fit this {model.name} (the first that differ: {layer}, {shapes[0]} "
                f"there and {shapes[1]} here): choose a recognizer of the same model, architecture and image size, or "
                "leave initial_weights out."
            )
        value, trained = keras.ops.convert_to_numpy(here).copy(), keras.ops.convert_to_numpy(there)
        if by_class:
            known = [index for index, character in enumerate(labels) if character in source_labels]
            value[..., known] = trained[..., [source_labels.index_of(labels[index]) for index in known]]
        else:
            value = trained
        weights.append(value)
    return weights


def _fits(there: keras.Variable | None, here: keras.Variable | None, by_class: bool) -> bool:
    """Return whether a weight can take another's place; `by_class`: the last axis, that of classes, may differ."""
    if there is None or here is None:
        return False
    shapes = [weight.shape[:-1] if by_class else weight.shape for weight in (there, here)]
    return shapes[0] == shapes[1] and there.name == here.name
