"""The card of an exported recognizer (`model.json`): what it is, how it was made, what each of its files achieves."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.recognition.cards import LABELS
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.workdirs import WorkDirectory

_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy")
SYNTHETIC_NOTE = (
    "The test images were drawn by the program that drew the training images: the synthetic accuracy says how well the "
    "drawing was learned, not how well people's writing is read. Only real_pen figures do."
)


@dataclass(frozen=True)
class EvaluationSet:
    """The images that an export is measured on, and what stands about them in the card.

    Attributes:
        dataset: the images, their labels being indices into the recognizer's classes.
        content_hash: of the whole test split.
        left_out: images of the split that were not used.
        reason: why, for the card; empty where all were used.
    """

    dataset: CharacterDataset
    content_hash: str
    left_out: int = 0
    reason: str = ""

    @property
    def is_synthetic(self) -> bool:
        """Whether a program drew the images."""
        return self.dataset.ink == "synthetic"

    def describe(self) -> dict[str, Any]:
        """Return the card's entry."""
        entry = {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "images": len(self.dataset),
            "content_hash": self.content_hash,
            "synthetic": self.is_synthetic,
            "licence": self.dataset.licence,
            "credit": self.dataset.credit,
        }
        if self.left_out:
            entry |= {"left_out": self.left_out, "left_out_because": self.reason}
        return entry


def describe_run(workdir: WorkDirectory, which: str) -> dict[str, Any]:
    """Return what a card says about the run that a model comes from: name, training data, recipe and versions."""
    recipe = workdir.config.to_dict()
    canonical = json.dumps(recipe, sort_keys=True, ensure_ascii=False)
    trained_with = workdir.description["versions"]
    about = {
        "name": f"{workdir.config.dataset}-{workdir.config.model}",
        "training": {**workdir.description["data"], "weights": which, "versions": trained_with},
        "recipe": recipe,
        "recipe_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }
    if "ensemble" in workdir.description:
        about["ensemble"] = workdir.description["ensemble"]
    return about


def make_card(
    about: dict[str, Any],
    labels: Labels,
    image_size: tuple[int, int],
    normalization: str,
    files: dict[str, dict[str, Any]],
    test_sets: dict[str, EvaluationSet],
) -> dict[str, Any]:
    """Return the card as plain values, in the order in which a person reads it.

    Args:
        about: what the caller knows of the model's making, e.g. from `describe_run`.
        files: the figures of each file, by its name.
        test_sets: what the figures were measured on: `test`, and `real_pen` where there is one.
    """
    card = {"name": about.get("name", "recognizer"), "created": datetime.now(UTC).date().isoformat()}
    if test_sets["test"].is_synthetic:
        card["note"] = SYNTHETIC_NOTE
    card |= {
        "classes": len(labels),
        "labels": LABELS,
        "input": describe_input(image_size, normalization),
        "output": {"name": "probabilities", "shape": [1, len(labels)], "dtype": "float32"},
        "files": files,
    }
    card |= {name: test_set.describe() for name, test_set in test_sets.items()}
    return {**card, **about, "versions": versions_of(_VERSIONED)}


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
