"""One interface over a trained or exported recognizer, whatever kind of file holds it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.registry import ink_of
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of, unknown_name
from kuzushiji_tf.recognition import embedded_card
from kuzushiji_tf.recognition.embedded_card import CARD, LABELS
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.workdirs import WorkDirectory

BATCH_SIZE = 256

# What an exported folder holds: short name -> file or folder.
EXPORTED_FILES = {
    "float32": "model-float32.tflite",
    "float16": "model-float16.tflite",
    "int8": "model-int8.tflite",
    "keras": "model.keras",
    "saved_model": "saved_model",
}
PROBABILITIES = "probabilities"  # the name of a last layer whose outputs need no softmax
NEIGHBORS = ".npz"  # the suffix of a model that keeps its training images


@dataclass(frozen=True, eq=False)
class Predictor:
    """A recognizer that is ready to run.

    Attributes:
        path: the file (or SavedModel folder) that runs.
        labels: its classes.
        image_size: height and width of the images that it takes, in pixels.
        normalization: how an image of another size is brought to `image_size`: `none` (its whole area is resized) or
            `ink-box` (the box around the ink is); see `normalization.fit_image`.
        run: uint8 `[n, h, w]` -> float32 probabilities `[n, classes]`, for a batch of any length.
    """

    path: Path
    labels: Labels
    image_size: tuple[int, int]
    normalization: str
    run: Callable[[np.ndarray], np.ndarray]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities `[n, classes]` of uint8 images `[n, h, w]`, ink white on black.

        Raises:
            UserError: images of another type or size, or the file returns something else than probabilities.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_size:
            wanted = f"uint8 [n, {self.image_size[0]}, {self.image_size[1]}]"
            raise UserError(f"{self.path} takes images {wanted}, not {images.dtype} {list(images.shape)}.")
        probabilities = np.empty((len(images), len(self.labels)), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            probabilities[start : start + BATCH_SIZE] = self.run(images[start : start + BATCH_SIZE])
        if not np.all((probabilities > -0.01) & (probabilities < 1.01)):
            raise UserError(f"{self.path} returns values outside 0..1; export it so that it ends in a softmax.")
        return probabilities


def load_predictor(
    path: str | Path, file: str | None = None, labels: Labels | None = None, num_threads: int = 1
) -> Predictor:
    """Load a recognizer: a work directory, an exported or SavedModel folder, a `.keras`, `.tflite` or `.npz` file.

    Args:
        path: the folder or file.
        file: in a work directory `final` (default) or `best`; in an exported folder `float32`, `float16`, `int8`,
            `keras` or `saved_model` (default: the first of them that it has).
        labels: the classes; None reads the `labels.txt` beside the file, or, where there is none, inside it.
        num_threads: threads of LiteRT for one image.

    Raises:
        MissingFileError: the folder or file is not there.
        UserError: it is not a recognizer, it is damaged, or its classes are unknown or of another number.
    """
    found = _locate(Path(path), file)
    labels = labels or _read_labels(found)
    image_size, classes, run = _open(found.path, num_threads)
    if image_size is None:
        raise UserError(f"{found.path} takes images of any size and does not say which fits; use a file of fixed size.")
    if classes != len(labels):
        raise UserError(f"{found.path} tells {classes} classes apart, but its labels name {len(labels)}.")
    return Predictor(found.path, labels, image_size, found.normalization, run)


def read_card(folder: str | Path) -> dict[str, Any]:
    """Return the model card (`model.json`) of an exported folder.

    Raises:
        MissingFileError: it has none.
        UserError: the card is damaged.
    """
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{folder} is no exported folder: it has no {CARD}.") from None
    except (ValueError, RecursionError):
        card = None
    if not embedded_card.is_card(card):
        raise UserError(f"{path} is not the card of an exported recognizer; export it again.")
    return card


def content_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, or of a folder's files in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            if path.is_dir():
                digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(file.read_bytes())
    return digest.hexdigest()


def with_probabilities(model: Any, temperature: float = 1.0) -> Any:
    """Return a Keras model that ends in probabilities: the model itself where it does already.

    It does where its last layer is a softmax, or is named `probabilities`; any other gets a softmax of that name over
    its outputs divided by the temperature.
    """
    import keras

    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    named = last.name == PROBABILITIES
    if named or isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax:
        return model
    logits = model.outputs[0]
    if temperature != 1:
        logits = keras.layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)
    return keras.Model(model.inputs, keras.layers.Softmax(name=PROBABILITIES)(logits), name=model.name)


def load_keras(path: str | Path) -> Any:
    """Load a functional Keras model with one gray image input and one row of outputs, without its optimizer.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable `.keras` file, or a model of another form.
    """
    import keras

    if not Path(path).is_file():
        raise MissingFileError(f"There is no file {path}.")
    if Path(path).suffix == NEIGHBORS:
        raise UserError(
            f"{path} is a nearest-neighbor model: it keeps all its training images and is neither exported nor part "
            "of an ensemble; choose a run with a network."
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zip, JSON, HDF5 and deserialization each raise their own
        reason = reason_of(error)
        raise UserError(
            f"{path} is not a .keras file that can be loaded ({reason}); train or export it again."
        ) from None
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; a recognizer has one of each.")
    shape, output = inputs[0].shape, outputs[0].shape
    if len(shape) != 4 or shape[3] != 1 or None in shape[1:] or len(output) != 2 or output[1] is None:
        raise UserError(
            f"{path} maps {list(shape)} to {list(output)}; a recognizer maps gray images [n, h, w, 1] to [n, classes]."
        )
    return model


@dataclass(frozen=True)
class _Located:
    path: Path
    labels_file: Path
    normalization: str = "none"
    own_labels: Labels | None = None  # from inside the file


def _locate(path: Path, file: str | None) -> _Located:
    if not path.exists():
        raise MissingFileError(f"There is no recognizer at {path}.")
    if path.is_dir() and (path / "config.json").exists():
        return _in_work_directory(path, file or "final")
    if path.is_dir() and (path / CARD).exists():
        return _in_exported_folder(path, file or _first_file(path))
    if file is not None:
        raise UserError(
            f"{path} is neither a work directory nor an exported folder, so no file {file!r} can be chosen."
        )
    if path.is_dir() and not (path / "saved_model.pb").exists():
        raise UserError(f"{path} holds no recognizer: it has no config.json, {CARD} or saved_model.pb.")
    if path.is_file() and path.suffix not in (".keras", ".tflite", NEIGHBORS):
        raise UserError(f"{path} is no recognizer: its name must end in .keras, .tflite or {NEIGHBORS}.")
    siblings = path.resolve().parent
    if (siblings / CARD).exists() and path.name in EXPORTED_FILES.values():
        return _in_exported_folder(path.parent, next(key for key, name in EXPORTED_FILES.items() if name == path.name))
    if path.suffix == ".tflite" and (inside := embedded_card.find(path)):
        labels, card = inside
        return _Located(path, siblings / LABELS, card["input"]["normalization"], labels)
    normalization = _normalization_of(WorkDirectory(siblings)) if (siblings / "config.json").exists() else "none"
    return _Located(path, siblings / LABELS, normalization)


def _in_work_directory(path: Path, file: str) -> _Located:
    workdir = WorkDirectory(path)
    files = {"final": workdir.final, "best": workdir.best}
    if file not in files:
        raise unknown_name("file of a work directory", file, files)
    neighbors = workdir.neighbors
    if file == "final" and neighbors.exists() and not workdir.final.exists():
        return _Located(neighbors, workdir.labels_file, _normalization_of(workdir))
    if not files[file].exists():
        raise MissingFileError(
            f"{path} holds no {files[file].name}; finish it with: python train.py --resume --workdir {path}"
        )
    return _Located(files[file], workdir.labels_file, _normalization_of(workdir))


def _in_exported_folder(folder: Path, file: str) -> _Located:
    if file not in EXPORTED_FILES:
        raise unknown_name("file of an exported folder", file, EXPORTED_FILES)
    card = read_card(folder)
    path = folder / EXPORTED_FILES[file]
    if not path.exists():
        present = ", ".join(key for key, name in EXPORTED_FILES.items() if (folder / name).exists()) or "none"
        raise MissingFileError(f"{folder} holds no {path.name}; the files that it has: {present}.")
    described = card["files"].get(path.name, {}).get("sha256")
    if described is not None and described != content_sha256(path):
        raise UserError(f"{path} is damaged: it is not the file that {folder / CARD} describes; export it again.")
    return _Located(path, folder / LABELS, card["input"]["normalization"])


def _first_file(folder: Path) -> str:
    return next((key for key, name in EXPORTED_FILES.items() if (folder / name).exists()), "float32")


def _normalization_of(workdir: WorkDirectory) -> str:
    """Images drawn from strokes, and so any image given to their models, are normalized by the ink's box."""
    return "none" if ink_of(workdir.config.dataset) == "scanned" else "ink-box"


def _read_labels(found: _Located) -> Labels:
    if not found.labels_file.exists():
        if found.own_labels is not None:
            return found.own_labels
        raise UserError(f"The classes of {found.path} are unknown: put their {LABELS} beside it.")
    return Labels.read(found.labels_file)


def _open(path: Path, num_threads: int) -> tuple[tuple[int, int] | None, int, Callable[[np.ndarray], np.ndarray]]:
    """Return image size (None: any), number of classes and the function from images to probabilities."""
    if path.suffix == ".tflite":
        lite = LiteRTModel(path, num_threads)
        return lite.image_size, lite.classes, lite.predict
    if path.is_dir():
        return _open_saved_model(path)
    if path.suffix == NEIGHBORS:
        from kuzushiji_tf.models.neighbors import load_neighbors

        return load_neighbors(path)
    model = with_probabilities(load_keras(path))

    def run(images: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(images[..., None].astype(np.float32))

    return model.inputs[0].shape[1:3], model.outputs[0].shape[1], run


def _open_saved_model(path: Path) -> tuple[tuple[int, int] | None, int, Callable[[np.ndarray], np.ndarray]]:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(path)
    except Exception as error:  # protobuf, checkpoint and op-registry errors share no base class
        reason = reason_of(error)
        raise UserError(f"{path} is not a SavedModel that can be loaded ({reason}); export it again.") from None
    # A SavedModel of ours has a signature for images that are normalized already; its default one does that itself.
    signature = loaded.signatures.get("normalized") or loaded.signatures.get("serving_default")
    inputs = list(signature.structured_input_signature[1].items()) if signature else []
    outputs = list(signature.structured_outputs.values()) if signature else []
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0][1].shape.rank != 4 or outputs[0].shape.rank != 2:
        raise UserError(f"{path} has no signature serving_default from images [n, h, w, 1] to rows [n, classes].")
    name, spec = inputs[0]
    image_size = None if None in spec.shape[1:3] else tuple(spec.shape[1:3])

    def run(images: np.ndarray, owner: Any = loaded) -> np.ndarray:
        # The signature does not keep its variables alive; `owner` does.
        (probabilities,) = signature(**{name: tf.cast(images[..., None], spec.dtype)}).values()
        return probabilities.numpy()

    return image_size, outputs[0].shape[1], run
