"""The teacher of a run: a trained recognizer whose probabilities it learns beside the labels."""

from pathlib import Path

import keras

from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training.matching import difference


def find_teacher(path: str, dataset: CharacterDataset) -> Path:
    """Return the `.keras` file of a recognizer that can teach a run on a data set.

    Args:
        path: its work directory, its exported folder or the file itself.
        dataset: what the run is trained on.

    Raises:
        MissingFileError: there is no recognizer there.
        UserError: it is not a network, or takes other images or tells other classes apart than the data set's.
    """
    is_exported = (Path(path) / CARD).exists()
    teacher = load_predictor(path, "keras" if is_exported else None)
    if teacher.path.suffix != ".keras":
        raise UserError(f"The teacher {path} is not a Keras model: choose a run with a network, or a .keras file.")
    differing = difference(teacher.labels, teacher.image_size, dataset.classes, dataset.image_size)
    if differing:
        raise UserError(
            f"The teacher {path} does not fit the data set {dataset.name} ({differing}): choose one that was trained "
            "on it."
        )
    return teacher.path


def describe_teacher(file: Path) -> dict[str, str]:
    """Return what a run's config.json says of its teacher."""
    return {"path": str(file), "sha256": content_sha256(file)}


def load_teacher(file: Path) -> keras.Model:
    """Load what `find_teacher` found; it ends in probabilities."""
    return with_probabilities(load_keras(file))
