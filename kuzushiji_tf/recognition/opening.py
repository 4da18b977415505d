"""A recognizer's file becomes a function from images to probabilities; each kind of file in its own way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.errors import UserError, reason_of
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.runtime import extra_needed, native_notes_hidden


@dataclass(frozen=True)
class Opened:
    """What a file computes.

    Attributes:
        image_size: height and width in pixels; None where it takes images of any size.
        classes: how many it tells apart.
        run: uint8 `[n, h, w]` -> float32 probabilities `[n, classes]`.
    """

    image_size: tuple[int, int] | None
    classes: int
    run: Callable[[np.ndarray], np.ndarray]


def open_file(path: Path, num_threads: int) -> Opened:
    """Open a `.tflite` file, a SavedModel, or a `.keras` or `.npz` file; the last three need the extra `train`.

    Raises:
        MissingExtraError: it is not installed.
        UserError: the file is damaged, or no recognizer.
    """
    if path.suffix == ".tflite":
        lite = LiteRTModel(path, num_threads)
        return Opened(lite.image_size, lite.classes, lite.predict)
    with extra_needed(), native_notes_hidden():
        if path.is_dir():
            return _open_saved_model(path)
        if path.suffix == ".npz":
            from kuzushiji_tf.models.neighbors import load_neighbors

            return Opened(*load_neighbors(path))
        return _open_keras(path)


def _open_keras(path: Path) -> Opened:
    from kuzushiji_tf.models.loading import load_keras, with_probabilities

    model = with_probabilities(load_keras(path))

    def run(images: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(images[..., None].astype(np.float32))

    return Opened(model.inputs[0].shape[1:3], model.outputs[0].shape[1], run)


def _open_saved_model(path: Path) -> Opened:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(path)
    except Exception as error:  # noqa: BLE001  protobuf, checkpoint and op-registry errors share no base class
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

    def run(images: np.ndarray, owner: Any = loaded) -> np.ndarray:  # noqa: ARG001
        # The signature does not keep its variables alive; `owner` does.
        (probabilities,) = signature(**{name: tf.cast(images[..., None], spec.dtype)}).values()
        return probabilities.numpy()

    return Opened(image_size, outputs[0].shape[1], run)
