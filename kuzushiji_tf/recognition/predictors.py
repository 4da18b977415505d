"""One interface over a trained or exported recognizer, whatever kind of file holds it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.recognition.locating import locate
from kuzushiji_tf.recognition.opening import open_file

BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class Predictor:
    """A recognizer that is ready to run; threads that share it take turns.

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
    _turn: Lock = field(default_factory=Lock, init=False, repr=False)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities `[n, classes]` of uint8 images `[n, h, w]`, ink white on black.

        Raises:
            UserError: images of another type or size, or the file returns something else than probabilities.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_size:
            wanted = f"uint8 [n, {self.image_size[0]}, {self.image_size[1]}]"
            raise UserError(f"{self.path} takes images {wanted}, not {images.dtype} {list(images.shape)}.")
        probabilities = np.empty((len(images), len(self.labels)), np.float32)
        for lot in in_lots(len(images), BATCH_SIZE):
            with self._turn:  # an interpreter of LiteRT holds the tensors of one image
                probabilities[lot] = self.run(images[lot])
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
    found = locate(Path(path), file)
    labels = labels or found.labels()
    opened = open_file(found.path, num_threads)
    if opened.image_size is None:
        raise UserError(f"{found.path} takes images of any size and does not say which fits; use a file of fixed size.")
    if opened.classes != len(labels):
        raise UserError(f"{found.path} tells {opened.classes} classes apart, but its labels name {len(labels)}.")
    return Predictor(found.path, labels, opened.image_size, found.normalization, opened.run)
