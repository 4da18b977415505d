"""A recogniser in use: any picture of one character in, ranked characters out. TensorFlow is not needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from kuzushiji_tf.datasets.image_files import read_ink
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.normalization import fit_image
from kuzushiji_tf.predictors import load_predictor


@dataclass(frozen=True)
class Candidate:
    """One reading of a character.

    Attributes:
        character: e.g. `あ`.
        code_point: e.g. `U+3042`.
        probability: 0..1.
    """

    character: str
    code_point: str
    probability: float


class Recognizer:
    """Reads pictures of single characters.

    Args:
        path: an exported folder, or anything else that `predictors.load_predictor` takes.
        file: which file of a folder; None means the float32 `.tflite` file of an exported folder.
        num_threads: threads of LiteRT.

    Raises:
        MissingFileError, UserError: as `load_predictor`.
    """

    def __init__(self, path: str | Path, *, file: str | None = None, num_threads: int = 1):
        self.predictor = load_predictor(path, file, num_threads=num_threads)

    def recognize(
        self,
        image: str | Path | Image.Image | np.ndarray,
        top_k: int = 5,
        polarity: Literal["auto", "dark", "light"] = "auto",
    ) -> list[Candidate]:
        """Return the `top_k` most probable characters, best first.

        Args:
            image: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`, of any size.
            top_k: at most so many; a recogniser with fewer classes returns them all.
            polarity: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

        Raises:
            MissingFileError: no such file.
            UserError: not a readable picture, too large, without any ink, or `top_k` is below 1.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it must be at least 1.")
        ink = read_ink(image, polarity)
        predictor = self.predictor
        fitted = fit_image(ink, predictor.image_size[0], box=predictor.normalization == "ink-box")
        probabilities = predictor.predict(np.rint(fitted).astype(np.uint8)[None])[0]
        return [
            Candidate(predictor.labels[index], predictor.labels.code_point(index), float(probabilities[index]))
            for index in map(int, np.argsort(-probabilities, kind="stable")[:top_k])
        ]
