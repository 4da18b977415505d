"""The figures of a data set, and its splits as a file: right, and the same whatever order the images are in."""

import csv
import hashlib

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.summaries import (
    class_counts,
    describe,
    shared_images,
    split_rows,
    summarize,
    write_classes,
    write_split_file,
)


def _dataset(values: list[int], labels: list[int], split: str = "train", **more) -> CharacterDataset:
    """One image of 2 x 3 pixels for each value, all of that brightness."""
    images = np.repeat(np.array(values, np.uint8), 6).reshape(-1, 2, 3)
    classes = Labels(("う", "𤾣", "あ", "か゚"))
    return CharacterDataset("toy", split, images, np.array(labels, np.int32), classes, "CC0", "nobody", **more)


def test_the_summary_counts_what_is_there():
    summary = summarize(_dataset([0, 51, 51, 102, 51], [0, 0, 0, 1, 3]))
    assert (summary["images"], summary["height"], summary["width"]) == (5, 2, 3)
    assert (summary["classes"], summary["empty_classes"], summary["single_image_classes"]) == (4, 1, 2)
    assert (summary["smallest_class"], summary["median_class"], summary["largest_class"]) == (1, 1.0, 3)
    assert summary["imbalance_ratio"] == 3.0
    assert summary["ink_fraction"] == pytest.approx(0.2)
    assert summary["blank_images"] == 1
    assert summary["duplicate_images"] == 2
    assert summary["ambiguous_images"] == 3
    assert (summary["groups"], summary["sources"]) == (None, None)


def test_writers_and_sources_are_counted_where_they_are_known():
    numbers = np.array([7, 7, 2], np.int32)
    origin = {"groups": numbers, "sources": np.array([1, 1, 0], np.int32), "source_names": ("k49", "kkanji")}
    summary = summarize(_dataset([1, 2, 3], [0, 1, 2], **origin))
    assert summary["groups"] == 2
    assert summary["sources"] == {"k49": 1, "kkanji": 2}
    assert any("k49 1, kkanji 2" in line for line in describe(summary))


def test_an_empty_split_has_a_summary():
    summary = summarize(_dataset([], []))
    assert (summary["images"], summary["largest_class"], summary["imbalance_ratio"]) == (0, 0, 0.0)
    assert describe(summary)[1] == "4 classes, 4 of them without images"


def test_counts_per_class_are_a_table(tmp_path):
    dataset = _dataset([1, 2, 3], [0, 0, 3])
    write_classes(tmp_path / "classes.csv", dataset)
    with open(tmp_path / "classes.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["images"]) for row in rows] == class_counts(dataset).tolist() == [2, 0, 0, 1]
    assert rows[1] == {"index": "1", "character": "𤾣", "code_point": "U+24FA3", "images": "0"}
    assert rows[3]["code_point"] == "U+304B U+309A"


def test_a_key_is_the_digest_of_shape_and_pixels():
    (row,) = split_rows(_dataset([9], [2], "test"))
    pixels = bytes([2, 0, 0, 0, 3, 0, 0, 0]) + bytes([9] * 6)
    assert row == ("test", "あ", "U+3042", hashlib.sha256(pixels).hexdigest())


def test_keys_that_end_in_zeros_are_written_whole():
    rows = split_rows(_dataset(list(range(256)), [0] * 256))
    keys = {key for *_, key in rows}
    assert any(key.endswith("00") for key in keys)
    assert {len(key) for key in keys} == {64}
    assert len(keys) == 256


def test_the_split_file_depends_on_the_images_alone(tmp_path):
    values, labels = list(range(20)), [number % 4 for number in range(20)]
    digests = set()
    for order in (np.arange(20), np.random.default_rng(0).permutation(20)):
        dataset = _dataset(values, labels).select(order)
        digests.add(write_split_file(tmp_path / "split.csv", split_rows(dataset)))
    content = (tmp_path / "split.csv").read_bytes()
    assert digests == {hashlib.sha256(content).hexdigest()}
    assert content.decode().splitlines()[0] == "split,character,code_point,key"
    assert len(content.splitlines()) == 21


def test_images_that_stand_in_two_splits_are_counted_once():
    train, test = _dataset([1, 1, 2, 3], [0, 0, 1, 2]), _dataset([1, 3, 4], [0, 2, 3], "test")
    assert shared_images(split_rows(train)) == 0
    assert shared_images(split_rows(train) + split_rows(test)) == 2
