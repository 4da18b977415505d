"""What an export is made from, besides the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.recognition.readings import THRESHOLD


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

    @classmethod
    def whole(cls, dataset: CharacterDataset) -> "EvaluationSet":
        """Return a split of which nothing is left out."""
        return cls(dataset, dataset.content_hash)

    def reduced(self, dataset: CharacterDataset, left_out: int, reason: str) -> "EvaluationSet":
        """Return some of the images, with how many of the others were left out, and why."""
        if not left_out:
            return replace(self, dataset=dataset)
        reasons = "; ".join(filter(None, (self.reason, reason)))
        return replace(self, dataset=dataset, left_out=self.left_out + left_out, reason=reasons)

    @property
    def is_synthetic(self) -> bool:
        """Whether a program drew the images."""
        return self.dataset.ink == "synthetic"

    def describe(self) -> dict[str, Any]:
        """Return the card's entry."""
        entry = {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "images": int(self.dataset.is_character.sum()),
            "content_hash": self.content_hash,
            "synthetic": self.is_synthetic,
            "licence": self.dataset.licence,
            "credit": self.dataset.credit,
        }
        if not self.dataset.is_character.all():
            entry["others"] = int((~self.dataset.is_character).sum())
        if self.left_out:
            entry |= {"left_out": self.left_out, "left_out_because": self.reason}
        return entry


@dataclass(frozen=True, eq=False)
class Source:
    """What an export is made from, besides the model.

    Attributes:
        labels: the classes of the model's outputs.
        representative_images: uint8 `[n, h, w]` of the training split, for the int8 file's ranges.
        test_sets: `test`, which decides, and any others, which are measured only.
        normalization: `none` or `ink-box`, as `predictors.Predictor` has it.
        calibration: as `calibration.calibrate` returns it; its temperature goes into the files. None leaves confidence
            as the model has it.
        about: further entries of the card.
        refusal_threshold: the least probability of the class `UNKNOWN`, if there is one, at which an image is refused.
    """

    labels: Labels
    representative_images: np.ndarray
    test_sets: Mapping[str, EvaluationSet]
    normalization: str = "none"
    calibration: Mapping[str, Any] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    refusal_threshold: float = THRESHOLD

    @property
    def box(self) -> bool:
        """Whether images are normalized by the box around their ink."""
        return self.normalization == "ink-box"
