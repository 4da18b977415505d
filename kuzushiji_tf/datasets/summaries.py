"""What is in a data set, in numbers: counts per class, a summary, and its splits as a file that others can check."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import to_code_point
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys, in_lots


def class_counts(dataset: CharacterDataset) -> np.ndarray:
    """Return the number of images of each class, int64 `[classes]`."""
    return np.bincount(dataset.labels, minlength=len(dataset.classes))


def summarize(dataset: CharacterDataset) -> dict[str, Any]:
    """Return the figures of one split as plain values.

    `smallest_class` to `largest_class` are images per class, over the classes that have any; `imbalance_ratio` is the
    largest of them over the smallest. `ink_fraction` is the mean brightness over 255. `duplicate_images` are those
    that equal an earlier image, `ambiguous_images` those that also stand in another class.
    """
    counts = class_counts(dataset)
    filled = counts[counts > 0]
    quartiles = np.percentile(filled, (0, 25, 50, 75, 100)).tolist() if len(filled) else [0.0] * 5
    ink, blank = _ink(dataset.images)
    duplicates, ambiguous = _repeated(dataset)
    smallest, lower, median, upper, largest = quartiles
    return {
        "dataset": dataset.name,
        "split": dataset.split,
        "dataset_hash": dataset.content_hash,
        "images": len(dataset),
        "height": dataset.image_size[0],
        "width": dataset.image_size[1],
        "classes": len(dataset.classes),
        "empty_classes": len(counts) - len(filled),
        "single_image_classes": int((counts == 1).sum()),
        "smallest_class": int(smallest),
        "lower_quartile": lower,
        "median_class": median,
        "upper_quartile": upper,
        "largest_class": int(largest),
        "imbalance_ratio": largest / smallest if smallest else 0.0,
        "ink_fraction": ink,
        "blank_images": blank,
        "left_out": dict(dataset.left_out),
        "duplicate_images": duplicates,
        "ambiguous_images": ambiguous,
        "groups": None if dataset.groups is None else len(np.unique(dataset.groups)),
        "sources": _images_by_source(dataset),
        "licence": dataset.licence,
        "credit": dataset.credit,
    }


def describe(summary: dict[str, Any]) -> list[str]:
    """Return the lines that tell a person what `summarize` found."""
    keys = ("smallest_class", "lower_quartile", "median_class", "upper_quartile", "largest_class")
    spread = " / ".join(f"{summary[key]:,.0f}" for key in keys)
    figures = {
        "images of a class": f"{spread}   (smallest / quartile / median / quartile / largest)",
        "largest over smallest": f"{summary['imbalance_ratio']:,.1f}",
        "classes of one image": f"{summary['single_image_classes']:,}",
        "ink": f"{summary['ink_fraction']:.1%} of the area",
        "images without ink": f"{summary['blank_images']:,}",
        "repeated images": f"{summary['duplicate_images']:,}",
        "in several classes": f"{summary['ambiguous_images']:,}",
        "writers or originals": "not known" if summary["groups"] is None else f"{summary['groups']:,}",
    }
    if summary["left_out"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary["left_out"].items())
        figures["left out when read"] = f"{reasons}   (of all splits)"
    if summary["sources"]:
        figures["from"] = ", ".join(f"{name} {count:,}" for name, count in summary["sources"].items())
    figures |= {"licence": summary["licence"], "credit": summary["credit"]}
    size = f"{summary['height']} x {summary['width']} pixels"
    empty = f", {summary['empty_classes']:,} of them without images" if summary["empty_classes"] else ""
    return [
        f"{summary['dataset']}, {summary['split']} split: {summary['images']:,} images of {size}",
        f"{summary['classes']:,} classes{empty}",
        "",
        *(f"  {title:24}{value}" for title, value in figures.items()),
    ]


def write_classes(path: Path, dataset: CharacterDataset) -> None:
    """Write the counts per class as CSV: `index,character,code_point,images`."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("index", "character", "code_point", "images"))
        for index, count in enumerate(class_counts(dataset).tolist()):
            writer.writerow((index, dataset.classes[index], dataset.classes.code_point(index), count))


def split_rows(dataset: CharacterDataset) -> list[tuple[str, str, str, str]]:
    """Return a line for each image of one split: the split, the character, its code point and the image's key.

    The key is the content key of `datasets.core.content_keys` in hexadecimal. The lines are sorted by character and
    key, so that they depend on the images alone and not on the order in which they were read.
    """
    keys = [key.ljust(32, b"\0").hex() for key in content_keys(dataset.images).tolist()]
    characters = [dataset.classes[label] for label in dataset.labels.tolist()]
    rows = zip(characters, keys, strict=True)
    return [(dataset.split, character, to_code_point(character), key) for character, key in sorted(rows)]


def write_split_file(path: Path, rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Write such lines as CSV, `split,character,code_point,key`; return the file's SHA-256 in hexadecimal."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("split", "character", "code_point", "key"))
        writer.writerows(rows)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def shared_images(rows: Sequence[tuple[str, str, str, str]]) -> int:
    """Return how many different images stand in more than one split."""
    by_split: dict[str, set[str]] = {}
    for split, _, _, key in rows:
        by_split.setdefault(split, set()).add(key)
    return sum(map(len, by_split.values())) - len(set().union(*by_split.values()))


def _ink(images: np.ndarray) -> tuple[float, int]:
    """Return the mean brightness over 255, and how many images have no ink at all."""
    total, blank = 0, 0
    for part in in_lots(len(images)):
        sums = images[part].sum(axis=(1, 2), dtype=np.int64)
        total += int(sums.sum())
        blank += int((sums == 0).sum())
    return total / (255 * max(images.size, 1)), blank


def _repeated(dataset: CharacterDataset) -> tuple[int, int]:
    """Return how many images equal an earlier one, and how many equal one of another class."""
    _, original, times = np.unique(content_keys(dataset.images), return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([original, dataset.labels]), axis=1)
    classes_of = np.bincount(pairs[0], minlength=len(times))
    return len(dataset) - len(times), int(times[classes_of > 1].sum())


def _images_by_source(dataset: CharacterDataset) -> dict[str, int] | None:
    if dataset.sources is None:
        return None
    counts = np.bincount(dataset.sources, minlength=len(dataset.source_names)).tolist()
    return dict(zip(dataset.source_names, counts, strict=True))
