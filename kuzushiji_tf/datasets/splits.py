"""Test and validation rows: chosen from originals, by class, and by writer or book where known."""

from dataclasses import replace

import numpy as np

from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.errors import UserError

TEST_FRACTION = 1 / 7  # as in Kuzushiji-MNIST: 60,000 to 10,000


def held_out_rows(keys: np.ndarray, labels: np.ndarray, classes: int, fraction: float = TEST_FRACTION) -> np.ndarray:
    """Return which rows are for testing, bool `[n]`: a function of the images and their classes alone.

    Equal images are one original and stay together. A class of `n` originals gives `n * fraction` of them: the whole
    part of that always; the fractional parts together give the total its share, and go to the classes that rounding
    down cost most. No class gives its only original. Within a class the originals with the lowest keys are taken.

    Args:
        keys: `S32` `[n]`, as `core.content_keys` returns them; the order of the rows plays no part.
        labels: int `[n]`, class indices below `classes`.
        fraction: of the originals; in 0 <= fraction < 1.
    """
    _, first, original = np.unique(keys, return_index=True, return_inverse=True)
    # An image that stands in two classes counts for the one with the lower index, and is held out in both or neither.
    label = np.full(len(first), classes)
    np.minimum.at(label, original, labels)
    counts = np.bincount(label, minlength=classes)
    taken = _shares(counts, fraction, tie_break=np.arange(classes))
    order = np.argsort(label, kind="stable")  # np.unique has sorted the originals by key
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return (rank < taken[label])[original]


def held_out_groups(
    groups: np.ndarray, labels: np.ndarray, classes: int, fraction: float = TEST_FRACTION
) -> np.ndarray:
    """Return which rows are for testing, bool `[n]`, by whole groups: writers, sheets or books.

    The same groups are chosen whenever the data are the same, and no group stands on both sides; every class keeps
    at least one image for training.

    Args:
        groups: int `[n]`.
        labels: int `[n]`, class indices below `classes`.
    """
    chosen = np.zeros(len(labels), bool)
    chosen[_choose_groups(groups, labels, classes, fraction, np.random.Generator(np.random.PCG64(0)))] = True
    return chosen


def divided_anew(train: CharacterDataset, test: CharacterDataset, split: str) -> CharacterDataset:
    """Return a split (`train` or `test`) of the images of both, divided by class with no regard to writers or books.

    Equal images stay together, as `held_out_rows` says. The groups are forgotten, so that validation is random too.

    Raises:
        UserError: another split, or the two have different classes or image sizes.
    """
    if split not in ("train", "test"):
        raise UserError(f"A random split of {train.name} has train and test images, and no {split!r} split.")
    if train.classes != test.classes or train.image_size != test.image_size:
        raise UserError(f"The splits of {train.name} differ in classes or image size: they cannot be divided anew.")
    keys = np.concatenate([content_keys(part.images) for part in (train, test)])
    held_out = held_out_rows(keys, np.concatenate([train.labels, test.labels]), len(train.classes))
    wanted = held_out == (split == "test")
    rows = np.split(wanted, [len(train)])
    parts = [part.select(np.flatnonzero(own)) for part, own in zip((train, test), rows, strict=True)]
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    sources = [part.sources for part in parts if part.sources is not None]
    joined = np.concatenate(sources) if sources else None
    return replace(train, split=split, images=images, labels=labels, groups=None, sources=joined)


def validation_rows(dataset: CharacterDataset, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (training rows, validation rows) of a training split: sorted int64, disjoint, together every row.

    Equal images are one original and stay together. Each class gives `fraction` of its originals, to within one, and
    keeps at least one for training. Where `dataset.groups` is known no group is on both sides, groups that share an
    image count as one, and the fractions are as near as whole groups allow. The same data set, fraction and seed always
    give the same rows; fraction 0 gives no validation rows.

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
        labels, classes, keys = dataset.labels, len(dataset.classes), content_keys(dataset.images)
        if dataset.groups is None:
            taken = _choose_originals(keys, labels, classes, fraction, generator)
        else:
            taken = _choose_groups(_joined_groups(dataset.groups, keys), labels, classes, fraction, generator)
        chosen[taken] = True
        if not chosen.any():
            raise UserError(
                f"{dataset.name}: nothing can be spared for validation, since every class must keep an image for "
                "training; set validation_fraction to 0."
            )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _choose_originals(
    keys: np.ndarray, labels: np.ndarray, classes: int, fraction: float, generator: np.random.Generator
) -> np.ndarray:
    """Take originals of each class at random, with all their copies; one that stands in two classes is never taken."""
    _, first, original = np.unique(keys, return_index=True, return_inverse=True)
    is_certain = np.ones(len(first), bool)
    is_certain[original[labels != labels[first][original]]] = False
    rows = np.sort(first[is_certain])
    counts = np.bincount(labels[rows], minlength=classes)
    taken = _shares(counts, fraction, tie_break=generator.random(classes))
    by_class = np.split(rows[np.argsort(labels[rows], kind="stable")], np.cumsum(counts)[:-1])
    chosen = [generator.permutation(own)[:number] for own, number in zip(by_class, taken, strict=True)]
    return np.flatnonzero(np.isin(original, original[np.concatenate(chosen)]))


def _joined_groups(groups: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the groups int `[n]` with those that have an image in common, also by way of others, made one."""
    names, group = np.unique(groups, return_inverse=True)
    contents, content = np.unique(keys, return_inverse=True)
    joined = np.arange(len(names))
    while True:
        lowest = np.full(len(contents), len(names))
        np.minimum.at(lowest, content, joined[group])
        before, joined = joined, joined.copy()
        np.minimum.at(joined, group, lowest[content])
        if np.array_equal(before, joined):
            return joined[group]


def _shares(counts: np.ndarray, fraction: float, tie_break: np.ndarray) -> np.ndarray:
    """Return how many of each class's images to take: `fraction` of them, never all.

    What rounding down leaves over goes to the classes that lost most by it, so that many small classes together still
    give their fraction; equal losses are ordered by `tie_break`.
    """
    wanted = counts * fraction
    taken = np.floor(wanted).astype(np.int64)
    order = np.lexsort((tie_break, np.round(taken - wanted, 9)))  # or the last bits would decide between equals
    order = order[counts[order] > taken[order] + 1]
    taken[order[: max(round(wanted.sum()), 1) - taken.sum()]] += 1
    return taken


def _choose_groups(
    membership: np.ndarray, labels: np.ndarray, classes: int, fraction: float, generator: np.random.Generator
) -> np.ndarray:
    """Take groups in random order, each if that brings the classes' shares nearer to the fraction."""
    remaining = np.bincount(labels, minlength=classes)
    present = remaining > 0
    missing = remaining * fraction  # images of each class that validation still lacks
    order = np.argsort(membership, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(membership[order])) + 1)
    chosen, nearest = [], None
    for rows in (groups[index] for index in generator.permutation(len(groups))):
        counts = np.bincount(labels[rows], minlength=classes)
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
