"""Confidence that means what it says: one temperature for a recognizer's logits, fitted on validation images."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.evaluation.metrics import SMALLEST_PROBABILITY, rank, reliability
from kuzushiji_tf.evaluation.refusals import refusals
from kuzushiji_tf.recognition.readings import THRESHOLD

LIMITS = (0.05, 20.0)  # of the temperature; a few validation images without a mistake would drive it to 0


def figures_of_confidence(probabilities: np.ndarray, validation: CharacterDataset) -> dict[str, Any]:
    """Return what a run's result says about confidence.

    Keys: `calibration`, of the characters; where there are others too `refusal`: the shares `refused` and `rejected` of
    `evaluation.refusals`, at that temperature and the usual `threshold`.

    Args:
        probabilities: float `[n, classes]`.
        validation: the images, of the recognizer's classes.
    """
    is_character = validation.is_character
    figures = calibrate(probabilities[is_character], validation.labels[is_character])
    if UNKNOWN not in validation.classes:
        return {"calibration": figures}
    unknown = at_temperature(probabilities, figures["temperature"])[:, validation.classes.index_of(UNKNOWN)]
    return {"calibration": figures, "refusal": {"threshold": THRESHOLD, **refusals(unknown >= THRESHOLD, is_character)}}


def calibrate(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float | int]:
    """Return what a run's result and a card say about confidence.

    Keys: `temperature`; `validation_images`; `expected_calibration_error` of these images, and `uncalibrated_error`,
    the same without the temperature. Arguments as `fit_temperature`.
    """
    temperature = fit_temperature(probabilities, labels)
    calibrated = at_temperature(probabilities, temperature)
    errors = [reliability(rank(table, labels)).expected_calibration_error for table in (calibrated, probabilities)]
    return {
        "temperature": temperature,
        "validation_images": len(labels),
        "expected_calibration_error": errors[0],
        "uncalibrated_error": errors[1],
    }


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of least negative log-likelihood (Guo et al. 2017, "On Calibration of ...", section 4.2).

    Args:
        probabilities: float `[n, classes]`, of images that the recognizer was not trained on; as good as logits here,
            since a softmax forgets nothing but a constant.
        labels: int `[n]`, the true classes.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY**2))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, labels]).mean())

    found = minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded")
    return float(np.exp(found.x))


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities float `[n, classes]` as the same logits give them at another temperature."""
    powers = np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY**2) ** (1 / temperature)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
