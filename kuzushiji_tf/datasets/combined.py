"""Several data sets as one: `a+b`. One label space, one image size, and no original on both sides of the split."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.registry import LoadOptions, entry_of, load_dataset
from kuzushiji_tf.errors import UserError


def load_combined(names: Sequence[str], split: str, options: LoadOptions) -> CharacterDataset:
    """Load one split of several registered data sets as one data set.

    Classes are those of all parts in the order of their code points; images are resized to `options.image_size`, or
    else to the largest of the parts. The parts follow each other in the order of `names`, which `sources` tells.
    Parts may share originals (Kuzushiji-MNIST and Kuzushiji-49 do): each is taken from the first part that has it,
    and training images that stand in a test split of any part are left out. Where a part knows its groups, those of
    different parts are kept apart, and each image of a part without groups is a group of its own. Parts of different
    `ink` or `normalization` are together `scanned` and `none`, the kinds that promise nothing.

    Raises:
        UserError: a part is named twice or lacks the split, or no image is left.
        MissingFileError: a part's files are nowhere.
    """
    name = "+".join(names)
    if len(set(names)) < len(names):
        raise UserError(f"The data set {name!r} names a part twice; name each once.")
    for own in names:
        if split not in entry_of(own).splits:
            raise UserError(
                f"The data set {name!r} has no {split!r} split, since its part {own!r} has only: "
                f"{', '.join(entry_of(own).splits)}."
            )
    seen = np.zeros(0, "S32")
    if split == "train":
        tests = (_load_part(own, "test", options) for own in names if "test" in entry_of(own).splits)
        seen = np.concatenate([seen, *(content_keys(test.images) for test in tests)])
    parts: list[CharacterDataset] = []
    sizes: list[int] = []
    for part in (_load_part(own, split, options) for own in names):
        keys = content_keys(part.images)
        is_new = ~np.isin(keys, seen)
        parts.append(part if is_new.all() else part.select(np.flatnonzero(is_new)))
        sizes += part.image_size
        seen = np.concatenate([seen, keys])
    if not any(map(len, parts)):
        raise UserError(f"The data set {name!r} has no image left for {split!r}: all of them stand in a test split.")
    return _joined(name, split, parts, options.image_size or max(sizes))


def _load_part(name: str, split: str, options: LoadOptions) -> CharacterDataset:
    """Load a part before resizing, as originals are compared; only strokes are drawn at the asked size."""
    drawn = options.image_size or options.stroke_size
    return load_dataset(name, split, replace(options, image_size=None, stroke_size=drawn, classes=None))


def _joined(name: str, split: str, parts: list[CharacterDataset], size: int) -> CharacterDataset:
    classes = Labels(tuple(sorted({character for part in parts for character in part.classes})))
    count = sum(map(len, parts))
    images = np.empty((count, size, size), np.uint8)
    labels, groups, sources = np.empty((3, count), np.int32)
    start, first_group = 0, 0
    for source, part in enumerate(parts):
        rows = slice(start, start + len(part))
        images[rows] = part.resized(size).images
        numbers = np.array([classes.index_of(character) for character in part.classes], np.int32)
        labels[rows] = numbers[part.labels]
        members = np.arange(len(part)) if part.groups is None else np.unique(part.groups, return_inverse=True)[1]
        groups[rows] = members + first_group
        sources[rows] = source
        start += len(part)
        first_group += int(members.max(initial=-1)) + 1
    has_groups = any(part.groups is not None for part in parts)
    return CharacterDataset(
        name,
        split,
        images,
        labels,
        classes,
        "; ".join(dict.fromkeys(part.licence for part in parts)),
        "; ".join(dict.fromkeys(part.credit for part in parts)),
        groups if has_groups else None,
        sources,
        tuple(part.name for part in parts),
        ink=parts[0].ink if len({part.ink for part in parts}) == 1 else "scanned",
        normalization=parts[0].normalization if len({part.normalization for part in parts}) == 1 else "none",
    )
