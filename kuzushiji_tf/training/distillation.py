"""The teacher of a run: a trained recognizer whose probabilities it learns beside the labels."""

from pathlib import Path

import keras

from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.training.matching import difference
from kuzushiji_tf.training.networks import find_network


def find_teacher(path: str, dataset: CharacterDataset) -> Path:
    """Return the `.keras` file of a recognizer that can teach a run on a data set.

    Args:
        path: as `networks.find_network` takes it.
        dataset: what the run is trained on.

    Raises:
        MissingFileError: there is no recognizer there.
        UserError: it is not a network, or takes other images or tells other classes apart than the data set's.
    """
    teacher = find_network(path, "The teacher")
    differing = difference(teacher.labels, teacher.image_size, dataset.classes, dataset.image_size)
    if differing:
        raise UserError(
            f"The teacher {path} does not fit the data set {dataset.name} ({differing}): choose one that was trained "
            "on it."
        )
    return teacher.path


def load_teacher(file: Path) -> keras.Model:
    """Load what `find_teacher` found; it ends in probabilities."""
    return with_probabilities(load_keras(file))
