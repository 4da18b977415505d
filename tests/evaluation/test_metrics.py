"""Scores: by hand on small cases, against scikit-learn on random ones, and quickly at 3,832 classes."""

import time

import numpy as np
import pytest
from sklearn import metrics as reference

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.metrics import class_scores, join, most_confused, overall_scores, rank, reliability


def _table(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def _random(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count).astype(np.int32)
    scores = generator.exponential(size=(count, classes)).astype(np.float32)
    scores[np.arange(count), labels] += generator.exponential(3, count)
    return scores / scores.sum(axis=1, keepdims=True), labels


def test_scores_of_a_small_case_are_those_worked_out_by_hand():
    probabilities = _table([0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.55, 0.4, 0.05])
    scores = overall_scores(rank(probabilities, np.array([0, 0, 1, 1], np.int32)))
    assert scores["count"] == 4
    assert scores["accuracy"] == 0.75
    assert scores["balanced_accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["negative_log_likelihood"] == pytest.approx(-np.log([0.9, 0.6, 0.7, 0.4]).mean(), abs=1e-6)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_were_tested():
    # Class 0: 3 of 4 right. Class 1: 0 of 1. Class 2 has no test image, though it is predicted once.
    predicted = [0, 0, 0, 2, 0]
    predictions = rank(np.eye(3, dtype=np.float32)[predicted], np.array([0, 0, 0, 0, 1], np.int32))
    assert overall_scores(predictions)["balanced_accuracy"] == pytest.approx((0.75 + 0) / 2)
    assert overall_scores(predictions)["accuracy"] == 0.6


def test_class_scores_leave_undefined_shares_undefined():
    predictions = rank(np.eye(3, dtype=np.float32)[[0, 0, 0, 2, 0]], np.array([0, 0, 0, 0, 1], np.int32))
    scores = class_scores(predictions)
    np.testing.assert_array_equal(scores.support, [4, 1, 0])
    np.testing.assert_allclose(scores.precision, [3 / 4, np.nan, 0])
    np.testing.assert_allclose(scores.recall, [3 / 4, 0, np.nan])
    np.testing.assert_allclose(scores.f1, [3 / 4, 0, 0])


def test_scores_agree_with_scikit_learn():
    probabilities, labels = _random(500, 12)
    predictions, every = rank(probabilities, labels), np.arange(12)
    predicted = probabilities.argmax(axis=1)
    scores = overall_scores(predictions)
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores["top5_accuracy"] == pytest.approx(
        reference.top_k_accuracy_score(labels, probabilities, k=5, labels=every)
    )
    assert scores["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    assert scores["negative_log_likelihood"] == pytest.approx(reference.log_loss(labels, exact, labels=every), abs=1e-6)
    np.testing.assert_array_equal(predictions.confusion_matrix, reference.confusion_matrix(labels, predicted))


def test_calibration_error_of_two_bins_is_that_worked_out_by_hand():
    # Bin (14/15, 1]: two images at 1.0, one right. Bin (8/15, 9/15]: one image at 0.58, right.
    probabilities = _table([1.0, 0.0], [1.0, 0.0], [0.58, 0.42])
    bins = reliability(rank(probabilities, np.array([0, 1, 0], np.int32)))
    assert bins.count[14] == 2
    assert bins.count[8] == 1
    assert bins.accuracy[14] == 0.5
    assert bins.expected_calibration_error == pytest.approx((2 * 0.5 + 1 * 0.42) / 3, abs=1e-6)


def test_a_classifier_that_keeps_its_word_has_no_calibration_error():
    probabilities = np.tile(_table([0.75, 0.25]), (400, 1))
    labels = (np.arange(400) % 4 == 0).astype(np.int32)
    assert reliability(rank(probabilities, labels)).expected_calibration_error == pytest.approx(0, abs=1e-6)


def test_top_five_of_fewer_classes_is_always_right():
    predictions = rank(_table([0.9, 0.1, 0.0]), np.array([2], np.int32))
    assert predictions.top_classes.shape == (1, 3)
    assert overall_scores(predictions)["top5_accuracy"] == 1.0


def test_of_equal_probabilities_the_lower_class_ranks_first():
    probabilities = np.zeros((1, 9), np.float32)
    probabilities[0, 4] = 1  # as an int8 model rounds: all others are exactly 0
    predictions = rank(probabilities, np.array([8], np.int32))
    assert predictions.top_classes[0].tolist() == [4, 0, 1, 2, 3]
    assert overall_scores(predictions)["top5_accuracy"] == 0.0


def test_a_true_class_of_probability_zero_keeps_the_likelihood_finite():
    loss = overall_scores(rank(_table([1.0, 0.0]), np.array([1], np.int32)))["negative_log_likelihood"]
    assert loss == pytest.approx(-np.log(np.finfo(np.float32).eps))


def test_interval_is_wilsons():
    # 42 of 47, by the formula: center (p + z²/2n) / (1 + z²/n), z = 1.96.
    labels = np.array([0] * 42 + [1] * 5, np.int32)
    scores = overall_scores(rank(np.tile(_table([0.8, 0.2]), (47, 1)), labels))
    assert scores["accuracy_low"] == pytest.approx(0.7741, abs=2e-4)
    assert scores["accuracy_high"] == pytest.approx(0.9537, abs=2e-4)


def test_lots_joined_score_as_the_whole():
    probabilities, labels = _random(100, 7)
    parts = [rank(probabilities[start : start + 30], labels[start : start + 30]) for start in range(0, 100, 30)]
    assert overall_scores(join(parts)) == overall_scores(rank(probabilities, labels))


def test_most_confused_pairs_come_in_the_order_of_their_frequency():
    matrix = np.array([[9, 3, 0], [1, 9, 5], [0, 0, 9]], np.int32)
    assert most_confused(matrix, 2) == [(1, 2, 5), (0, 1, 3)]
    assert most_confused(matrix, 10) == [(1, 2, 5), (0, 1, 3), (1, 0, 1)]
    assert most_confused(np.eye(3, dtype=np.int32), 10) == []


@pytest.mark.parametrize(
    ("probabilities", "labels", "sentence"),
    [
        (np.zeros((0, 3), np.float32), [], "no test images"),
        (_table([0.5, 0.5]), [0, 1], "do not fit"),
        (_table([0.5, 0.5]), [2], "must lie in 0-1"),
        (_table([np.nan, 0.5]), [0], "must be probabilities"),
        (_table([7.3, -2.0]), [0], "must be probabilities"),
    ],
    ids=["none", "shape", "label", "nan", "logits"],
)
def test_what_cannot_be_scored_is_refused(probabilities, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        rank(probabilities, np.array(labels, np.int32))


def test_thousands_of_classes_are_scored_in_seconds():
    probabilities, labels = _random(6000, 3832)
    start = time.perf_counter()
    predictions = rank(probabilities, labels)
    scores = overall_scores(predictions)
    pairs = most_confused(predictions.confusion_matrix, 10)
    assert time.perf_counter() - start < 10
    assert 0 < scores["accuracy"] < scores["top5_accuracy"] < 1
    assert len(pairs) == 10
    assert predictions.confusion_matrix.nbytes < 60e6
