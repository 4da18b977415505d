"""Kuzushiji-Kanji: all of it, decoded once, split without leaks."""

import hashlib
import io
import json
import tarfile
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.datasets import kkanji, load_dataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError

COUNTS = {"U+4E00": 30, "U+4E8C": 12, "U+4E09": 7, "U+56DB": 3, "U+4E94": 1, "U+20089": 14}
CHARACTERS = sorted(chr(int(name[2:], 16)) for name in [*COUNTS, "U+516D"])


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_files():
    """Return the files of a small data set: random images, two equal ones in a class, two blank ones."""
    random = np.random.default_rng(0)
    files = {}
    for folder, count in COUNTS.items():
        for number in range(count):
            files[f"kkanji2/{folder}/{number:04x}.png"] = png(random.integers(0, 256, (64, 64), np.uint8))
    files["kkanji2/U+4E00/fffe.png"] = files["kkanji2/U+4E00/0003.png"]
    files["kkanji2/U+4E8C/ffff.png"] = files["kkanji2/U+516D/0000.png"] = png(np.zeros((64, 64), np.uint8))
    return files


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The small data set's files, its size taken for the published one, and a cache of the test's own."""
    made = make_files()
    monkeypatch.setattr(kkanji, "PUBLISHED_IMAGES", len(made))
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)
    return made


def load(folder, split="train", **options):
    return load_dataset("kkanji", split, LoadOptions(data_dir=folder, **options))


def test_archives_and_the_extracted_folder_give_the_same_data_set(files, tmp_path):
    hashes = set()
    for name, mode in (("kkanji.tar", "w"), ("kkanji.tar.gz", "w:gz"), ("kkanji.tar.xz", "w:xz")):
        (tmp_path / name[7:]).mkdir()
        write_tar(tmp_path / name[7:] / name, files, mode)
        hashes.add(load(tmp_path / name[7:]).content_hash)
    for name, data in files.items():
        path = tmp_path / "extracted" / "kkanji" / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    hashes.add(load(tmp_path / "extracted").content_hash)
    assert len(hashes) == 1


def test_what_macos_leaves_in_the_archive_and_the_folder_is_not_read(files, tmp_path):
    leftovers = {
        "kkanji2/U+4E00/._0000.png": b"Mac OS X",
        "kkanji2/.DS_Store": b"Bud1",
        "__MACOSX/kkanji2/U+4E00/0000.png": b"Mac OS X",
        "._kkanji2": b"Mac OS X",
    }
    for folder, held in (("plain", files), ("mac", leftovers | files)):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "kkanji.tar", held)
    extracted = tmp_path / "extracted"
    for name, data in (leftovers | files).items():
        (extracted / name).parent.mkdir(parents=True, exist_ok=True)
        (extracted / name).write_bytes(data)
    hashes = {load(tmp_path / folder).content_hash for folder in ("plain", "mac", "extracted")}
    assert len(hashes) == 1


def test_blank_images_are_left_out_and_their_class_kept(files, tmp_path):
    write_tar(tmp_path / "kkanji.tar", files)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert list(train.classes) == CHARACTERS
    assert len(train) + len(test) == len(files) - 2
    assert np.bincount(train.labels, minlength=7)[train.classes.index_of("六")] == 0
    assert train.left_out == test.left_out == {"blank": 2}
    (folder,) = (path for path in (tmp_path / "cache" / "decoded").iterdir() if path.is_dir())
    assert json.loads((folder / "files.json").read_text())["blank"] == [
        "kkanji2/U+4E8C/ffff.png",
        "kkanji2/U+516D/0000.png",
    ]


def test_split_is_stratified_and_leaks_nothing(files, tmp_path):
    write_tar(tmp_path / "kkanji.tar", files)
    train, test = load(tmp_path), load(tmp_path, "test")
    in_test = dict(zip(test.classes, np.bincount(test.labels, minlength=7), strict=True))
    assert in_test["五"] == 0 and in_test["六"] == 0
    assert all(in_test[chr(int(name[2:], 16))] >= count // 7 for name, count in COUNTS.items() if count >= 7)
    assert np.intersect1d(content_keys(train.images), content_keys(test.images)).size == 0


def test_images_are_memory_mapped_and_later_uses_decode_nothing(files, tmp_path, monkeypatch):
    write_tar(tmp_path / "kkanji.tar", files)
    first = load(tmp_path)
    monkeypatch.setattr(kkanji, "read_members", None)
    second = load(tmp_path)
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable
    assert second.content_hash == first.content_hash


def test_another_archive_of_that_name_is_decoded_anew(files, tmp_path):
    write_tar(tmp_path / "kkanji.tar", files)
    before = load(tmp_path).content_hash
    files["kkanji2/U+4E00/0000.png"] = png(np.full((64, 64), 7, np.uint8))
    write_tar(tmp_path / "kkanji.tar", files)
    assert load(tmp_path).content_hash != before or load(tmp_path, "test").images.max() == 7


@pytest.mark.parametrize("damage", [b"this is text, not a picture\n", png(np.ones((32, 64), np.uint8)), b""])
def test_a_damaged_image_is_named_and_can_be_left_out(files, tmp_path, damage):
    files["kkanji2/U+4E09/0004.png"] = damage
    write_tar(tmp_path / "kkanji.tar", files)
    with pytest.raises(UserError, match=r"kkanji2/U\+4E09/0004\.png .*kkanji\.tar .*--skip-damaged"):
        load(tmp_path)
    skipped = load(tmp_path, skip_damaged=True)
    assert len(skipped) + len(load(tmp_path, "test")) == len(files) - 3


def test_an_archive_of_another_size_is_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr(kkanji, "PUBLISHED_IMAGES", 140_424)
    write_tar(tmp_path / "kkanji.tar", files)
    with pytest.raises(UserError, match=r"70 images .*140,424"):
        load(tmp_path)


def test_a_folder_that_is_no_code_point_is_named(files, tmp_path):
    files["kkanji2/kanji/0.png"] = files.pop("kkanji2/U+4E09/0004.png")
    write_tar(tmp_path / "kkanji.tar", files)
    with pytest.raises(UserError, match="'kanji'"):
        load(tmp_path)


def test_missing_files_are_named_with_the_way_out(files, tmp_path):
    with pytest.raises(MissingFileError, match=r"kkanji\.tar, .*kkanji2/ .*--data-dir"):
        load(tmp_path)


def test_low_shot_classes_are_never_trained_on(files, tmp_path):
    write_tar(tmp_path / "kkanji.tar", files)
    parts = {
        split: load_dataset("kkanji-low-shot", split, LoadOptions(data_dir=tmp_path))
        for split in ("train", "support", "test")
    }
    novel = set(parts["test"].labels.tolist())
    assert novel and novel == set(parts["support"].labels.tolist())
    assert not novel & set(parts["train"].labels.tolist())
    assert set(np.bincount(parts["support"].labels)) == {0, kkanji.SUPPORT}
    assert sum(map(len, parts.values())) == len(files) - 2
    keys = [content_keys(part.images) for part in parts.values()]
    assert np.intersect1d(keys[0], keys[1]).size == 0 and np.intersect1d(keys[0], keys[2]).size == 0


@pytest.mark.slow
def test_published_archive_gives_the_recorded_split(data_dir):
    train, test = (load_dataset("kkanji", split, LoadOptions(data_dir=data_dir)) for split in ("train", "test"))
    assert (len(train), len(test), len(train.classes)) == (120_339, 20_057, 3832)
    counts, in_test = (np.bincount(part.labels, minlength=3832) for part in (train, test))
    total = counts + in_test
    assert (total == 1).sum() == 814 and (total == 0).sum() == 1
    assert (in_test[total >= 7] > 0).all() and (in_test[total == 1] == 0).all()
    keys = content_keys(test.images)
    assert np.intersect1d(content_keys(train.images), keys).size == 0
    digest = hashlib.sha256(np.sort(keys).tobytes()).hexdigest()
    assert digest == "d300546f62b6007cc953524188f63630d999cf6747622fadee123207eadf980f"


def test_an_archive_of_more_images_is_not_read_to_its_end(files, tmp_path, monkeypatch):
    monkeypatch.setattr(kkanji, "PUBLISHED_IMAGES", 3)
    source = write_tar(tmp_path / "kkanji.tar", files)
    decoded = []
    monkeypatch.setattr(kkanji, "_decode_one", lambda *rest: (decoded.append(rest), rest[3].blank.append("x")))
    with pytest.raises(UserError, match="4 or more images"):
        kkanji._decode(source, tmp_path, False)
    assert len(decoded) == 4


def test_a_name_in_an_archive_does_not_move_the_terminals_cursor(files, tmp_path, capsys):
    name = "kkanji2/U+4E00/\x1b[2J.png"
    files[name] = b"broken"
    write_tar(tmp_path / "kkanji.tar", files)
    kkanji._decode_one(tmp_path, PurePosixPath(name), files[name], kkanji._Decoded(), True)
    said = capsys.readouterr().err
    assert "left out" in said and "\x1b[2J" not in said
