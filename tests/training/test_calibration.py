"""Temperature scaling finds the temperature that images were drawn with, and never changes a ranking."""

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.evaluation.metrics import rank, reliability
from kuzushiji_tf.training.calibration import LIMITS, at_temperature, calibrate, figures_of_confidence, fit_temperature


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def drawn(temperature, count=20_000, classes=10):
    """Labels drawn from the probabilities of some logits, and what a recognizer says that is off by a temperature."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (count, classes))
    labels = (softmax(logits).cumsum(axis=1) > random.random((count, 1))).argmax(axis=1).astype(np.int32)
    return softmax(logits * temperature), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_a_recognizer_is_off_by_is_found(temperature):
    probabilities, labels = drawn(temperature)
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.05)


def test_calibrated_confidence_is_the_share_of_right_answers():
    probabilities, labels = drawn(2.5)
    errors = [
        reliability(rank(table, labels)).expected_calibration_error
        for table in (probabilities, at_temperature(probabilities, fit_temperature(probabilities, labels)))
    ]
    assert errors[0] > 0.1 and errors[1] < 0.02


def test_confidence_is_fitted_on_characters_and_says_what_becomes_of_the_others():
    labels = np.repeat([0, 1, 2], 20).astype(np.int32)
    said = np.array([2, *labels[1:-4], 0, 0, 0, 0])  # one is refused, four get through
    probabilities = np.eye(3)[said] * 0.8 + 0.2 / 3
    images, classes = np.zeros((60, 8, 8), np.uint8), Labels(("あ", "い", UNKNOWN))
    validation = CharacterDataset("toy", "train", images, labels, classes, "CC0", "nobody")
    figures = figures_of_confidence(probabilities, validation)
    assert figures["calibration"] == calibrate(probabilities[:40], labels[:40])
    assert figures["refusal"] == pytest.approx({"threshold": 0.5, "refused": 1 / 40, "rejected": 16 / 20})


def test_no_ranking_changes():
    probabilities, _ = drawn(1.0, count=100)
    for temperature in (0.3, 3):
        np.testing.assert_array_equal(
            at_temperature(probabilities, temperature).argsort(axis=1), probabilities.argsort(axis=1)
        )


def test_images_without_a_mistake_do_not_drive_it_to_zero():
    probabilities = softmax(np.eye(5) * 4)
    assert LIMITS[0] <= fit_temperature(probabilities, np.arange(5)) < 0.2
