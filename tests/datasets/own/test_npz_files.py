"""An .npz file of one's own: images and their characters, split by writer where that is known."""

from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.own import npz_files
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError

COUNT = 42
INK = 10  # the darkest; paper is 245


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Dark ink from side to side of light paper; three classes, six writers."""
    random = np.random.default_rng(0)
    images = np.full((COUNT, 20, 24), 245, np.uint8)
    images[:, 4:-4] = np.where(random.random((COUNT, 12, 24)) < 0.3, INK, 245)
    labels = np.array(list("字あい"))[np.arange(COUNT) % 3]
    return {"images": images, "labels": labels, "writers": np.array([f"w{row // 7}" for row in range(COUNT)])}


def save(path: Path, arrays: dict) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def refusal(path: Path, split: str = "all") -> str:
    with pytest.raises(UserError) as caught:
        load_dataset(path, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_dark_ink_on_light_paper_becomes_white_on_black(tmp_path, arrays):
    dataset = load_dataset(save(tmp_path / "hands.npz", arrays), "all")
    np.testing.assert_array_equal(dataset.images[:, 2:-2], np.where(arrays["images"] == INK, 255, 0))
    assert (dataset.name, dataset.split, dataset.ink, dataset.normalization) == ("hands", "all", "scanned", "none")
    assert [dataset.classes[label] for label in dataset.labels] == arrays["labels"].tolist()
    assert dataset.classes.characters == ("あ", "い", "字")


def test_light_ink_on_dark_paper_stays_as_it_is(tmp_path, arrays):
    light = load_dataset(save(tmp_path / "light.npz", arrays | {"images": 255 - arrays["images"]}), "all")
    dark = load_dataset(save(tmp_path / "dark.npz", arrays), "all")
    np.testing.assert_array_equal(light.images, dark.images)


def test_writers_stand_on_one_side_of_the_split(tmp_path, arrays):
    train, test = (load_dataset(save(tmp_path / "hands.npz", arrays), split) for split in ("train", "test"))
    assert len(train) + len(test) == COUNT
    assert set(train.groups).isdisjoint(test.groups) and len(set(test.groups)) == 1


def test_without_writers_originals_stand_on_one_side_of_the_split(tmp_path, arrays):
    images = arrays["images"].copy()
    images[21:24] = images[:3]
    path = save(tmp_path / "hands.npz", {"images": images[..., np.newaxis], "labels": arrays["labels"]})
    train, test = (load_dataset(path, split) for split in ("train", "test"))
    assert len(train) + len(test) == COUNT and len(test) >= 4 and train.groups is None
    assert not np.isin(content_keys(train.images), content_keys(test.images)).any()
    same = load_dataset(path, "test", image_size=16)
    assert same.image_size == (16, 16) and same.labels.tolist() == test.labels.tolist()


def test_images_keep_their_shape_in_a_square(tmp_path, arrays):
    images = np.full((3, 20, 40), 255, np.uint8)
    images[:, 8:12] = 0
    path = save(tmp_path / "wide.npz", {"images": images, "labels": arrays["labels"][:3]})
    (row, *_), columns = np.nonzero(load_dataset(path, "all", image_size=20).images[0] > 127)
    assert row == 9 and len(set(columns)) == 20


def test_images_without_ink_are_left_out_and_counted(tmp_path, arrays):
    arrays["images"][[3, 9]] = 245
    dataset = load_dataset(save(tmp_path / "hands.npz", arrays), "all")
    assert len(dataset) == COUNT - 2 and dataset.left_out == {"blank": 2}
    arrays["images"][:] = 245
    assert "ink" in refusal(save(tmp_path / "blank.npz", arrays))


def test_labels_may_be_code_points(tmp_path, arrays):
    arrays["labels"] = np.array(["U+5B57", "0x3042", "い"])[np.arange(COUNT) % 3]
    assert load_dataset(save(tmp_path / "hands.npz", arrays), "all").classes.characters == ("あ", "い", "字")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": np.arange(COUNT)}, "code point as text"),
        ({"labels": np.array(["あ"] * 5)}, "5 labels"),
        ({"labels": np.array(["あい"] * COUNT)}, "あい"),
        ({"images": np.zeros((COUNT, 8, 8), np.float32)}, "float32; make them uint8"),
        ({"images": np.zeros((COUNT, 8, 8, 3), np.uint8)}, "3 channels"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "images"),
        ({"writers": np.arange(4)}, "4 writers"),
        ({"labels": np.array([["あ"]] * COUNT)}, "labels"),
        ({"labels": np.array(["あ"] * COUNT, object)}, "pickled"),
        ({"labels": None}, "no array named 'labels'"),
    ],
)
def test_other_arrays_are_refused_by_name(tmp_path, arrays, change, told):
    changed = {name: values for name, values in (arrays | change).items() if values is not None}
    sentence = refusal(save(tmp_path / "hands.npz", changed))
    assert told in sentence and str(tmp_path / "hands.npz") in sentence


def test_other_splits_and_too_few_images_are_refused(tmp_path, arrays):
    path = save(tmp_path / "hands.npz", {name: values[:3] for name, values in arrays.items()})
    assert "train, test, all" in refusal(path, "validation")
    assert "too few images" in refusal(path, "test")


def test_a_missing_and_a_damaged_file_are_told_apart(tmp_path, arrays):
    with pytest.raises(MissingFileError, match="absent"):
        load_dataset(tmp_path / "absent.npz", "all")
    path = save(tmp_path / "hands.npz", arrays)
    path.write_bytes(path.read_bytes()[:-200])
    assert "damaged" in refusal(path)


def test_the_real_hands_are_read_whole(data_dir):
    counts = {"omniglot": (960, 10), "ndl-hiragana": (10_588, None)}
    for name, (images, writers) in counts.items():
        dataset = load_dataset(data_dir / "hands" / f"{name}.npz", "all")
        assert len(dataset) == images
        assert (None if dataset.groups is None else len(set(dataset.groups))) == writers
        assert np.median(dataset.images) == 0


def test_the_same_images_are_held_out_in_whatever_way_ink_is_found(tmp_path, arrays, monkeypatch):
    path = save(tmp_path / "hands.npz", {key: arrays[key] for key in ("images", "labels")})
    held_out = load_dataset(path, "test").images
    monkeypatch.setattr(npz_files, "to_ink", lambda image, _polarity: 255 - image)
    np.testing.assert_array_equal(load_dataset(path, "test").images[:, 2:-2] > 128, held_out[:, 2:-2] > 128)


def test_a_long_thin_image_does_not_become_a_huge_square(tmp_path, arrays):
    arrays["images"] = np.repeat(arrays["images"][:, 4:10], 100, axis=2)
    assert "--image-size" in refusal(save(tmp_path / "long.npz", arrays))
    assert load_dataset(tmp_path / "long.npz", "all", LoadOptions(image_size=16)).image_size == (16, 16)


def test_images_of_more_pixels_than_any_picture_are_refused(tmp_path, arrays, monkeypatch):
    monkeypatch.setattr(npz_files, "LARGEST_IMAGE", 400)
    assert "400 pixels" in refusal(save(tmp_path / "large.npz", arrays))


def test_an_array_of_text_that_is_none_is_refused(tmp_path, arrays):
    labels = np.frombuffer(np.full(COUNT, 0x110000, np.uint32).tobytes(), "<U1")
    assert "damaged" in refusal(save(tmp_path / "text.npz", arrays | {"labels": labels}))
