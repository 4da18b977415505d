"""Keras files of recognizers: loaded without running what they hold, and ended in probabilities."""

import zipfile
from pathlib import Path

import keras

from kuzushiji_tf.datasets.archives import DAMAGE, require_no_bomb
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.files import LARGEST_TEXT

PROBABILITIES = "probabilities"  # the name of a last layer whose outputs need no softmax


def open_keras(path: str | Path, advice: str) -> keras.Model:
    """Load any model from a `.keras` file, without its optimizer.

    Code is never run: a file with Python functions in it is refused, and so is any other format, HDF5 among them,
    which Keras would take by its name.

    Args:
        advice: the end of the sentence that says that it cannot be loaded.

    Raises:
        UserError: it cannot.
    """
    _require_archive(Path(path), advice)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001  zip, JSON, HDF5 and deserialization each raise their own
        if "safe_mode" in str(error):
            raise UserError(f"{path} holds a Python function, which is never run: build the model without.") from None
        raise UserError(f"{path} is not a .keras file that can be loaded ({reason_of(error)}); {advice}.") from None


def _require_archive(path: Path, advice: str) -> None:
    """Refuse what is no `.keras` archive, and one that would unpack to more than it should."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGE:
        entries = []
    if path.suffix != ".keras" or not entries:
        raise UserError(f"{path} is not a .keras file that can be loaded (it is no such archive); {advice}.")
    for entry in entries:
        require_no_bomb(entry, path)
        if entry.filename.endswith(".json") and entry.file_size > LARGEST_TEXT:
            raise UserError(f"{path} describes its layers in more than {LARGEST_TEXT >> 20} MiB, as no model does.")


def load_keras(path: str | Path) -> keras.Model:
    """Load a functional Keras model with one gray image input and one row of outputs, without its optimizer.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable `.keras` file, or a model of another form.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"There is no file {path}.")
    if Path(path).suffix == ".npz":
        raise UserError(
            f"{path} is a nearest-neighbor model: it keeps all its training images and is neither exported nor part "
            "of an ensemble; choose a run with a network."
        )
    model = open_keras(path, "train or export it again")
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; a recognizer has one of each.")
    shape, output = inputs[0].shape, outputs[0].shape
    if len(shape) != 4 or shape[3] != 1 or None in shape[1:] or len(output) != 2 or output[1] is None:
        raise UserError(
            f"{path} maps {list(shape)} to {list(output)}; a recognizer maps gray images [n, h, w, 1] to [n, classes]."
        )
    return model


def with_probabilities(model: keras.Model, temperature: float = 1.0) -> keras.Model:
    """Return a model that ends in probabilities: the softmax of its logits divided by the temperature.

    The model itself is returned where nothing is to be done: it ends in a softmax and the temperature is 1, or in a
    layer named `probabilities` that is none, as an ensemble does, which has no logits.
    """
    last = model.layers[-1]
    ends_in_softmax = isinstance(last, keras.layers.Softmax)
    is_activated = getattr(last, "activation", None) is keras.activations.softmax
    if not ends_in_softmax and not is_activated and last.name == PROBABILITIES:
        return model
    if (ends_in_softmax or is_activated) and temperature == 1:
        return model
    logits = model.outputs[0]
    if ends_in_softmax:
        logits = last.input
    elif is_activated:
        linear = type(last).from_config(last.get_config() | {"activation": "linear"})
        logits = linear(last.input)
        linear.set_weights(last.get_weights())
    if temperature != 1:
        logits = keras.layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)
    return keras.Model(model.inputs, keras.layers.Softmax(name=PROBABILITIES)(logits), name=model.name)
