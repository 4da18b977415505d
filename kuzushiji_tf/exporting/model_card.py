"""The card of an exported recognizer (`model.json`): what it is, how it was made, what each of its files achieves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.config import SCHEMA, TrainingConfig
from kuzushiji_tf.exporting.sources import Source
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.recognition.cards import LABELS
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.workdirs import WorkDirectory

_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy")
SYNTHETIC_NOTE = (
    "The test images were drawn by the program that drew the training images: the synthetic accuracy says how well the "
    "drawing was learned, not how well people's writing is read. Only real_pen figures do."
)


def describe_run(workdir: WorkDirectory, config: TrainingConfig, file: str) -> dict[str, Any]:
    """Return what a card says about the run that a model comes from: name, training data, recipe and versions.

    Args:
        workdir: of the run.
        config: its settings, as this version knows them.
        file: which of its models.
    """
    description = workdir.description
    about = {
        "name": f"{workdir.data['name']}-{config.model}",
        "training": {**workdir.data, "weights": file, "versions": description["versions"]},
        "recipe": config.to_dict(),
        "recipe_sha256": config.sha256,
    }
    origins = {name: description[name] for name in ("ensemble", "initial_weights") if name in description}
    return about | origins


def make_card(source: Source, image_size: tuple[int, int], files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the card as plain values, in the order in which a person reads it.

    Args:
        source: what the export is made from.
        image_size: height and width in pixels.
        files: the figures of each file, by its name.
    """
    created = datetime.now(UTC).date().isoformat()
    card = {"schema": SCHEMA, "name": source.about.get("name", "recognizer"), "created": created}
    if source.test_sets["test"].is_synthetic:
        card["note"] = SYNTHETIC_NOTE
    card |= {
        "classes": len(source.labels),
        "labels": LABELS,
        "input": describe_input(image_size, source.normalization),
        "output": {"name": "probabilities", "shape": [1, len(source.labels)], "dtype": "float32"},
        "files": files,
    }
    if UNKNOWN in source.labels:
        card["unknown"] = {"character": UNKNOWN, "threshold": source.refusal_threshold}
    card |= {name: test_set.describe() for name, test_set in source.test_sets.items()}
    card |= source.about
    if source.calibration:
        card["calibration"] = source.calibration
    return {**card, "versions": versions_of(_VERSIONED)}


def describe_input(image_size: tuple[int, int], normalization: str) -> dict[str, Any]:
    """Return what a card says of the image that a file takes.

    Args:
        image_size: height and width in pixels.
        normalization: as `Predictor.normalization`.
    """
    return {
        "name": "image",
        "shape": [1, *image_size, 1],
        "dtype": "float32",
        "range": [0, 255],
        "ink": "white on black",
        "normalization": normalization,
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Return size and hash of a file, or of a folder's files together."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {"bytes": sum(file.stat().st_size for file in files), "sha256": content_sha256(path)}
