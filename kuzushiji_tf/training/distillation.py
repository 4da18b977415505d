"""The teacher of a run: a trained recognizer whose probabilities it learns beside the labels."""

from pathlib import Path

import keras

from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.recognition.predictors import load_predictor


def find_teacher(path: str, dataset: CharacterDataset) -> Path:
    """Return the `.keras` file of a recognizer that can teach a run on a data set.

    Args:
        path: its work directory, its exported folder or the file itself.
        dataset: what the run is trained on.

    Raises:
        MissingFileError: there is no recognizer there.
        UserError: it is no network, or takes other images or tells other classes apart than the data set's.
    """
    is_exported = (Path(path) / CARD).exists()
    teacher = load_predictor(path, "keras" if is_exported else None)
    if teacher.path.suffix != ".keras":
        raise UserError(f"The teacher {path} is no Keras model: choose a run with a network, or a .keras file.")
    if teacher.image_size != dataset.image_size:
        sizes = ["x".join(map(str, size)) for size in (teacher.image_size, dataset.image_size)]
        raise UserError(
            f"The teacher {path} takes images of {sizes[0]} pixels, and those of {dataset.name} have {sizes[1]}: "
            "choose one that was trained on them."
        )
    if teacher.labels != dataset.classes:
        raise UserError(
            f"The teacher {path} does not tell the {len(dataset.classes)} classes of {dataset.name} apart: choose one "
            "that was trained on them."
        )
    return teacher.path


def describe_teacher(file: Path) -> dict[str, str]:
    """Return what a run's config.json says of its teacher."""
    return {"path": str(file), "sha256": content_sha256(file)}


def load_teacher(file: Path) -> keras.Model:
    """Load what `find_teacher` found; it ends in probabilities."""
    return with_probabilities(load_keras(file))
