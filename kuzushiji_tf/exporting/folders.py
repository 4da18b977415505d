"""Export a recognizer: write its files, run each over the whole test split, and keep none if one disagrees."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig, config_as_known
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions, default_split, is_same
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.evaluating import dataset_for, load_real_pen, origin_of, require_held_out
from kuzushiji_tf.evaluation.scoring import fit_images, match_classes
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.exporting.model_card import describe_file, describe_run, make_card
from kuzushiji_tf.exporting.sources import EvaluationSet, Source
from kuzushiji_tf.exporting.verification import DYNAMIC_FILE, BeyondBoundError, measure_files
from kuzushiji_tf.files import atomic_folder, write_json
from kuzushiji_tf.models.loading import load_keras, with_probabilities
from kuzushiji_tf.recognition import cards
from kuzushiji_tf.recognition.cards import CARD, EXPORTED_FILES, LABELS, read_card
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.recognition.readings import THRESHOLD
from kuzushiji_tf.workdirs import WorkDirectory

REPRESENTATIVE_IMAGES = 300


@dataclass(frozen=True)
class ExportOptions:
    """How an export is written.

    Attributes:
        dynamic_size: also write a `.tflite` file that takes images of any size.
        overwrite: replace an exported folder.
        report: is told what happens, line by line.
    """

    dynamic_size: bool = False
    overwrite: bool = False
    report: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Kind:
    """A kind of exported folder: what is exported, its card, what else it holds, and what reads (and checks) a card."""

    what: str
    card: str
    files: Collection[str]
    read: Callable[[Path], Any]


RECOGNIZER = Kind("recognizer", CARD, (LABELS, DYNAMIC_FILE, *EXPORTED_FILES.values()), read_card)


def export(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    run: str | Path | WorkDirectory,
    folder: str | Path | None = None,
    *,
    dataset: str | None = None,
    file: Literal["final", "best"] = "final",
    dynamic_size: bool = False,
    refusal_threshold: float = THRESHOLD,
    overwrite: bool = False,
    test_limit: int | None = None,
    data_dir: str | Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Export a run's recognizer to a folder of SavedModel, Keras and TFLite files, verify each, and return the card.

    Args:
        run: its work directory.
        folder: of the export; None: `export/` in the work directory, where an earlier one is replaced in any case.
        dataset: what is measured on, as `evaluate` takes it; None: what the run was trained on, if its test images are
            those of then.
        file: `final` (weights of the last epoch) or `best` (of the best validation epoch).
        dynamic_size: also write a `.tflite` file that takes images of any size.
        refusal_threshold: the least probability of being no character at which the exported recognizer refuses an
            image, if it has that class; best chosen on real characters that nothing was trained on.
        overwrite: replace an exported folder.
        test_limit: measure on so many test images, evenly spaced; None means all.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        report: is told what happens, line by line.

    Raises:
        MissingFileError: the run has no such weights, or its data set's files are not there.
        UserError: the threshold is no probability, the folder holds something else, the data set's test images are
            others than at the training, or a file differs from the Keras model by more than its bound.
    """
    if not 0 < refusal_threshold <= 1:
        raise UserError(f"refusal_threshold is {refusal_threshold}; it must be in 0 < value <= 1.")
    workdir = run if isinstance(run, WorkDirectory) else WorkDirectory(Path(run))
    predictor = load_predictor(workdir.path, file)
    model = load_keras(predictor.path)  # refuses what is not a network before any data is loaded
    output = Path(folder) if folder else workdir.export
    overwrite = overwrite or output.resolve() == workdir.export.resolve()
    check_output(output, overwrite)
    dataset_for(workdir.path, dataset)  # refuses where it has to be named
    config = config_as_known(workdir.description["config"], str(workdir.config_file))
    report(f"loading {dataset or config.dataset}")
    data_dir = Path(data_dir) if data_dir else None
    test, train = _images(workdir, config, predictor, dataset, data_dir)
    test_sets = {"test": _limited(test, test_limit)}
    if test_sets["test"].is_synthetic:
        test_sets |= _real_pen(predictor.labels, predictor.image_size[0], data_dir)
    source = Source(
        predictor.labels,
        choose_representative(train, config.seed),
        test_sets,
        predictor.normalization,
        workdir.description.get("result", {}).get("calibration") if file == "final" else None,
        describe_run(workdir, config, file),
        refusal_threshold,
    )
    return export_model(model, source, output, ExportOptions(dynamic_size, overwrite, report))


def export_model(
    model: keras.Model, source: Source, output: Path, options: ExportOptions = ExportOptions()
) -> dict[str, Any]:
    """Export a Keras model (logits or probabilities out) to a folder and return its card.

    Raises:
        UserError: the output holds something else, the model, labels and test images do not fit, the images are not
            square, or a file differs from the Keras model by more than its bound; then nothing is left behind.
    """
    check_output(output, options.overwrite)
    _check_model(model, source.labels, source.test_sets["test"].dataset)
    model = with_probabilities(model, source.calibration["temperature"] if source.calibration else 1.0)
    with atomic_folder(output.resolve()) as folder:
        _write_files(model, folder, source, options)
        source.labels.write(folder / LABELS)
        rewrite = {EXPORTED_FILES["int8"]: lambda: _write_int8_weights(model, folder)}
        try:
            figures = measure_files(folder, source, options.report, rewrite)
        except BeyondBoundError as error:
            raise UserError(f"{error}; nothing was exported.") from error
        card = make_card(source, model.inputs[0].shape[1:3], figures)
        _embed(folder, source.labels, card)
        write_json(folder / CARD, card)
    return card


def choose_representative(train: CharacterDataset, seed: int, count: int = REPRESENTATIVE_IMAGES) -> np.ndarray:
    """Return `count` (or all) images of a training split, from each class in turn, chosen by the seed.

    Returns:
        uint8 `[n, h, w]`.
    """
    order = np.random.default_rng(seed).permutation(len(train))
    labels = train.labels[order]
    by_class = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[by_class], np.arange(len(train.classes)))
    rank = np.arange(len(train)) - first[labels[by_class]]  # 0 for the first image of each class, 1 for the second...
    chosen = by_class[np.argsort(rank, kind="stable")[:count]]
    return train.images[np.sort(order[chosen])]


def check_output(output: Path, overwrite: bool, kind: Kind = RECOGNIZER) -> None:
    """Refuse a folder that an export would damage.

    Raises:
        UserError: it is a file, holds an export and `overwrite` is False, or holds anything that no export wrote.
    """
    if output.is_file():
        raise UserError(f"{output} is a file; an export needs a folder of its own.")
    if not output.exists() or not any(output.iterdir()):
        return
    foreign = sorted(entry.name for entry in output.iterdir() if entry.name not in {kind.card, *kind.files})
    if foreign or not (output / kind.card).exists():
        found = foreign[0] if foreign else f"files, but no {kind.card}"
        raise UserError(f"{output} holds {found}, which no export of a {kind.what} wrote; choose another --output.")
    kind.read(output)
    if not overwrite:
        raise UserError(
            f"{output} already holds an exported {kind.what}; choose another --output, or pass --overwrite."
        )


def _check_model(model: keras.Model, labels: Labels, test: CharacterDataset) -> None:
    height, width = model.inputs[0].shape[1:3]
    if height != width:
        raise UserError(f"The model takes images of {height} x {width} pixels; only square ones can be exported.")
    if model.outputs[0].shape[1] != len(labels):
        raise UserError(f"The model has {model.outputs[0].shape[1]} classes, but there are {len(labels)} labels.")
    if test.classes != labels or test.image_size != (height, width):
        raise UserError(
            f"The {test.split} split of {test.name} has other classes or another image size than the model: "
            "its files have changed since the training, so train again."
        )


def _write_files(model: keras.Model, folder: Path, source: Source, options: ExportOptions) -> None:
    options.report("converting to SavedModel, .keras and .tflite")
    conversion.write_saved_model(model, folder / EXPORTED_FILES["saved_model"], source.box)
    model.save(folder / EXPORTED_FILES["keras"], include_optimizer=False)
    conversion.write_float32(model, folder / EXPORTED_FILES["float32"])
    conversion.write_float16(model, folder / EXPORTED_FILES["float16"])
    conversion.write_int8(model, folder / EXPORTED_FILES["int8"], source.representative_images)
    if options.dynamic_size:
        conversion.write_dynamic(model, folder / DYNAMIC_FILE, source.box)
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


def _images(
    workdir: WorkDirectory, config: TrainingConfig, predictor: Predictor, dataset: str | None, data_dir: Path | None
) -> tuple[EvaluationSet, CharacterDataset]:
    """Return what a run's recognizer is measured on, as `evaluate` measures it, and some of its training images."""
    trained_on = origin_of(workdir.path).trained_on
    options = options_of_run(config, data_dir)
    # Drawn data sets need not draw all their training images again for the few that are wanted.
    few = replace(options, per_class=min(config.per_class, math.ceil(REPRESENTATIVE_IMAGES / len(predictor.labels))))
    if dataset is None:
        test = EvaluationSet.whole(load_dataset(config.dataset, "test", options))
        require_held_out(test.dataset, workdir.data)
        return test, load_dataset(config.dataset, "train", few)
    if trained_on is None or not is_same(dataset, trained_on):
        options = LoadOptions(data_dir, stroke_size=predictor.image_size[0])
    split = default_split(dataset, trained_on, config.forms)
    test = _named(load_dataset(dataset, split, options), predictor)
    if trained_on is None:  # the images that it learned from were given in Python
        return test, _named(load_dataset(dataset, "train", options), predictor).dataset
    return test, load_dataset(config.dataset, "train", few)


def _named(dataset: CharacterDataset, predictor: Predictor) -> EvaluationSet:
    """Return the images of the recognizer's characters, at its size."""
    test = _matched(dataset, predictor.labels)
    return replace(test, dataset=fit_images(test.dataset, predictor))


def _limited(test: EvaluationSet, limit: int | None) -> EvaluationSet:
    count = len(test.dataset)
    if limit is None or limit >= count:
        return test
    if limit < 1:
        raise UserError(f"The number of test images is {limit}; it must be at least 1.")
    rows = np.linspace(0, count - 1, limit).astype(np.int64)
    return test.reduced(test.dataset.select(rows), count - limit, "the test was limited")


def _matched(dataset: CharacterDataset, labels: Labels) -> EvaluationSet:
    """Return the images of the recognizer's characters."""
    matched, _, left_out = match_classes(dataset, labels)
    reason = f"{len(left_out)} characters are not among the classes"
    return EvaluationSet.whole(dataset).reduced(matched, left_out.total(), reason)


def _real_pen(labels: Labels, image_size: int, data_dir: Path | None) -> dict[str, EvaluationSet]:
    """Return the test set of what people drew with a pen, where it can be found and helps."""
    dataset, _ = load_real_pen(labels, image_size, data_dir)
    if dataset is None:
        return {}
    return {"real_pen": _matched(dataset, labels)}
