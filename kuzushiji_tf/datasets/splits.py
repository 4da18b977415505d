"""Validation rows: carved from the training images, by class, and by writer or book where known."""

import numpy as np

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.errors import UserError


def validation_rows(dataset: CharacterDataset, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (training rows, validation rows) of a training split: sorted int64, disjoint, together every row.

    Each class gives `fraction` of its images, to within one image, and keeps at least one for training. Where
    `dataset.groups` is known no group is on both sides, and the fractions are as near as whole groups allow.
    The same data set, fraction and seed always give the same rows; fraction 0 gives no validation rows.

    Raises:
        UserError: the split is not `train`, the fraction is not in 0 <= fraction < 1, or nothing can be spared.
    """
    if dataset.split != "train":
        raise UserError(f"{dataset.name}: validation is carved from the train split only, not from {dataset.split!r}.")
    if not 0 <= fraction < 1:
        raise UserError(f"validation_fraction is {fraction}; it must be in 0 <= value < 1.")
    chosen = np.zeros(len(dataset), bool)
    if fraction:
        generator = np.random.Generator(np.random.PCG64(seed))
        choose = _choose_images if dataset.groups is None else _choose_groups
        chosen[choose(dataset, fraction, generator)] = True
        if not chosen.any():
            raise UserError(
                f"{dataset.name}: nothing can be spared for validation, since every class must keep an image for "
                "training; set validation_fraction to 0."
            )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _choose_images(dataset: CharacterDataset, fraction: float, generator: np.random.Generator) -> np.ndarray:
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    wanted = counts * fraction
    taken = np.floor(wanted).astype(np.int64)
    # What rounding down leaves over goes to the classes that lost most by it, so that many small classes together
    # still give their fraction. Equal losses are ordered at random.
    order = np.lexsort((generator.random(len(counts)), taken - wanted))
    order = order[counts[order] > taken[order] + 1]
    taken[order[: max(round(wanted.sum()), 1) - taken.sum()]] += 1
    by_class = np.split(np.argsort(dataset.labels, kind="stable"), np.cumsum(counts)[:-1])
    return np.concatenate([generator.permutation(rows)[:number] for rows, number in zip(by_class, taken, strict=True)])


def _choose_groups(dataset: CharacterDataset, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Take groups in random order, each if that brings the classes' shares nearer to the fraction."""
    classes = len(dataset.classes)
    remaining = np.bincount(dataset.labels, minlength=classes)
    present = remaining > 0
    missing = remaining * fraction  # images of each class that validation still lacks
    order = np.argsort(dataset.groups, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(dataset.groups[order])) + 1)
    chosen, nearest = [], None
    for rows in (groups[index] for index in generator.permutation(len(groups))):
        counts = np.bincount(dataset.labels[rows], minlength=classes)
        if ((remaining - counts < 1) & present).any():
            continue
        gain = np.abs(missing).sum() - np.abs(missing - counts).sum()
        if gain >= 0:
            chosen.append(rows)
            remaining, missing = remaining - counts, missing - counts
        elif not chosen and (nearest is None or gain > nearest[0]):
            nearest = gain, rows
    if not chosen and nearest is not None:
        chosen = [nearest[1]]  # every group is larger than asked for: the one that oversteps least
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
