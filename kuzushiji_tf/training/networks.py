"""The trained network that a run needs besides its own: a teacher, or the weights that it starts from."""

from pathlib import Path

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor


def find_network(path: str, role: str) -> Predictor:
    """Return the recognizer of a `.keras` file.

    Args:
        path: its work directory, its exported folder or the file itself.
        role: what it is for the run; begins the sentence of an error.

    Raises:
        MissingFileError: there is no recognizer there.
        UserError: it is not a network.
    """
    is_exported = (Path(path) / CARD).exists()
    found = load_predictor(path, "keras" if is_exported else None)
    if found.path.suffix != ".keras":
        raise UserError(f"{role} {path} is not a Keras model: choose a run with a network, or a .keras file.")
    return found


def describe_network(file: Path) -> dict[str, str]:
    """Return what a run's config.json says of such a file."""
    return {"path": str(file), "sha256": content_sha256(file)}
