"""KMNIST and Kuzushiji-49: the published files and no others, wherever they are."""

import csv
import dataclasses
import gzip
import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets import kmnist, load_dataset
from kuzushiji_tf.datasets.arrays import read_npz_array
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError

COUNT = 20


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def gzipped_idx(array: np.ndarray, name: str, modified: int = 0) -> bytes:
    """Return an MNIST-format file, with the header that Python's gzip module writes, as the published ones have."""
    stream = io.BytesIO()
    with gzip.GzipFile(name, "wb", 9, stream, modified) as archive:
        archive.write(idx(array))
    return stream.getvalue()


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that writes a file and makes it count as published, as if its md5 were the known one."""

    def write(name: str, content: np.ndarray | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif path.suffix == ".gz":
            path.write_bytes(gzipped_idx(content, path.stem))
        else:
            np.savez_compressed(path, content)
        monkeypatch.setitem(kmnist.MD5, path.name, md5_of(path))
        return path

    return write


@pytest.fixture
def small(monkeypatch, tmp_path, publish):
    """Make the test split 20 images long and put it into `tmp_path` as `.npz` files; return images and labels."""
    monkeypatch.setitem(kmnist._KMNIST.splits, "test", dataclasses.replace(kmnist._KMNIST.splits["test"], count=COUNT))
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), np.uint8)
    labels = np.arange(COUNT, dtype=np.uint8) % 10
    publish("kmnist-test-imgs.npz", images)
    publish("kmnist-test-labels.npz", labels)
    return images, labels


@pytest.fixture
def no_download(monkeypatch):
    """Fail on any download."""

    def refuse(*arguments):
        raise AssertionError(f"a download was started: {arguments}")

    monkeypatch.setattr(kmnist, "fetch", refuse)


def load_small(folder: Path) -> kmnist.CharacterDataset:
    return load_dataset("kmnist", "test", LoadOptions(data_dir=folder))


@pytest.mark.parametrize(("split", "per_class"), [("train", 6000), ("test", 1000)])
def test_real_kmnist_has_the_published_counts_and_white_ink(data_dir, split, per_class):
    dataset = load_dataset("kmnist", split, LoadOptions(data_dir=data_dir))
    assert dataset.images.shape == (10 * per_class, 28, 28)
    assert np.bincount(dataset.labels).tolist() == [per_class] * 10
    assert dataset.images[:, 0].mean() < 30 < dataset.images[:, 10:18, 10:18].mean()
    assert dataset.classes.characters == tuple("おきすつなはまやれを")
    assert "CODH" in dataset.credit
    assert dataset.licence == "CC BY-SA 4.0"


@pytest.mark.slow
def test_real_mnist_format_files_hold_the_same_data_set(data_dir, tmp_path):
    """The published .gz files, rebuilt: their md5 shows that they are the published ones."""
    reference = load_dataset("kmnist", "test", LoadOptions(data_dir=data_dir))
    for name, array, modified in (
        ("t10k-images-idx3-ubyte.gz", reference.images, 1549161456),
        ("t10k-labels-idx1-ubyte.gz", reference.labels.astype(np.uint8), 1549161460),
    ):
        (tmp_path / name).write_bytes(gzipped_idx(array, name.removesuffix(".gz"), modified))
    if md5_of(tmp_path / "t10k-images-idx3-ubyte.gz") != kmnist.MD5["t10k-images-idx3-ubyte.gz"]:
        pytest.skip("this Python's zlib compresses to other bytes than the one the files were made with")
    dataset = load_dataset("kmnist", "test", LoadOptions(data_dir=tmp_path))
    assert dataset.content_hash == reference.content_hash


@pytest.mark.parametrize(("name", "classes"), [("kmnist", kmnist.KMNIST_CLASSES), ("k49", kmnist.K49_CLASSES)])
def test_classes_are_those_of_the_published_class_map(data_dir, name, classes):
    rows = csv.DictReader((data_dir / name / f"{name}_classmap.csv").read_text(encoding="utf-8").splitlines())
    assert [(row["index"], row["codepoint"], row["char"]) for row in rows] == [
        (str(index), classes.code_point(index), character) for index, character in enumerate(classes)
    ]


def test_real_k49_labels_name_the_published_characters(data_dir):
    labels = read_npz_array(data_dir / "k49" / "k49-test-labels.npz", shape=(38_547,), dtype=np.uint8)
    expected = read_npz_array(data_dir / "k49" / "k49-test-first100.npz", shape=(100,), dtype="<U1", member="labels")
    assert [kmnist.K49_CLASSES[index] for index in labels[:100]] == expected.tolist()


def test_k49_is_loaded_from_files_as_published(publish, tmp_path, monkeypatch):
    monkeypatch.setitem(kmnist._K49.splits, "train", dataclasses.replace(kmnist._K49.splits["train"], count=49))
    publish("k49/k49-train-imgs.npz", np.zeros((49, 28, 28), np.uint8))
    publish("k49/k49-train-labels.npz", np.arange(49, dtype=np.uint8))
    dataset = load_dataset("k49", "train", LoadOptions(data_dir=tmp_path))
    assert (dataset.name, dataset.split, len(dataset), len(dataset.classes)) == ("k49", "train", 49, 49)
    assert dataset.labels.dtype == np.int32


@pytest.mark.parametrize("folder", [".", "kmnist"])
def test_files_are_found_flat_and_in_a_folder_of_the_data_sets_name(small, tmp_path, folder, no_download):
    (tmp_path / folder).mkdir(exist_ok=True)
    for path in list(tmp_path.glob("*.npz")):
        path.rename(tmp_path / folder / path.name)
    dataset = load_small(tmp_path)
    np.testing.assert_array_equal(dataset.images, small[0])
    np.testing.assert_array_equal(dataset.labels, small[1])


def test_mnist_format_files_are_read_as_well(small, tmp_path, publish, no_download):
    publish("mnist/t10k-images-idx3-ubyte.gz", small[0])
    publish("mnist/t10k-labels-idx1-ubyte.gz", small[1])
    assert load_small(tmp_path / "mnist").content_hash == load_small(tmp_path).content_hash


@pytest.mark.parametrize("root", [".", "KMNIST", "KMNIST/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_are_found_where_torchvision_leaves_them_gzipped_or_not(
    small, tmp_path, publish, no_download, root, suffix
):
    for name, array in (("t10k-images-idx3-ubyte", small[0]), ("t10k-labels-idx1-ubyte", small[1])):
        publish(f"torch/KMNIST/raw/{name}{suffix}", gzipped_idx(array, name) if suffix else idx(array))
    assert load_small(tmp_path / "torch" / root).content_hash == load_small(tmp_path).content_hash


def test_real_idx_files_that_torchvision_has_unpacked_are_the_published_ones(data_dir, tmp_path):
    reference = load_dataset("kmnist", "test", data_dir=data_dir)
    for name, array in (
        ("t10k-images-idx3-ubyte", reference.images),
        ("t10k-labels-idx1-ubyte", reference.labels.astype(np.uint8)),
    ):
        (tmp_path / name).write_bytes(idx(array))
    assert load_small(tmp_path).content_hash == reference.content_hash


def test_environment_variable_names_the_folder(small, tmp_path, monkeypatch, no_download):
    monkeypatch.setenv("KUZUSHIJI_DATA", str(tmp_path))
    assert len(load_dataset("kmnist", "test")) == COUNT


def test_given_folder_comes_before_the_environment_variable(small, tmp_path, monkeypatch, no_download):
    monkeypatch.setenv("KUZUSHIJI_DATA", str(tmp_path))
    with pytest.raises(MissingFileError):
        load_small(tmp_path / "elsewhere")


def test_file_missing_from_the_given_folder_is_named_and_not_downloaded(tmp_path, no_download):
    with pytest.raises(MissingFileError) as caught:
        load_dataset("k49", "train", LoadOptions(data_dir=tmp_path))
    assert f"k49-train-imgs.npz in {tmp_path}" in str(caught.value)


def test_file_that_the_environments_folder_lacks_is_downloaded(small, tmp_path, monkeypatch):
    downloads = []

    def fetch(urls: list[str], known_hash: str, folder: Path) -> Path:
        downloads.append((urls, known_hash, folder.name))
        return tmp_path / "cache" / urls[0].rsplit("/", 1)[1]

    (tmp_path / "cache").mkdir()
    content = gzipped_idx(small[0], "t10k-images-idx3-ubyte")
    (tmp_path / "cache" / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    (tmp_path / "kmnist-test-imgs.npz").unlink()
    monkeypatch.setattr(kmnist, "fetch", fetch)
    monkeypatch.setenv("KUZUSHIJI_DATA", str(tmp_path))

    np.testing.assert_array_equal(load_dataset("kmnist", "test").images, small[0])
    ((urls, known_hash, folder),) = downloads
    assert urls[0] == "https://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-images-idx3-ubyte.gz"
    assert len(urls) == len(kmnist.KMNIST_MIRRORS)
    assert (known_hash, folder) == (f"md5:{kmnist.MD5['t10k-images-idx3-ubyte.gz']}", "kmnist")


def test_file_in_the_download_cache_needs_no_network(small, tmp_path, monkeypatch, publish):
    monkeypatch.setattr(kmnist, "cache_folder", lambda: tmp_path / "cache")
    publish("cache/kmnist/t10k-images-idx3-ubyte.gz", small[0])
    publish("cache/kmnist/t10k-labels-idx1-ubyte.gz", small[1])
    np.testing.assert_array_equal(load_dataset("kmnist", "test").images, small[0])


def test_old_release_is_refused_by_name(small, tmp_path, monkeypatch):
    monkeypatch.setattr(kmnist, "OLD_RELEASE", md5_of(tmp_path / "kmnist-test-imgs.npz"))
    with pytest.raises(UserError, match="February 2019"):
        load_small(tmp_path)


def test_old_release_is_known_by_its_published_md5():
    assert kmnist.OLD_RELEASE == "c8fe4d39f842711ac6cc8c1b4be5ee21"


@pytest.mark.parametrize("name", ["kmnist-test-imgs.npz", "kmnist-test-labels.npz"])
@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_file_with_another_md5_is_refused_in_one_sentence(small, tmp_path, name, damage):
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"cut": content[:-50], "changed": content, "empty": b""}[damage]
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(UserError) as caught:
        load_small(tmp_path)
    sentence = str(caught.value)
    assert str(tmp_path / name) in sentence
    assert hashlib.md5(damaged).hexdigest() in sentence
    assert kmnist.MD5[name] in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("kmnist-test-imgs.npz", np.array([print], object), "pickled"),
        ("kmnist-test-imgs.npz", np.zeros((COUNT, 32, 32), np.uint8), "expected"),
        ("kmnist-test-imgs.npz", np.zeros((COUNT, 28, 28), np.float32), "expected"),
        ("kmnist-test-labels.npz", np.zeros(COUNT - 1, np.uint8), "expected"),
        ("kmnist-test-labels.npz", np.full(COUNT, 10, np.uint8), "10 to 10"),
    ],
    ids=["pickled", "size", "type", "count", "label"],
)
def test_content_is_checked_even_where_the_md5_agrees(small, tmp_path, publish, name, array, reason):
    publish(name, array)
    with pytest.raises(UserError, match=reason):
        load_small(tmp_path)


def test_every_mirror_is_a_folder_and_every_file_has_an_md5():
    for mirror in kmnist.KMNIST_MIRRORS + kmnist.K49_MIRRORS:
        assert mirror.startswith(("https://", "http://codh.rois.ac.jp/"))
        assert mirror.endswith("/")
    for files in (*kmnist._KMNIST.splits.values(), *kmnist._K49.splits.values()):
        assert {len(kmnist.MD5[name]) for name in files.images + files.labels} == {32}
