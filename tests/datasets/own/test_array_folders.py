"""Array folders: read as laid out, split without a leak; whatever is wrong is named before any data is believed."""

import io
import json
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.batches.materializing import materialize
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import decoded, load_dataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.own.array_folders import read_array_folder, verify_array_folder
from kuzushiji_tf.datasets.own.class_folders import load_folder
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from tests.making import random_dataset

CLASSES = Labels(("あ", "い", "字"))
COUNT = 42


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(decoded, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A folder as another program writes it."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    random = np.random.default_rng(0)
    np.save(folder / "images.npy", random.integers(0, 256, (COUNT, 16, 16), np.uint8))
    np.save(folder / "labels.npy", (np.arange(COUNT) % 3).astype(np.int32))
    CLASSES.write_index_json(folder / "index.json")
    return folder


@pytest.fixture
def ours(foreign) -> Path:
    """A folder as this project writes it: three copies of each original."""
    originals = np.repeat(np.arange(COUNT // 3), 3)
    np.save(foreign / "originals.npy", originals.astype(np.int32))
    np.save(foreign / "labels.npy", (originals % 3).astype(np.int32))
    set_origin(foreign)
    return foreign


def set_origin(folder: Path, **changes) -> None:
    origin = {"dataset": "kkanji", "split": "train", "seed": 1, "licence": "CC BY-SA 4.0", "credit": "CODH"}
    write_json(folder / "origin.json", origin | changes)


def refusal(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_says_what_ink_its_images_have_whatever_its_name_is(tmp_path):
    drawn = replace(random_dataset(20), ink="synthetic", normalization="ink-box")
    written = load_folder(materialize(drawn, tmp_path / "arrays"), "train", LoadOptions())
    assert (written.ink, written.normalization) == ("synthetic", "ink-box")
    mine = load_folder(materialize(random_dataset(20), tmp_path / "mine" / "kana"), "train", LoadOptions())
    assert (mine.name, mine.ink, mine.normalization) == ("kana", "scanned", "none")


def test_an_unknown_ink_is_refused(ours):
    set_origin(ours, ink="invisible")
    assert "origin.json" in refusal(load_folder, ours, "train", LoadOptions())


def test_a_foreign_folder_is_split_by_content(foreign):
    images = np.load(foreign / "images.npy")
    images[30:] = images[:12]  # copies, under the same labels
    np.save(foreign / "images.npy", images)
    train, test = (load_folder(foreign, split, LoadOptions()) for split in ("train", "test"))
    assert train.classes == CLASSES and train.groups is None
    assert len(train) + len(test) == COUNT and len(test) >= 4
    assert np.bincount(test.labels, minlength=3).min() >= 1
    assert not np.isin(content_keys(train.images), content_keys(test.images)).any()
    assert train.licence == "unknown: the images are your own"


def test_the_split_is_found_once_and_anew_when_the_arrays_change(foreign, monkeypatch):
    first = load_folder(foreign, "test", LoadOptions())
    with monkeypatch.context() as patch:
        patch.setattr("kuzushiji_tf.datasets.own.array_folders.content_keys", None)
        np.testing.assert_array_equal(load_folder(foreign, "test", LoadOptions()).images, first.images)
    np.save(foreign / "images.npy", np.load(foreign / "images.npy")[:, ::-1, :8])
    assert load_folder(foreign, "test", LoadOptions()).image_size == (16, 8)


def test_all_images_of_a_foreign_folder_are_one_split_too(foreign):
    dataset = load_folder(foreign, "all", LoadOptions())
    np.testing.assert_array_equal(dataset.images, np.load(foreign / "images.npy"))


def test_a_folder_of_ours_is_one_split_mapped_with_the_originals_as_groups(ours):
    dataset = read_array_folder(ours, "train")
    assert isinstance(dataset.images, np.memmap) and not dataset.images.flags.writeable
    np.testing.assert_array_equal(dataset.images, np.load(ours / "images.npy"))
    np.testing.assert_array_equal(dataset.groups, np.repeat(np.arange(COUNT // 3), 3))
    assert (dataset.name, dataset.licence, dataset.credit) == ("arrays", "CC BY-SA 4.0", "CODH")


def test_the_split_that_a_folder_was_not_made_from_is_refused_with_the_way_to_it(ours):
    sentence = refusal(read_array_folder, ours, "test")
    assert str(ours) in sentence and "'test' split" in sentence and "--dataset kkanji" in sentence
    assert "'validation' split" in refusal(read_array_folder, ours, "validation")


def test_a_foreign_folder_has_no_other_splits_and_needs_enough_images(foreign):
    assert refusal(load_folder, foreign, "validation", LoadOptions()).endswith("train, test, all.")
    np.save(foreign / "images.npy", np.load(foreign / "images.npy")[:3])
    np.save(foreign / "labels.npy", np.arange(3, dtype=np.int32))
    assert "too few images" in refusal(load_folder, foreign, "test", LoadOptions())


def test_labels_of_any_integer_type_and_licence_lines_are_read(foreign):
    np.save(foreign / "labels.npy", np.load(foreign / "labels.npy").astype(np.int64))
    (foreign / "licence.txt").write_text("MIT\n")
    dataset = load_dataset(str(foreign), "train", LoadOptions(image_size=8))
    assert dataset.labels.dtype == np.int32 and dataset.image_size == (8, 8)
    assert (dataset.licence, dataset.credit) == ("MIT", "unknown: the images are your own")


def _npy(header: bytes | dict, data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def _array(name: str, values: np.ndarray):
    return lambda folder: np.save(folder / name, values)


def _claimed(shape: tuple[int, ...]):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    return lambda folder: (folder / "images.npy").write_bytes(_npy(header, b"1234"))


def _cut(name: str, count: int):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:count])


class _Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


def _pickled(folder: Path) -> None:
    header = {"descr": "|O", "fortran_order": False, "shape": (COUNT,)}
    (folder / "labels.npy").write_bytes(_npy(header, pickle.dumps(_Bomb())))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut("images.npy", 5000), r"images\.npy .*5,000 bytes .*10,880"),
        (_cut("images.npy", 40), r"images\.npy .*damaged"),
        (_cut("labels.npy", 0), r"labels\.npy .*damaged"),
        (_claimed((10**12, 64, 64)), r"images\.npy .*132 bytes .*4,096,000,000,000,128"),
        (_claimed((0, 16, 16)), r"images\.npy .*uint8 \[0, 16, 16\]"),
        (_array("images.npy", np.zeros((COUNT, 16, 16, 1), np.uint8)), "3 dimensions"),
        (_array("images.npy", np.zeros((COUNT, 16, 16), np.float32)), r"float32 \[42, 16, 16\]"),
        (_array("labels.npy", np.zeros(COUNT)), r"labels\.npy .*float64 \[42\]"),
        (_array("labels.npy", np.zeros(COUNT - 1, np.int32)), r"labels\.npy .*41 numbers .*42 images"),
        (_array("labels.npy", np.arange(COUNT) % 3 - 1), r"labels\.npy: image 0 has -1"),
        (_array("labels.npy", np.arange(COUNT) // 10), r"image 30 .*3.*index\.json .*2"),
        (_array("labels.npy", np.full(COUNT, 2**40)), "image 0 has 1099511627776"),
        (_pickled, r"labels\.npy .*object \[42\]"),
        (lambda folder: (folder / "index.json").write_text("[]"), r"index\.json"),
        (lambda folder: (folder / "origin.json").write_text("{"), "dataset and split"),
        (lambda folder: set_origin(folder, dataset=7), "dataset and split"),
        (_array("originals.npy", np.zeros(3, np.int32)), r"originals\.npy .*3 numbers .*42 images"),
    ],
)
@pytest.mark.parametrize("verify", [False, True])
def test_what_is_wrong_is_named_in_one_sentence(ours, spoil, message, verify):
    spoil(ours)
    with pytest.raises(UserError, match=message) as caught:
        verify_array_folder(ours) if verify else load_folder(ours, "train", LoadOptions())
    assert str(ours) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "index.json", "originals.npy"])
def test_a_missing_file_is_named(ours, name):
    (ours / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        load_folder(ours, "train", LoadOptions())


def test_verifying_says_what_is_there(ours, foreign):
    hash_of_content = read_array_folder(ours, "train").content_hash
    set_origin(ours, content_hash=hash_of_content)
    found = verify_array_folder(ours)
    assert found == {
        "images": COUNT,
        "classes": 3,
        "height": 16,
        "width": 16,
        "counts": {"あ": 15, "い": 15, "字": 12},
        "empty_classes": 0,
        "origin": json.loads((ours / "origin.json").read_text(encoding="utf-8")),
        "content_hash": hash_of_content,
    }
    json.dumps(found)


def test_what_this_project_materializes_is_verified_and_read(tmp_path):
    dataset = random_dataset(30)
    folder = materialize(dataset, tmp_path / "written")
    assert verify_array_folder(folder)["counts"] == dict(
        zip(dataset.classes, np.bincount(dataset.labels, minlength=10).tolist(), strict=True)
    )
    read = load_folder(folder, "train", LoadOptions())
    np.testing.assert_array_equal(read.images, dataset.images[read.groups])
    assert [read.classes[label] for label in read.labels] == [dataset.classes[label] for label in dataset.labels]
    assert (read.licence, read.credit) == (dataset.licence, dataset.credit)
    assert "--dataset kmnist" in refusal(load_folder, folder, "test", LoadOptions())


def test_verifying_finds_black_images_changed_content_and_mixed_originals(ours):
    images = np.load(ours / "images.npy")
    set_origin(ours, content_hash=read_array_folder(ours, "train").content_hash)
    changed = images.copy()
    changed[5, 3, 3] ^= 1
    np.save(ours / "images.npy", changed)
    assert "changed" in refusal(verify_array_folder, ours)
    images[17] = 0
    np.save(ours / "images.npy", images)
    assert refusal(verify_array_folder, ours) == f"{ours / 'images.npy'}: image 17 is all black."
    labels = np.load(ours / "labels.npy")
    labels[4] += 1
    np.save(ours / "labels.npy", labels)
    assert "original, 1," in refusal(verify_array_folder, ours)


def test_the_largest_original_says_nothing_about_memory(foreign, ours):
    np.save(ours / "originals.npy", np.arange(COUNT) + 2**31 - 1 - COUNT)
    set_origin(ours, content_hash=None)
    tracemalloc.start()
    try:
        assert verify_array_folder(ours)["images"] == COUNT
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, -1, 2000, 10**12])
def test_the_size_that_an_origin_claims_is_that_of_an_image(ours, size):
    set_origin(ours, image_size=size)
    assert "at most 1024 pixels" in refusal(load_folder, ours, "train", LoadOptions())
