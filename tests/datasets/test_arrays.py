"""Reading arrays: exactly the expected one, or one sentence; never code, never more memory than expected."""

import gzip
import io
import struct
import tracemalloc
import warnings
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets import archives
from kuzushiji_tf.datasets.arrays import read_idx, read_npz_array, read_npz_arrays, read_whole_npz
from kuzushiji_tf.errors import MissingFileError, UserError

SHAPE = (20, 28, 28)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def archive(tmp_path: Path, images: np.ndarray) -> Path:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images)
    return path


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_member(path: Path, content: bytes, name: str = "arr_0.npy", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def refusal(path: Path, shape: tuple[int, ...] = SHAPE) -> str:
    with pytest.raises(UserError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_idx(path, shape) if path.suffix == ".gz" else read_npz_array(path, shape=shape, dtype=np.uint8)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_npz_array_comes_back_as_it_was_and_can_be_written_to(archive, images):
    array = read_npz_array(archive, shape=SHAPE, dtype=np.uint8)
    np.testing.assert_array_equal(array, images)
    array[0] = 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_other_types_orders_and_member_names_are_read(tmp_path, order):
    values = np.asarray(np.arange(12, dtype=np.int32).reshape(3, 4), order=order)
    np.savez(tmp_path / "values.npz", table=values)
    array = read_npz_array(tmp_path / "values.npz", shape=(3, 4), dtype=np.int32, member="table")
    np.testing.assert_array_equal(array, values)


def test_idx_array_comes_back_as_it_was(tmp_path, images):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(images)))
    np.testing.assert_array_equal(read_idx(path, SHAPE), images)


@pytest.mark.parametrize("name", ["absent.npz", "absent.gz"])
def test_missing_file_is_a_missing_file_error(tmp_path, name):
    with pytest.raises(MissingFileError, match="absent"):
        read_idx(tmp_path / name, SHAPE) if name.endswith("gz") else read_npz_array(
            tmp_path / name, shape=SHAPE, dtype=np.uint8
        )


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_truncated_archive_is_refused_in_one_sentence(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert "damaged" in refusal(archive)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_truncated_idx_file_is_refused_in_one_sentence(tmp_path, images, share):
    content = gzip.compress(idx_bytes(images))
    path = tmp_path / "images.gz"
    path.write_bytes(content[: int(len(content) * share)])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("name", ["page.npz", "page.gz"])
def test_something_else_under_that_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("<html>404</html>")
    assert "of another format" in refusal(tmp_path / name)


def test_bytes_changed_inside_are_found_by_the_checksum(archive, images, tmp_path):
    stored = write_member(tmp_path / "stored.npz", npy_header(SHAPE) + images.tobytes(), method=zipfile.ZIP_STORED)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    assert "damaged" in refusal(stored)


def test_pickled_array_is_refused_and_its_code_never_runs(tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    path = tmp_path / "pickled.npz"
    np.savez(path, np.array([Bomb()], dtype=object))
    assert "pickled" in refusal(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (1 << 62, 4, 4)])
def test_forged_header_is_refused_without_allocating(tmp_path, shape):
    path = write_member(tmp_path / "forged.npz", npy_header(shape) + b"\0" * 100)
    tracemalloc.start()
    try:
        assert str(shape[0]) in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_forged_idx_header_is_refused_without_allocating(tmp_path):
    path = tmp_path / "forged.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 28, 28)))
    assert str(2**32 - 1) in refusal(path)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 255]) + b"\xff" * 1020))
    assert "255 dimensions" in refusal(path)


@pytest.mark.parametrize("name", ["bomb.npz", "bomb.gz"])
def test_data_beyond_the_header_is_not_unpacked(tmp_path, name, images):
    """A file of some 50 KB that would unpack to 50 MB."""
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(idx_bytes(images) + bytes(50_000_000), compresslevel=1))
    else:
        write_member(path, npy_header(SHAPE) + images.tobytes() + bytes(50_000_000))
    tracemalloc.start()
    try:
        assert "damaged" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_header_that_claims_less_than_the_zip_entry_holds_is_refused(tmp_path):
    assert "damaged" in refusal(write_member(tmp_path / "short.npz", npy_header(SHAPE) + bytes(10)))


@pytest.mark.parametrize(
    "header",
    [
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"{'descr': '|u1', 'sh",
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b" " * 60000,
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 60)
        + b"{'descr': (), 'fortran_order': False, 'shape': (1,)}".ljust(60),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 8) + b"\xff" * 8,
        b"not an array at all",
        b"",
    ],
    ids=["4 GB", "cut", "nested", "blank", "empty type", "bytes", "text", "empty"],
)
def test_malformed_array_header_is_refused(tmp_path, header):
    assert "damaged" in refusal(write_member(tmp_path / "malformed.npz", header))


@pytest.mark.parametrize("array", [np.zeros((19, 28, 28), np.uint8), np.zeros(SHAPE, np.int8), np.zeros(SHAPE, ">u2")])
def test_another_shape_or_type_is_named(tmp_path, array):
    path = tmp_path / "other.npz"
    np.savez(path, array)
    sentence = refusal(path)
    assert str(array.dtype) in sentence
    assert str(list(array.shape)) in sentence
    assert "uint8 [20, 28, 28]" in sentence


def test_another_idx_shape_or_type_is_named(tmp_path, images):
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(idx_bytes(images[:7])))
    assert "[7, 28, 28]" in refusal(path)
    path.write_bytes(gzip.compress(idx_bytes(images, kind=0x0D)))
    assert "type 0xd" in refusal(path)


def test_missing_member_is_named(tmp_path, images):
    path = tmp_path / "named.npz"
    np.savez(path, images=images)
    assert "'arr_0'" in refusal(path)


def test_compression_that_numpy_never_writes_is_refused(tmp_path, images):
    content = npy_header(SHAPE) + images.tobytes()
    assert "damaged" in refusal(write_member(tmp_path / "lzma.npz", content, method=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("name", ["folder.npz", "folder.gz"])
def test_a_folder_is_not_called_damaged(tmp_path, name):
    (tmp_path / name).mkdir()
    assert "directory" in refusal(tmp_path / name)


def test_text_of_no_characters_is_refused(tmp_path):
    """Python crashes, or raises SystemError, where it meets such a string."""
    codes = np.full(3, 0x7FFFFFFF, np.uint32)
    path = write_member(tmp_path / "text.npz", npy_header((3,), "<U1") + codes.tobytes(), "labels.npy")
    with pytest.raises(UserError, match="damaged"):
        read_npz_arrays(path, {"labels": ("text", (1,))}, {})


@pytest.mark.parametrize("order", "<>")
def test_text_is_read_in_either_byte_order(tmp_path, order):
    np.savez(tmp_path / "text.npz", labels=np.array(["あ", "𠮟", ""]).astype(f"{order}U2"))
    labels = read_npz_arrays(tmp_path / "text.npz", {"labels": ("text", (1,))}, {})["labels"]
    assert labels.tolist() == ["あ", "𠮟", ""]


def test_a_small_file_does_not_unpack_to_a_large_array(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "UNSUSPECTED", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((100, 256, 256), np.uint8))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="200 times"):
            read_npz_arrays(tmp_path / "bomb.npz", {"images": ("uint8", (3,))}, {})
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_whole_archive_comes_back_from_a_file_or_a_stream(tmp_path):
    values = {"a": np.arange(6.0).reshape(2, 3), "number": np.array(7), "text": np.array("distance")}
    np.savez(tmp_path / "all.npz", **values)
    for source in (tmp_path / "all.npz", io.BytesIO((tmp_path / "all.npz").read_bytes())):
        found = read_whole_npz(source, "it")
        assert found.keys() == values.keys()
        assert all(np.array_equal(found[name], values[name]) for name in values)


@pytest.mark.parametrize("shape", [(10**9, 10**6), (-1,), (0,) * 40])
def test_of_a_whole_archive_no_more_is_allocated_than_is_there(tmp_path, shape):
    path = write_member(tmp_path / "forged.npz", npy_header(shape, "<f8"))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="damaged") if 0 not in shape else nullcontext():
            read_whole_npz(path, path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
