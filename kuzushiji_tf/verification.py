"""What each file of an exported folder achieves, and whether it still says what the Keras model says."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.litert import LiteRTModel
from kuzushiji_tf.model_card import TestSet, describe_file
from kuzushiji_tf.normalization import fit_image
from kuzushiji_tf.predictors import BATCH_SIZE, EXPORTED_FILES, load_predictor

DYNAMIC_FILE = "model-dynamic.tflite"
LATENCY_RUNS = 100


@dataclass(frozen=True)
class Bound:
    """How far a file may be from the Keras model on the test split.

    Attributes:
        max_difference: the most by which any probability may differ.
        agreement: the least share of images with the same most probable class.
    """

    max_difference: float
    agreement: float


# In float32 only the order of summation differs. float16 weights have 11 significant bits: the class changes where two
# were nearly equal. int8 has 8, so it changes more often where a model is unsure; probabilities may then move by
# anything. Below these shares the conversion went wrong, whatever the model.
_EXACT = Bound(5e-5, 0.999)
BOUNDS = {
    EXPORTED_FILES["saved_model"]: _EXACT,
    EXPORTED_FILES["float32"]: _EXACT,
    EXPORTED_FILES["float16"]: Bound(1.0, 0.995),
    EXPORTED_FILES["int8"]: Bound(1.0, 0.98),
    DYNAMIC_FILE: _EXACT,
}


def measure_files(
    folder: Path, test_sets: dict[str, TestSet], box: bool, report: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Run each file of a folder over the test sets and return its figures, by its name.

    Keys: `bytes`, `sha256`; `accuracy` (`synthetic_accuracy` where a program drew the test images) and
    `<name>_accuracy` for further test sets; `agreement` and `max_difference` with the folder's Keras model on the test
    set `test`; `latency_ms`, the median for one image on one thread.

    Args:
        box: whether the files that normalise images themselves do it by the ink's box.
        report: is told what happens, line by line.

    Raises:
        UserError: a file is beyond its bound.
    """
    keras_name = EXPORTED_FILES["keras"]
    keras_file = load_predictor(folder / keras_name)
    size = keras_file.image_size[0]

    @cache
    def reference(name: str, normalized: bool) -> np.ndarray:
        images = test_sets[name].dataset.images
        if normalized:
            return _in_batches(lambda batch: keras_file.run(fit_image(batch, size, box)), images)
        return _in_batches(keras_file.run, images)

    figures = {}
    for file in (keras_name, *BOUNDS):
        path = folder / file
        if not path.exists():
            continue
        figures[file] = describe_file(path)
        for name, test_set in test_sets.items():
            report(f"verifying {file} on {len(test_set.dataset):,} images of {test_set.dataset.name}")
            # These two normalise in their graph; the Keras model is given images that are normalised the same way.
            expected = reference(name, file in (EXPORTED_FILES["saved_model"], DYNAMIC_FILE))
            found = expected if file == keras_name else _run(path, test_set.dataset.images)
            figures[file][_accuracy_key(name, test_set)] = float(
                (found.argmax(axis=1) == test_set.dataset.labels).mean()
            )
            if name == "test" and file in BOUNDS:
                figures[file] |= _compare(file, found, expected)
        if path.suffix == ".tflite":
            figures[file]["latency_ms"] = LiteRTModel(path).latency_ms(test_sets["test"].dataset.images, LATENCY_RUNS)
    return figures


def _accuracy_key(name: str, test_set: TestSet) -> str:
    if name != "test":
        return f"{name}_accuracy"
    return "synthetic_accuracy" if test_set.is_synthetic else "accuracy"


def _compare(file: str, found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Return agreement and largest difference of probabilities `[n, classes]`; refuse what is beyond the bound."""
    agreement = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    max_difference = float(np.abs(found - expected).max())
    bound = BOUNDS[file]
    # Written so that NaN, which compares as false, is refused as well.
    if not max_difference <= bound.max_difference:
        raise UserError(
            f"{file} differs from the Keras model by up to {max_difference:.2g} in a probability, more than its bound "
            f"of {bound.max_difference:.2g}: nothing was exported."
        )
    if not agreement >= bound.agreement:
        raise UserError(
            f"{file} agrees with the Keras model on {agreement:.2%} of the test images, less than its bound of "
            f"{bound.agreement:.2%}: nothing was exported."
        )
    return {"agreement": agreement, "max_difference": max_difference}


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


def _in_batches(run: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    return np.concatenate([run(images[start : start + BATCH_SIZE]) for start in range(0, len(images), BATCH_SIZE)])
