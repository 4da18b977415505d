"""A folder of one's own pictures is a data set: ink white on black, split by content; what is wrong is named."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.datasets import decoded, load_dataset
from kuzushiji_tf.datasets.core import CharacterDataset, content_keys
from kuzushiji_tf.datasets.own.class_folders import load_folder
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import read_ink
from tests.making import png_claiming

COUNT = 14  # pictures of each class, two of them for testing


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(decoded, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def drawing(seed: int, height: int = 60, width: int = 60) -> np.ndarray:
    """White ink on black: two strokes at places of their own."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width), np.uint8)
    row, column = random.integers(8, height - 16), random.integers(8, width - 16)
    image[row : row + 5, 6:-6] = 255
    image[6:-6, column : column + 5] = 255
    return image


def write_class(folder: Path, first_seed: int, count: int = COUNT) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        ink = Image.fromarray(drawing(first_seed + number, width=60 + number))
        if number % 2:
            ink = Image.fromarray(255 - np.asarray(ink))
        ink.save(folder / f"{number:02}.{('png', 'BMP', 'gif', 'webp', 'tif')[number % 5]}")


@pytest.fixture
def own(tmp_path) -> Path:
    """Three classes; one is named by its code point."""
    for folder, seed in (("あ", 0), ("U+3044", 100), ("字", 200)):
        write_class(tmp_path / "own" / folder, seed)
    return tmp_path / "own"


def both(path: Path, **options) -> tuple[CharacterDataset, CharacterDataset]:
    return tuple(load_folder(path, split, LoadOptions(**options)) for split in ("train", "test"))


def refusal(path: Path, split: str = "train", **options) -> str:
    with pytest.raises(UserError) as caught:
        load_folder(path, split, LoadOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_picture_becomes_white_ink_on_black_in_one_of_the_splits(own):
    train, test = both(own)
    assert train.classes.characters == test.classes.characters == ("あ", "い", "字")
    assert np.bincount(train.labels).tolist() == [12, 12, 12] and np.bincount(test.labels).tolist() == [2, 2, 2]
    assert train.image_size == (64, 64)
    for dataset in (train, test):
        assert (np.median(dataset.images, axis=(1, 2)) == 0).all()
        assert (dataset.images.max(axis=(1, 2)) > 200).all()
    assert not np.isin(content_keys(train.images), content_keys(test.images)).any()


def test_a_picture_becomes_what_the_recognizer_makes_of_it(own):
    train, test = both(own, image_size=28)
    keys = content_keys(np.concatenate([train.images, test.images]))
    expected = [np.rint(fit_image(read_ink(path), 28, box=False)).astype(np.uint8) for path in own.glob("*/*")]
    np.testing.assert_array_equal(np.sort(keys), np.sort(content_keys(np.stack(expected))))


def test_images_are_decoded_once_and_then_mapped(own, cache, monkeypatch):
    first, _ = both(own)
    assert isinstance(first.images, np.memmap) and not first.images.flags.writeable
    monkeypatch.setattr("kuzushiji_tf.datasets.own.class_folders.read_ink", None)
    again, _ = both(own)
    np.testing.assert_array_equal(again.images, first.images)
    assert len(list((cache / "decoded").glob("folder-*[!k]"))) == 1


def test_a_changed_added_or_removed_picture_is_seen(own):
    first = both(own)
    assert sum(map(len, first)) == 3 * COUNT
    (own / "あ" / "00.png").unlink()
    assert sum(map(len, both(own))) == 3 * COUNT - 1
    Image.fromarray(drawing(999)).save(own / "あ" / "new.png")
    Image.fromarray(drawing(998)).save(own / "あ" / "05.png")
    os.utime(own / "あ" / "05.png", ns=(1, 1))
    changed = both(own)
    assert sum(map(len, changed)) == 3 * COUNT
    keys = np.concatenate([content_keys(part.images) for part in changed])
    for seed in (998, 999):
        fitted = np.rint(fit_image(read_ink(drawing(seed)), 64, box=False)).astype(np.uint8)
        assert content_keys(fitted[None])[0] in keys


def test_the_split_is_the_same_at_every_size(own):
    fine = [set(map(bytes, content_keys(part.resized(16).images))) for part in both(own, image_size=64)]
    coarse = [both(own, image_size=size)[1] for size in (32, 128)]
    for test in coarse:
        expected = {bytes(key) for key in content_keys(test.images)}
        assert len(expected) == len(fine[1])
    names = [_test_names(own, size) for size in (32, 64, 128)]
    assert names[0] == names[1] == names[2]


def _test_names(own: Path, size: int) -> set[str]:
    """Return which files are in the test split, found by their pixels."""
    test = load_folder(own, "test", LoadOptions(image_size=size))
    wanted = set(content_keys(test.images))
    return {
        str(path)
        for path in own.glob("*/*")
        if content_keys(np.rint(fit_image(read_ink(path), size, box=False)).astype(np.uint8)[None])[0] in wanted
    }


def test_copies_of_a_picture_are_never_on_both_sides(own):
    for path in list((own / "あ").iterdir()):
        for number in range(3):
            shutil.copy(path, path.with_stem(f"{path.stem}-{number}"))
        Image.open(path).convert("RGBA").save(path.with_name(f"{path.stem}-rewritten.png"))
    train, test = both(own)
    assert len(train) + len(test) == 7 * COUNT
    assert not np.isin(content_keys(train.images), content_keys(test.images)).any()


@pytest.mark.parametrize(
    ("folder", "character"),
    [
        ("U+3042", "あ"),
        ("u+3042", "あ"),
        ("U+3042 U+3099", "あ\u3099"),
        ("か\u3099", "が"),
        ("U+304B U+3099", "が"),
        ("\ufa19", "\ufa19"),
        ("a", "a"),
        ("7", "7"),
        ("𠀋", "𠀋"),
        ("U+0041", "A"),
        ("u3042", "あ"),
        ("0x3042", "あ"),
        ("0X4e00", "一"),
        ("12354", "あ"),
    ],
)
def test_a_class_folder_is_named_by_character_or_code_point(tmp_path, folder, character):
    write_class(tmp_path / "own" / folder, 0)
    assert load_folder(tmp_path / "own", "train", LoadOptions()).classes.characters == (character,)


@pytest.mark.parametrize(
    "folder",
    [
        "train",
        "ab",
        "12",
        "あい",
        "か゛",
        "U+D800",
        "U+30",
        "3042",
        "99999999",
        "U+3042-1",
        "U+0041 U+000A",
        "\u3000",
        "\u200b",
    ],
)
def test_other_names_of_folders_are_refused(own, folder):
    write_class(own / folder, 0)
    sentence = refusal(own)
    assert str(own / folder) in sentence
    assert "code point" in sentence or "not a Unicode character" in sentence


def test_splits_as_folders_are_told_to_name_one_as_the_data_set(own):
    shutil.move(own, own.with_name("inner"))
    shutil.move(own.with_name("inner"), own / "train")
    assert f"name {own / 'train'}" in refusal(own)


def test_hidden_files_and_folders_are_ignored_and_other_files_are_said(own, capsys):
    for name in (".DS_Store", "Thumbs.db", "あ/.DS_Store", "あ/desktop.ini", "あ/._00.png"):
        (own / name).write_bytes(b"something")
    (own / ".git").mkdir()
    (own / "__MACOSX").mkdir()
    (own / "notes.csv").write_text("beside the class folders")
    both(own)
    assert "left out" not in capsys.readouterr().err
    (own / "あ" / "notes.csv").write_text("in one of them")
    assert sum(map(len, both(own))) == 3 * COUNT
    (own / "あ" / "00.png").touch()
    both(own)
    assert f"1 files left out, no pictures: '{own / 'あ' / 'notes.csv'}'" in capsys.readouterr().err


def test_two_folders_of_a_character_are_refused(own):
    write_class(own / "U+3042", 300)
    sentence = refusal(own)
    assert str(own / "U+3042") in sentence and str(own / "あ") in sentence


def test_empty_class_folders_are_refused(own):
    (own / "う").mkdir()
    (own / "う" / ".DS_Store").touch()
    sentence = refusal(own)
    assert str(own / "う") in sentence and ".png, .jpg" in sentence


def test_folders_within_class_folders_are_refused(own):
    (own / "あ" / "more").mkdir()
    assert str(own / "あ" / "more") in refusal(own)


def test_no_class_folders_no_folder_and_a_file_are_told_apart(tmp_path):
    (tmp_path / "own").mkdir()
    assert f"{tmp_path / 'own'} " in refusal(tmp_path / "own")
    Image.fromarray(drawing(0)).save(tmp_path / "own" / "picture.png")
    assert "class folders" in refusal(tmp_path / "own")
    (tmp_path / "own" / "images-00000-of-00001.tfrecord").touch()
    assert "TFRecord" in refusal(tmp_path / "own")
    assert "picture.png" in refusal(tmp_path / "own" / "picture.png")
    with pytest.raises(MissingFileError, match="absent"):
        load_folder(tmp_path / "absent", "train", LoadOptions())


def _write_damaged(own: Path, kind: str) -> Path:
    path = own / "字" / "damaged.png"
    if kind == "text":
        path.write_text("this is a text\n" * 9)
    elif kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "bomb":
        path.write_bytes(png_claiming(60_000, 60_000))
    elif kind == "blank":
        Image.new("L", (50, 50), 255).save(path)
    else:
        path.symlink_to(own / "nowhere.png")
    return path


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("text", ""),
        ("truncated", ""),
        ("bomb", "50,000,000 pixels"),
        ("blank", "no ink"),
        ("broken link", "There is no image"),
    ],
)
def test_damaged_pictures_are_named_or_left_out_and_counted(own, cache, capsys, kind, problem):
    path = _write_damaged(own, kind)
    sentence = refusal(own)
    assert str(path) in sentence and problem in sentence
    assert not [folder for folder in (cache / "decoded").iterdir() if folder.is_dir()]
    assert sum(map(len, both(own, skip_damaged=True))) == 3 * COUNT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"1 of {3 * COUNT + 1} pictures left out, the first: ") and problem in line
    assert load_folder(own, "train", LoadOptions()).left_out == {"damaged": 1}


def test_a_folder_of_damaged_pictures_alone_is_refused(tmp_path):
    (tmp_path / "own" / "あ").mkdir(parents=True)
    (tmp_path / "own" / "あ" / "1.png").write_text("text")
    assert refusal(tmp_path / "own", skip_damaged=True).endswith("holds no picture that can be read.")


def test_other_splits_and_too_few_pictures_are_refused(tmp_path, own):
    assert refusal(own, "validation").endswith("train, test, all.")
    write_class(tmp_path / "few" / "あ", 0, count=1)
    assert len(load_folder(tmp_path / "few", "train", LoadOptions())) == 1
    assert "too few images" in refusal(tmp_path / "few", "test")


def test_all_pictures_are_one_split_too(own):
    assert len(load_folder(own, "all", LoadOptions())) == 3 * COUNT


def test_licence_and_credit_are_unknown_or_the_lines_of_the_file(own):
    dataset = load_folder(own, "train", LoadOptions())
    assert dataset.name == "own"
    assert dataset.licence == dataset.credit == "unknown: the images are your own"
    (own / "LICENCE.txt").write_text("CC0\n\nwritten by me\n", encoding="utf-8")
    dataset = load_folder(own, "train", LoadOptions())
    assert (dataset.licence, dataset.credit) == ("CC0", "written by me")


def test_a_folder_is_loaded_by_its_path_as_any_data_set(own):
    dataset = load_dataset(str(own), "test", LoadOptions(image_size=20, classes="あい"))
    assert dataset.classes.characters == ("あ", "い") and dataset.images.shape == (4, 20, 20)
