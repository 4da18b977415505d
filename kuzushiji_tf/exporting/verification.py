"""What each file of an exported folder achieves, and whether it still says what the Keras model says."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.refusals import refusals
from kuzushiji_tf.exporting.model_card import describe_file
from kuzushiji_tf.exporting.sources import EvaluationSet, Source
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.recognition.cards import EXPORTED_FILES
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.recognition.predictors import BATCH_SIZE, Predictor, load_predictor

DYNAMIC_FILE = "model-dynamic.tflite"
LATENCY_RUNS = 100


# A file's first choice is not counted against it where the Keras model itself gives that class at least this share of
# the probability of its own first: rounding may turn such near ties, which an unsure model has many of. In trials every
# sound int8 file, of good models and of bad ones, then agreed on more than 99.9 % of the images, a wrong one on 2 %.
NEAR_TIE = 0.5


class BeyondBoundError(UserError):
    """A file disagrees with the Keras model."""


@dataclass(frozen=True)
class Bound:
    """How far a file may be from the Keras model on the test split.

    Attributes:
        max_difference: the most by which any probability may differ.
        clear_agreement: the least share of images with the same first choice, near ties not counted against it.
    """

    max_difference: float = 1.0
    clear_agreement: float = 0.0


BOUNDS = {
    EXPORTED_FILES["saved_model"]: Bound(max_difference=5e-4),  # normalizes in its graph, so rounds there too
    EXPORTED_FILES["float32"]: Bound(max_difference=5e-5),  # differs by the order of summation only
    EXPORTED_FILES["float16"]: Bound(clear_agreement=0.995),  # weights of 11 significant bits
    EXPORTED_FILES["int8"]: Bound(clear_agreement=0.98),  # weights and activations of 8
    DYNAMIC_FILE: Bound(max_difference=5e-4),
}
_NORMALIZING = (EXPORTED_FILES["saved_model"], DYNAMIC_FILE)
FEW_IMAGES = 4  # that are read through each signature, at their own size and at another
SIGNATURE_BOUND = 0.01  # of any probability then; a signature that does something else is wrong by far more


@dataclass(frozen=True)
class _Measuring:
    """The files of a folder as they are run over test sets, beside the folder's Keras model."""

    folder: Path
    source: Source
    report: Callable[[str], None]

    @cached_property
    def _keras(self) -> Predictor:
        return load_predictor(self.folder / EXPORTED_FILES["keras"])

    @cached_property
    def _references(self) -> dict[tuple[str, bool], np.ndarray]:
        return {}

    def _reference(self, name: str, boxed: bool) -> np.ndarray:
        """Return the Keras model's probabilities for a test set, each image first brought to size by its box or not."""
        if (name, boxed) not in self._references:
            keras, images = self._keras, self.source.test_sets[name].dataset.images
            size = keras.image_size[0]
            run = (lambda batch: keras.run(fit_image(batch, size, box=True))) if boxed else keras.run
            self._references[name, boxed] = _in_batches(run, images)
        return self._references[name, boxed]

    def figures(self, file: str) -> dict[str, Any]:
        """Return a file's figures.

        Raises:
            BeyondBoundError: it is beyond its bound.
        """
        path = self.folder / file
        figures = describe_file(path)
        for name, test_set in self.source.test_sets.items():
            self.report(f"verifying {file} on {len(test_set.dataset):,} images of {test_set.dataset.name}")
            # What a file does to an image in its graph is done to the Keras model's images beforehand.
            expected = self._reference(name, self.source.box and file in _NORMALIZING)
            found = expected if file == EXPORTED_FILES["keras"] else _run(path, test_set.dataset.images)
            figures |= _scores(name, test_set, found, self.source)
            if name == "test" and file in BOUNDS:
                figures |= compare(file, found, expected)
        if file in _NORMALIZING:
            self._check_signatures(file)
        if path.suffix == ".tflite":
            latency = LiteRTModel(path).latency_ms(self.source.test_sets["test"].dataset.images, LATENCY_RUNS)
            figures["latency_ms"] = round(latency, 4)
        return figures

    def _check_signatures(self, file: str) -> None:
        """Read a few images through each way into a file that normalizes images itself, resized ones too.

        Raises:
            BeyondBoundError: the Keras model reads them otherwise.
        """
        images, keras = self.source.test_sets["test"].dataset.images[:FEW_IMAGES], self._keras
        resized = np.repeat(np.repeat(images, 3, axis=1), 2, axis=2)
        for signature, (run, normalizes) in _signatures(self.folder / file).items():
            for shown in (images, resized) if normalizes else (images,):
                fitted = fit_image(shown, keras.image_size[0], self.source.box) if normalizes else shown
                difference = float(np.abs(run(shown) - keras.run(fitted)).max())
                if not difference <= SIGNATURE_BOUND:  # NaN is refused as well
                    raise BeyondBoundError(
                        f"{file} differs from the Keras model by up to {difference:.2g} in a probability where its "
                        f"signature {signature} reads images of {shown.shape[1]} x {shown.shape[2]} pixels"
                    )


def measure_files(
    folder: Path,
    source: Source,
    report: Callable[[str], None],
    rewrite: Mapping[str, Callable[[], dict[str, Any]]],
) -> dict[str, dict[str, Any]]:
    """Run each file of a folder over the test sets and return its figures, by its name.

    Keys: `bytes`, `sha256`; `accuracy` over the characters (`synthetic_accuracy` where a program drew the test images)
    and, of a recognizer that may refuse, the shares `refused` of these and `rejected` of the others; the same with
    `<name>_` before them for further test sets; against the folder's Keras model on the test set `test`: `agreement`
    (share of equal first choices), `clear_agreement` (near ties not counted), `max_difference` and the `bound` on the
    last two; `latency_ms`, the median for one image on one thread.

    Args:
        folder: of the files.
        source: its `test_sets`, and whether the files that normalize images themselves do it by the ink's box.
        report: is told what happens, line by line.
        rewrite: by a file's name what writes it in a more exact way, and returns what its figures then say of that;
            called where it is beyond its bound.

    Raises:
        BeyondBoundError: a file is beyond its bound, and there is no other way to write it or that is as well.
    """
    measuring, measured = _Measuring(folder, source, report), {}
    for file in (EXPORTED_FILES["keras"], *BOUNDS):
        if not (folder / file).exists():
            continue
        try:
            measured[file] = measuring.figures(file)
        except BeyondBoundError as error:
            if file not in rewrite:
                raise
            report(f"{error}; writing it in a more exact way")
            about = rewrite[file]()
            measured[file] = measuring.figures(file) | about
    return measured


def compare(file: str, found: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Return how close a file's probabilities `[n, classes]` are to the Keras model's.

    Raises:
        BeyondBoundError: they are farther than the file's bound allows; the sentence names file, figure and bound.
    """
    choice, first = found.argmax(axis=1), expected.argmax(axis=1)
    rows = np.arange(len(expected))
    is_clear = expected[rows, choice] >= NEAR_TIE * expected[rows, first]
    max_difference, clear_agreement = float(np.abs(found - expected).max()), float(is_clear.mean())
    bound = BOUNDS[file]
    # Written so that NaN, which compares as false, is refused as well.
    if not max_difference <= bound.max_difference:
        raise BeyondBoundError(
            f"{file} differs from the Keras model by up to {max_difference:.2g} in a probability, more than its bound "
            f"of {bound.max_difference:.2g}"
        )
    if not clear_agreement >= bound.clear_agreement:
        raise BeyondBoundError(
            f"{file} clearly agrees with the Keras model on {clear_agreement:.2%} of the test images, less than its "
            f"bound of {bound.clear_agreement:.2%}"
        )
    return {
        "agreement": float((choice == first).mean()),
        "clear_agreement": clear_agreement,
        "max_difference": max_difference,
        "bound": asdict(bound),
    }


def _scores(name: str, test_set: EvaluationSet, found: np.ndarray, source: Source) -> dict[str, float]:
    """Return what probabilities `[n, classes]` of a test set are worth."""
    prefix = "synthetic_" if test_set.is_synthetic else ""
    prefix = prefix if name == "test" else f"{name}_"
    is_character = test_set.dataset.is_character
    is_right = found.argmax(axis=1) == test_set.dataset.labels
    scores = {"accuracy": float(is_right[is_character].mean())}
    if UNKNOWN in source.labels:
        refuses = found[:, source.labels.index_of(UNKNOWN)] >= source.refusal_threshold
        scores |= refusals(refuses, is_character)
    return {f"{prefix}{key}": value for key, value in scores.items()}


def _run(path: Path, images: np.ndarray) -> np.ndarray:
    """Return a file's probabilities for images uint8 `[n, h, w]`, as a user of that file gets them."""
    if path.is_dir():
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures["serving_uint8"]
        return _in_batches(lambda batch: signature(image=tf.constant(batch[..., None]))["probabilities"], images)
    # One interpreter for each processor: LiteRT's own threads gain nothing on models this small.
    parts = np.array_split(images, min(os.cpu_count() or 1, len(images)))
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(lambda part: LiteRTModel(path).predict(part), parts)))


def _signatures(path: Path) -> dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool]]:
    """Return by name what each signature gives for images uint8 `[n, h, w]`, and whether it takes them of any size."""
    if path.is_file():
        return {"serving_default": (LiteRTModel(path).predict, True)}
    loaded = tf.saved_model.load(path)

    def runner(name: str, spec: tf.TensorSpec) -> Callable[[np.ndarray], np.ndarray]:
        def run(images: np.ndarray) -> np.ndarray:
            is_single = spec.shape.rank == 2
            parts = tf.cast(images if is_single else images[np.newaxis, ..., np.newaxis], spec.dtype)
            return np.concatenate([loaded.signatures[name](image=part)["probabilities"] for part in parts])

        return run

    specs = {name: signature.structured_input_signature[1]["image"] for name, signature in loaded.signatures.items()}
    return {name: (runner(name, spec), spec.shape[-2] is None) for name, spec in specs.items()}


def _in_batches(run: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    return np.concatenate([run(images[lot]) for lot in in_lots(len(images), BATCH_SIZE)])
