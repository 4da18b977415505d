"""`CharacterDataset`: what it promises about shapes, types and labels, and its two transformations."""

import hashlib

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.errors import UserError

COUNT = 30


def build(**changes) -> CharacterDataset:
    generator = np.random.default_rng(0)
    values = {
        "name": "toy",
        "split": "train",
        "images": generator.integers(0, 256, (COUNT, 12, 10), np.uint8),
        "labels": np.arange(COUNT, dtype=np.int32) % 3,
        "classes": Labels(("あ", "い", "う")),
        "licence": "none",
        "credit": "nobody",
        "groups": np.arange(COUNT, dtype=np.int32) // 7,
        "sources": np.arange(COUNT, dtype=np.int32) // 20,
        "source_names": ("here", "there"),
    }
    return CharacterDataset(**(values | changes))


def test_data_set_knows_its_length_and_image_size():
    assert len(build()) == COUNT
    assert build().image_size == (12, 10)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"images": np.zeros((COUNT, 12, 10), np.float32)}, "images .*uint8"),
        ({"images": np.zeros((COUNT, 12, 10, 1), np.uint8)}, "images .*uint8"),
        ({"labels": np.zeros(COUNT, np.int64)}, "labels .*int32"),
        ({"labels": np.zeros(COUNT - 1, np.int32)}, r"labels .*int32 \[30\]"),
        ({"groups": np.zeros(COUNT - 1, np.int32)}, r"groups .*int32 \[30\]"),
        ({"labels": np.full(COUNT, 3, np.int32)}, "3 to 3, .*3 classes"),
        ({"labels": np.full(COUNT, -1, np.int32)}, "from -1"),
    ],
)
def test_content_that_breaks_the_contract_is_refused(changes, problem):
    with pytest.raises(UserError, match=f"toy: .*{problem}"):
        build(**changes)


def test_selection_keeps_the_order_of_the_rows():
    dataset, rows = build(), np.array([5, 2, 2, 29])
    selection = dataset.select(rows)
    np.testing.assert_array_equal(selection.images, dataset.images[rows])
    assert selection.labels.tolist() == [2, 2, 2, 2]
    assert selection.groups.tolist() == [0, 0, 0, 4]
    assert build(groups=None).select(rows).groups is None
    assert selection.sources.tolist() == (rows // 20).tolist() and selection.source_names == ("here", "there")
    assert len(dataset.select(np.zeros(0, np.int64))) == 0


def test_equal_content_has_an_equal_hash_and_other_content_another():
    original = build()
    other_images, other_labels = original.images.copy(), original.labels.copy()
    other_images[-1, -1, -1] ^= 1
    other_labels[-1] = 0
    assert build(name="copy", split="test").content_hash == original.content_hash
    changes = [
        {"images": other_images},
        {"labels": other_labels},
        {"classes": Labels(("あ", "い", "え"))},
        {"images": original.images.reshape(COUNT, 10, 12)},
    ]
    hashes = {build(**change).content_hash for change in changes}
    assert len(hashes) == len(changes)
    assert original.content_hash not in hashes


def test_memory_mapped_images_hash_and_select_as_others_do(tmp_path):
    dataset = build()
    np.save(tmp_path / "images.npy", dataset.images)
    mapped = build(images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    assert mapped.content_hash == dataset.content_hash
    np.testing.assert_array_equal(mapped.select(np.array([3])).images, dataset.images[[3]])


@pytest.mark.parametrize("size", [8, 12, 32])
def test_resizing_keeps_the_ink_where_it_was(size):
    images = np.zeros((2, 16, 16), np.uint8)
    images[0, :8] = 255
    images[1, :, 8:] = 255
    resized = build(images=images, labels=np.zeros(2, np.int32), groups=None, sources=None).resized(size)
    assert resized.images.dtype == np.uint8
    assert resized.image_size == (size, size)
    half, edge = size // 2, 2 * size // 16 + 1
    assert resized.images[0, : half - edge].min() > 240
    assert resized.images[0, half + edge :].max(initial=0) < 15
    assert resized.images[1, :, : half - edge].max(initial=0) < 15
    assert resized.images[1, :, half + edge :].min() > 240


def test_resizing_to_the_same_size_is_no_work_and_an_empty_set_stays_empty():
    square = build(images=np.zeros((COUNT, 12, 12), np.uint8))
    assert square.resized(12) is square
    assert square.select(np.zeros(0, np.int64)).resized(20).images.shape == (0, 20, 20)


def test_content_keys_tell_pixels_and_shape():
    images = np.zeros((3, 4, 6), np.uint8)
    images[1, 2, 3] = 1
    keys = content_keys(images)
    assert keys[0] == keys[2] != keys[1]
    assert content_keys(images.reshape(3, 6, 4))[0] != keys[0]


def test_content_keys_never_change():
    digest = hashlib.sha256(bytes([2, 0, 0, 0, 3, 0, 0, 0, 0, 1, 2, 3, 4, 5])).digest()
    assert content_keys(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))[0] == digest.rstrip(b"\0")
