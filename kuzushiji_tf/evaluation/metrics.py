"""Scores of a classifier from its probabilities and the true labels; NumPy and scikit-learn only."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from kuzushiji_tf.errors import UserError

TOP_K = 5
CALIBRATION_BINS = 15
# The smallest probability that the log-likelihood counts with, so that one certain mistake does not make it infinite.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier said about each image: all that the scores need, without the full table of probabilities.

    Attributes:
        labels: int32 `[n]`, the true classes.
        top_classes: int32 `[n, k]`, the k = min(5, classes) most probable classes, best first.
        top_probabilities: float32 `[n, k]`, their probabilities.
        true_probability: float32 `[n]`, the probability of the true class.
        classes: how many classes the classifier has.
    """

    labels: np.ndarray
    top_classes: np.ndarray
    top_probabilities: np.ndarray
    true_probability: np.ndarray
    classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class, int32 `[n]`."""
        return self.top_classes[:, 0]

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable class, float32 `[n]`."""
        return self.top_probabilities[:, 0]

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, bool `[n]`."""
        return self.predicted == self.labels

    @cached_property
    def confusion_matrix(self) -> np.ndarray:
        """Counts, int32 `[classes, classes]`: rows are the true class, columns the predicted one."""
        matrix = np.zeros((self.classes, self.classes), np.int32)
        np.add.at(matrix, (self.labels, self.predicted), 1)
        return matrix


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of each class, arrays `[classes]`.

    Attributes:
        support: int64, the test images of the class.
        precision: float64, NaN for a class that was never predicted.
        recall: float64, NaN for a class without test images.
        f1: float64, NaN for a class that was neither predicted nor tested.
    """

    support: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a classifier is right, by how sure it was; arrays `[CALIBRATION_BINS]` over equal widths of 0..1.

    Attributes:
        count: int64, images in the bin.
        confidence: float64, their mean top probability, 0 in an empty bin.
        accuracy: float64, the share of them that was right, 0 in an empty bin.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """Mean of |accuracy - confidence| over the images (Guo et al. 2017, equation 3)."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def rank(probabilities: np.ndarray, labels: np.ndarray) -> Predictions:
    """Return what the scores need of probabilities float32 `[n, classes]` and true labels int32 `[n]`.

    Of equal probabilities (frequent in int8 models) the lower class index ranks first, as in `argmax`.

    Raises:
        UserError: no images, shapes that do not fit, labels out of range, or values that are no probabilities.
    """
    _check(probabilities, labels)
    top = np.empty((len(labels), min(TOP_K, probabilities.shape[1])), np.int32)
    rest = np.array(probabilities)
    # A few passes of argmax are several times faster than sorting thousands of classes.
    for position in range(top.shape[1]):
        top[:, position] = rest.argmax(axis=1)
        np.put_along_axis(rest, top[:, position, None], -np.inf, axis=1)
    return Predictions(
        labels=labels,
        top_classes=top,
        top_probabilities=np.take_along_axis(probabilities, top, axis=1),
        true_probability=np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0],
        classes=probabilities.shape[1],
    )


def join(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of one classifier on several lots of images as one."""
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Predictions)
        if field.name != "classes"
    }
    return Predictions(**arrays, classes=parts[0].classes)


def class_scores(predictions: Predictions) -> ClassScores:
    """Return precision, recall, F1 and support of each class."""
    precision, recall, f1, support = precision_recall_fscore_support(
        predictions.labels, predictions.predicted, labels=np.arange(predictions.classes), zero_division=np.nan
    )
    return ClassScores(support.astype(np.int64), precision, recall, f1)


def reliability(predictions: Predictions) -> Reliability:
    """Return the reliability bins: bin i holds the top probabilities in (i / bins, (i + 1) / bins]."""
    confidence = predictions.confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    sums = [np.bincount(bins, values, CALIBRATION_BINS) for values in (confidence, predictions.correct)]
    return Reliability(count, *(total / np.maximum(count, 1) for total in sums))


def overall_scores(predictions: Predictions) -> dict[str, float | int]:
    """Return the scores over all images.

    Keys: `count`; `accuracy`, and `accuracy_low` and `accuracy_high`, the ends of its 95 % interval (Wilson);
    `top5_accuracy`; `balanced_accuracy`, the mean recall of the classes that have test images, as Kuzushiji-49 is
    scored (Clanuwat et al. 2018, https://github.com/rois-codh/kmnist); `macro_f1`, over the same classes;
    `expected_calibration_error` over 15 bins of equal width; `negative_log_likelihood` in nats.
    """
    scores = class_scores(predictions)
    tested = scores.support > 0
    interval = binomtest(int(predictions.correct.sum()), len(predictions)).proportion_ci(method="wilson")
    likelihood = np.clip(predictions.true_probability.astype(np.float64), SMALLEST_PROBABILITY, 1)
    return {
        "count": len(predictions),
        "accuracy": float(predictions.correct.mean()),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
        "top5_accuracy": float((predictions.top_classes == predictions.labels[:, None]).any(axis=1).mean()),
        "balanced_accuracy": float(scores.recall[tested].mean()),
        "macro_f1": float(scores.f1[tested].mean()),
        "expected_calibration_error": reliability(predictions).expected_calibration_error,
        "negative_log_likelihood": float(-np.log(likelihood).mean()),
    }


def most_confused(matrix: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Return the pairs (true class, predicted class, images) confused most often, the most frequent first.

    `matrix` is a confusion matrix, int `[classes, classes]`, rows the true class.
    """
    rows, columns = np.nonzero(matrix)
    mistakes = rows != columns
    rows, columns = rows[mistakes], columns[mistakes]
    order = np.argsort(-matrix[rows, columns], kind="stable")[:count]
    return [(int(rows[i]), int(columns[i]), int(matrix[rows[i], columns[i]])) for i in order]


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    if not len(labels):
        raise UserError("There are no test images to score; choose a split that has some.")
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            f"Probabilities {probabilities.shape} and labels {labels.shape} do not fit; "
            "they must be [n, classes] and [n]."
        )
    if not 0 <= labels.min() <= labels.max() < probabilities.shape[1]:
        raise UserError(f"The labels must lie in 0-{probabilities.shape[1] - 1}, not {labels.min()}-{labels.max()}.")
    # Written so that NaN, which compares as false, is refused as well; rounding may end a little outside 0..1.
    if not (probabilities.min() > -0.01 and probabilities.max() < 1.01):
        raise UserError(
            f"The model's outputs run from {probabilities.min()} to {probabilities.max()}; they must be "
            "probabilities, so give a model that ends in softmax and whose training did not diverge."
        )
