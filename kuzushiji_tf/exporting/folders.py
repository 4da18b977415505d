"""Export a recognizer: write its files, run each over the whole test split, and keep none if one disagrees."""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation.scoring import match_classes
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.exporting.model_card import EvaluationSet, describe_file, describe_run, make_card
from kuzushiji_tf.exporting.verification import DYNAMIC_FILE, BeyondBoundError, measure_files
from kuzushiji_tf.files import atomic_folder, write_json
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.recognition import cards
from kuzushiji_tf.recognition.cards import CARD, EXPORTED_FILES, LABELS, read_card
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.workdirs import WorkDirectory

REPRESENTATIVE_IMAGES = 300


def export_run(
    workdir: WorkDirectory,
    output: Path,
    *,
    which: str = "final",
    dynamic_size: bool = False,
    overwrite: bool = False,
    test_limit: int | None = None,
    data_dir: Path | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Export a run's recognizer to a folder and return its card.

    An earlier export of the run into its own `export/` is replaced without `overwrite`.

    Args:
        which: `final` (weights of the last epoch) or `best` (of the best validation epoch).
        dynamic_size: also write a `.tflite` file that takes images of any size.
        overwrite: replace an exported folder at `output`.
        test_limit: measure on so many test images, evenly spaced; None means all.
        data_dir: as `datasets.registry.LoadOptions`.
        report: is told what happens, line by line.

    Raises:
        MissingFileError: the run has no such weights, or its data set's files are not there.
        UserError: the output holds something else, or a file differs from the Keras model by more than its bound.
    """
    predictor = load_predictor(workdir.path, which)
    overwrite = overwrite or output.resolve() == workdir.export.resolve()
    check_output(output, overwrite)
    config = workdir.config
    options = options_of_run(config, data_dir)
    # Drawn data sets need not draw all their training images again for the few that are wanted.
    few = replace(options, per_class=min(config.per_class, math.ceil(REPRESENTATIVE_IMAGES / len(predictor.labels))))
    report(f"loading {config.dataset}")
    test_sets = {"test": _limited(load_dataset(config.dataset, "test", options), test_limit)}
    if test_sets["test"].is_synthetic:
        test_sets |= _real_pen(predictor.labels, predictor.image_size, data_dir)
    return export_model(
        load_keras(predictor.path),
        predictor.labels,
        output,
        representative_images=choose_representative(load_dataset(config.dataset, "train", few), config.seed),
        test_sets=test_sets,
        about=describe_run(workdir, which),
        normalization=predictor.normalization,
        calibration=workdir.description.get("result", {}).get("calibration") if which == "final" else None,
        dynamic_size=dynamic_size,
        overwrite=overwrite,
        report=report,
    )


def export_model(
    model: keras.Model,
    labels: Labels,
    output: Path,
    *,
    representative_images: np.ndarray,
    test_sets: dict[str, EvaluationSet],
    about: dict[str, Any] | None = None,
    normalization: str = "none",
    calibration: dict[str, Any] | None = None,
    dynamic_size: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Export a Keras model (logits or probabilities out) to a folder and return its card.

    Args:
        representative_images: uint8 `[n, h, w]` of the training split, for the int8 file's ranges.
        test_sets: `test`, which decides, and any others, which are measured only.
        about: further entries of the card.
        normalization: `none` or `ink-box`, as `predictors.Predictor` has it.
        calibration: as `calibration.calibrate` returns it; its temperature goes into the files. None leaves confidence
            as the model has it.
        dynamic_size, overwrite, report: as `export_run`.

    Raises:
        UserError: the output holds something else, the model, labels and test images do not fit, the images are not
            square, or a file differs from the Keras model by more than its bound; then nothing is left behind.
    """
    check_output(output, overwrite)
    _check_model(model, labels, test_sets["test"].dataset)
    model = with_probabilities(model, calibration["temperature"] if calibration else 1.0)
    about = {**(about or {}), **({"calibration": calibration} if calibration else {})}
    with atomic_folder(output.resolve()) as folder:
        _write_files(model, folder, representative_images, normalization == "ink-box", dynamic_size, report)
        labels.write(folder / LABELS)
        try:
            figures = measure_files(
                folder,
                test_sets,
                normalization == "ink-box",
                report,
                rewrite={EXPORTED_FILES["int8"]: lambda: _write_int8_weights(model, folder)},
            )
        except BeyondBoundError as error:
            raise UserError(f"{error}; nothing was exported.") from error
        card = make_card(about, labels, model.inputs[0].shape[1:3], normalization, figures, test_sets)
        _embed(folder, labels, card)
        write_json(folder / CARD, card)
    return card


def choose_representative(train: CharacterDataset, seed: int, count: int = REPRESENTATIVE_IMAGES) -> np.ndarray:
    """Return `count` (or all) images of a training split, classes in turn, chosen by the seed: uint8 `[n, h, w]`."""
    order = np.random.default_rng(seed).permutation(len(train))
    labels = train.labels[order]
    by_class = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[by_class], np.arange(len(train.classes)))
    turn = np.arange(len(train)) - first[labels[by_class]]  # 0 for the first image of each class, 1 for the second...
    chosen = by_class[np.argsort(turn, kind="stable")[:count]]
    return train.images[np.sort(order[chosen])]


def check_output(
    output: Path,
    overwrite: bool,
    what: str = "recognizer",
    card: str = CARD,
    files: Collection[str] = (LABELS, DYNAMIC_FILE, *EXPORTED_FILES.values()),
    read: Callable[[Path], Any] = read_card,
) -> None:
    """Refuse a folder that an export would damage.

    Args:
        what: is exported.
        card: the name of its card.
        files: names of what else an export of it writes.
        read: refuses a folder whose card is damaged.

    Raises:
        UserError: it is a file, holds an export and `overwrite` is False, or holds anything that no export wrote.
    """
    if output.is_file():
        raise UserError(f"{output} is a file; an export needs a folder of its own.")
    if not output.exists() or not any(output.iterdir()):
        return
    foreign = sorted(entry.name for entry in output.iterdir() if entry.name not in {card, *files})
    if foreign or not (output / card).exists():
        found = foreign[0] if foreign else f"files, but no {card}"
        raise UserError(f"{output} holds {found}, which no export of a {what} wrote; choose another --output.")
    read(output)
    if not overwrite:
        raise UserError(f"{output} already holds an exported {what}; choose another --output, or pass --overwrite.")


def _check_model(model: keras.Model, labels: Labels, test: CharacterDataset) -> None:
    height, width = model.inputs[0].shape[1:3]
    if height != width:
        raise UserError(f"The model takes images of {height} x {width} pixels; only square ones can be exported.")
    if model.outputs[0].shape[1] != len(labels):
        raise UserError(f"The model tells {model.outputs[0].shape[1]} classes apart, but {len(labels)} are named.")
    if test.classes != labels or test.image_size != (height, width):
        raise UserError(
            f"The {test.split} split of {test.name} has other classes or another image size than the model: "
            "its files changed after the training, so train again."
        )


def _write_files(
    model: keras.Model,
    folder: Path,
    representative_images: np.ndarray,
    box: bool,
    dynamic_size: bool,
    report: Callable[[str], None],
) -> None:
    report("converting to SavedModel, .keras and .tflite")
    conversion.write_saved_model(model, folder / EXPORTED_FILES["saved_model"], box)
    model.save(folder / EXPORTED_FILES["keras"], include_optimizer=False)
    conversion.write_float32(model, folder / EXPORTED_FILES["float32"])
    conversion.write_float16(model, folder / EXPORTED_FILES["float16"])
    conversion.write_int8(model, folder / EXPORTED_FILES["int8"], representative_images)
    if dynamic_size:
        conversion.write_dynamic(model, folder / DYNAMIC_FILE, box)
    for path in folder.glob("*.tflite"):
        conversion.builtin_operators(path)


def _write_int8_weights(model: keras.Model, folder: Path) -> dict[str, Any]:
    """Write the int8 file with activations in float32, and return what its figures say of that."""
    path = folder / EXPORTED_FILES["int8"]
    conversion.write_int8_weights(model, path)
    conversion.builtin_operators(path)
    return {"activations": "float32"}


def _embed(folder: Path, labels: Labels, card: dict[str, Any]) -> None:
    """Put labels and card into each `.tflite` file, then say in the card how large each became, and its hash."""
    for path in folder.glob("*.tflite"):
        cards.embed(path, labels, card)
        card["files"][path.name] |= describe_file(path)


def _limited(dataset: CharacterDataset, limit: int | None) -> EvaluationSet:
    if limit is None or limit >= len(dataset):
        return EvaluationSet(dataset, dataset.content_hash)
    if limit < 1:
        raise UserError(f"The number of test images is {limit}; it must be at least 1.")
    rows = np.linspace(0, len(dataset) - 1, limit).astype(np.int64)
    return EvaluationSet(dataset.select(rows), dataset.content_hash, len(dataset) - limit, "the test was limited")


def _real_pen(labels: Labels, image_size: tuple[int, int], data_dir: Path | None) -> dict[str, EvaluationSet]:
    """Return the test set of people's own pen strokes, where its file is at hand."""
    try:
        dataset = load_dataset("tomoe", "test", LoadOptions(data_dir, image_size[0]))
    except MissingFileError:
        return {}
    matched, _, left_out = match_classes(dataset, labels)
    reason = f"{len(left_out)} characters are not among the classes"
    return {"real_pen": EvaluationSet(matched, dataset.content_hash, left_out.total(), reason)}
