"""A recognizer and a test set -> scores, tables and pictures."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.core import in_lots
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation import figures, reports
from kuzushiji_tf.evaluation.metrics import (
    ClassScores,
    Predictions,
    class_scores,
    join,
    overall_scores,
    rank,
    reliability,
)
from kuzushiji_tf.evaluation.script_scores import ScriptScores
from kuzushiji_tf.files import atomic_folder, write_json
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.recognition.predictors import Predictor

WORST_CLASSES = 10
LOT = 2048  # images between two steps of the progress line, and whose probabilities are held at a time
METRICS, PER_CLASS, CONFUSION, PREDICTIONS = "metrics.json", "per_class.csv", "confusion.csv", "predictions.npz"
CURVES = "learning_curves.png"
PICTURES = ("confusion_matrix.png", "confused_pairs.png", "worst_mistakes.png", "reliability.png")


def score(
    predictor: Predictor, dataset: CharacterDataset, output: Path | None = None, history: Path | None = None
) -> dict[str, Any]:
    """Score a recognizer on a data set; classes are matched by character, images of other characters are left out.

    Args:
        predictor: what is scored.
        dataset: with classes in any order; images of another size are brought to the recognizer's.
        output: folder that takes `metrics.json`, `per_class.csv`, `confusion.csv`, `predictions.npz` and the
            pictures; an earlier evaluation in it is replaced. None writes nothing.
        history: the run's `history.csv`, for the learning curves; None draws none.

    Returns:
        What `metrics.json` holds: the keys of `metrics.overall_scores` and of `ScriptScores.result`, over the images of
        characters; `rejected`, the share of the others, if there are any, that are refused; `model`,
        `dataset`, `split`, `ink`, `dataset_hash`; `classes` (of the model) and `classes_tested`; `left_out` (images)
        and `left_out_characters`; `worst_classes`.

    Raises:
        UserError: no test image, or none of a character that the recognizer knows; images that cannot be resized
            without distortion; `output` holds something other than an evaluation.
        MissingFileError: there is no such history.
    """
    if output is None:
        return _score(predictor, dataset, None, None)
    output = output.resolve()
    _check_replaceable(output)
    with atomic_folder(output) as folder:  # from the beginning: whoever comes second is told before the work
        return _score(predictor, dataset, folder, history)


def _score(
    predictor: Predictor, dataset: CharacterDataset, folder: Path | None, history: Path | None
) -> dict[str, Any]:
    """Score, and write what `score` says into an empty folder, if one is given."""
    curves = reports.learning_curves(history) if history else None
    matched, rows, left_out = match_classes(dataset, predictor.labels)
    is_character = matched.is_character
    if not is_character.any():
        raise UserError(f"The {dataset.split} split of {dataset.name} shows no characters to score; choose another.")
    tested, rows = fit_images(matched.select(np.flatnonzero(is_character)), predictor), rows[is_character]
    others = fit_images(matched.select(np.flatnonzero(~is_character)), predictor)
    by_script = ScriptScores(predictor)
    predictions = _predict(predictor, tested, by_script)
    scores = class_scores(predictions)
    result = {
        "model": str(predictor.path),
        "dataset": dataset.name,
        "split": dataset.split,
        "ink": dataset.ink,
        "dataset_hash": dataset.content_hash,
        **overall_scores(predictions),
        **by_script.result(),
        **({"rejected": by_script.share_refused(predictor.predict(others.images))} if len(others) else {}),
        "classes": len(predictor.labels),
        "classes_tested": int((scores.support > 0).sum()),
        "left_out": left_out.total(),
        "left_out_characters": list(left_out),
        "worst_classes": _worst_classes(predictions, scores, predictor.labels),
    }
    if folder is not None:
        write_json(folder / METRICS, result)
        _write_per_class(folder / PER_CLASS, scores, predictor.labels)
        _write_confusion(folder / CONFUSION, predictions, predictor.labels)
        _write_predictions(folder / PREDICTIONS, predictions, rows)
        _draw(folder, tested.images, predictions, predictor.labels)
    if folder is not None and curves is not None:
        figures.save(curves, folder / CURVES)
    return result


def match_classes(dataset: CharacterDataset, labels: Labels) -> tuple[CharacterDataset, np.ndarray, Counter[str]]:
    """Return the images whose characters are among `labels`, with those classes; their rows; and what is left out.

    Returns:
        The data set in the classes of `labels`; int `[m]`, the row of each of its images in the original; and how
        many images of which character were left out, in the order of the data set's classes.

    Raises:
        UserError: there are no images, or none is left.
    """
    if not len(dataset):
        raise UserError(f"The {dataset.split} split of {dataset.name} has no images to evaluate on; choose another.")
    to_model = np.array([labels.index_of(name) if name in labels else -1 for name in dataset.classes], np.int32)
    matched = to_model[dataset.labels]
    rows = np.flatnonzero(matched >= 0)
    if not len(rows):
        raise UserError(
            f"The model knows none of the characters in the {dataset.split} split of {dataset.name}; "
            f"choose a data set with some of its {len(labels)} classes ({' '.join(labels.characters[:5])} …)."
        )
    counts = np.bincount(dataset.labels[matched < 0], minlength=len(dataset.classes))
    left_out = Counter({dataset.classes[int(index)]: int(counts[index]) for index in np.flatnonzero(counts)})
    return replace(dataset.select(rows), labels=matched[rows], classes=labels), rows, left_out


def fit_images(dataset: CharacterDataset, predictor: Predictor) -> CharacterDataset:
    """Return the data set at the recognizer's image size, brought there as the recognizer does with any image.

    Raises:
        UserError: one of the two sizes is not square, so that resizing would distort the characters.
    """
    if dataset.image_size == predictor.image_size:
        return dataset
    height, width = predictor.image_size
    boxed = predictor.normalization == "ink-box"
    if height != width or (not boxed and dataset.image_size[0] != dataset.image_size[1]):
        sizes = ["x".join(map(str, size)) for size in (dataset.image_size, predictor.image_size)]
        raise UserError(
            f"The images of {dataset.name} are {sizes[0]} pixels and {predictor.path} takes {sizes[1]}: "
            "resizing would distort the characters, so choose a model and a data set of the same proportions."
        )
    if not boxed:
        return dataset.resized(height)
    images = np.empty((len(dataset), height, width), np.uint8)
    for lot in in_lots(len(dataset), LOT):
        images[lot] = np.rint(fit_image(dataset.images[lot], height, box=True))
    return replace(dataset, images=images)


def _predict(predictor: Predictor, dataset: CharacterDataset, by_script: ScriptScores) -> Predictions:
    """Return the predictions for a data set of the recognizer's classes and image size; `by_script` sees them too."""
    parts = []
    with tqdm(total=len(dataset), desc="evaluating", unit=" images", disable=None, leave=False) as progress:
        for lot in in_lots(len(dataset), LOT):
            labels = dataset.labels[lot]
            probabilities = predictor.predict(dataset.images[lot])
            parts.append(rank(probabilities, labels))
            by_script.add(probabilities, labels)
            progress.update(len(labels))
    return join(parts)


def _check_replaceable(output: Path) -> None:
    """Refuse an output folder with other contents than an earlier evaluation, which is derived data."""
    if not output.exists():
        return
    known = {METRICS, PER_CLASS, CONFUSION, PREDICTIONS, CURVES, *PICTURES}
    foreign = (
        [entry.name for entry in output.iterdir() if entry.name not in known] if output.is_dir() else [output.name]
    )
    if foreign:
        raise UserError(
            f"{output} holds something other than an evaluation ({foreign[0]}), which would be lost: "
            "choose another --output, or move that away."
        )


def _worst_classes(predictions: Predictions, scores: ClassScores, labels: Labels) -> list[dict[str, Any]]:
    """Return the classes of lowest recall that have mistakes, and what each is taken for most often."""
    imperfect = np.flatnonzero(scores.recall < 1)  # NaN, a class without test images, compares as false
    order = np.lexsort((-scores.support[imperfect], scores.recall[imperfect]))[:WORST_CLASSES]
    worst = []
    for index in imperfect[order]:
        mistakes = predictions.confusion_matrix[index].copy()
        mistakes[index] = 0
        others = [other for other in np.argsort(-mistakes, kind="stable")[:3] if mistakes[other]]
        worst.append(
            {
                "character": labels[index],
                "support": int(scores.support[index]),
                "recall": float(scores.recall[index]),
                "taken_for": {labels[other]: int(mistakes[other]) for other in others},
            }
        )
    return worst


def _write_per_class(path: Path, scores: ClassScores, labels: Labels) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["index", "character", "code_point", "support", "precision", "recall", "f1"])
        columns = zip(labels, scores.support, scores.precision, scores.recall, scores.f1, strict=True)
        for index, (character, support, *shares) in enumerate(columns):
            cells = ["" if np.isnan(share) else f"{share:.6f}" for share in shares]
            writer.writerow([index, character, labels.code_point(index), support, *cells])


def _write_confusion(path: Path, predictions: Predictions, labels: Labels) -> None:
    """Write the cells of the confusion matrix that are not zero; thousands of classes leave nearly all of them so."""
    cells = predictions.labels.astype(np.int64) * predictions.classes + predictions.predicted
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["true", "true_code_point", "predicted", "predicted_code_point", "count"])
        for cell, count in zip(*np.unique(cells, return_counts=True), strict=True):
            pair = divmod(int(cell), predictions.classes)
            writer.writerow([part for index in pair for part in (labels[index], labels.code_point(index))] + [count])


def _write_predictions(path: Path, predictions: Predictions, rows: np.ndarray) -> None:
    """Write each tested image's row in the data set, its true class, and the five most probable ones."""
    np.savez_compressed(
        path,
        rows=rows.astype(np.int32),
        labels=predictions.labels,
        predicted=predictions.predicted,
        top_classes=predictions.top_classes,
        top_probabilities=predictions.top_probabilities,
    )


def _draw(folder: Path, images: np.ndarray, predictions: Predictions, labels: Labels) -> None:
    drawn = (
        reports.confusion_figure(predictions.confusion_matrix, labels),
        reports.confused_pairs(images, predictions, labels),
        reports.worst_mistakes(images, predictions, labels),
        reports.reliability_diagram(reliability(predictions)),
    )
    for name, figure in zip(PICTURES, drawn, strict=True):
        figures.save(figure, folder / name)
