"""Record formats: every field where the published tables have it, every pixel with its value."""

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.etl import formats
from tests import etl_records

FORMATS = {
    "M": formats.M_TYPE,
    "8B": formats.B_TYPE_8,
    "9B": formats.B_TYPE_9,
    "8G": formats.G_TYPE_8,
    "9G": formats.G_TYPE_9,
}
HIGHEST = {"M": 15, "8B": 1, "9B": 1, "8G": 15, "9G": 15}


def random_levels(kind: str, highest: int, seed: int = 0) -> np.ndarray:
    width, height = etl_records.SIZES[kind]
    return np.random.default_rng(seed).integers(0, highest + 1, (height, width))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_field_stands_at_its_published_position(kind):
    blank = np.zeros(etl_records.SIZES[kind][::-1], int)
    fields = FORMATS[kind].fields
    assert fields.itemsize == etl_records.LENGTHS[kind]
    for name, (position, form) in etl_records.FIELDS[kind].items():
        value = {"B": 201, ">H": 0x1234, ">I": 0x12345678, "2s": b"KA", "4s": b"AI.M", "8s": b"AI.MEDER"}[form]
        written = np.frombuffer(etl_records.record(kind, blank, **{name: value}), fields)[0]
        assert written[name] == value, (name, position)
        others = [other for other in etl_records.FIELDS[kind] if other != name]
        assert not any(int.from_bytes(written[other].tobytes(), "big") for other in others)
        assert not written["pixels"].any()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_pixel_is_read_at_its_place_and_scaled_to_255(kind):
    levels = [random_levels(kind, HIGHEST[kind], seed) for seed in range(3)]
    content = b"".join(etl_records.record(kind, level) for level in levels)
    images = FORMATS[kind].images(np.frombuffer(content, FORMATS[kind].fields))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, np.stack(levels) * (255 // HIGHEST[kind]))


def test_six_bit_records_are_read_across_byte_borders():
    levels = [random_levels("K", 63, seed) for seed in range(3)]
    content = b"".join(etl_records.printed_record(level, (6, 18), serial=57_600, style="C") for level in levels)
    records = np.frombuffer(content, formats.K_TYPE.fields)
    assert len(records) == 3
    np.testing.assert_array_equal(formats.K_TYPE.images(records), np.rint(np.stack(levels) * (255 / 63)))
    header = formats.six_bit_characters(records["header"])
    assert header.shape == (3, 60)
    letters = "".join(etl_records.T56[value] for value in header[0, 6:24])
    assert letters == "C     KANJI MINCHO"
    assert header[0, 28:30].tolist() == [6, 18]
    assert int("".join(f"{value:06b}" for value in header[0, :6]), 2) == 57_600


def test_ink_is_white_on_black_in_every_type():
    for kind, record_format in FORMATS.items():
        width, height = etl_records.SIZES[kind]
        levels = np.zeros((height, width), int)
        levels[10:20, 5:9] = HIGHEST[kind]  # a vertical stroke: ink is the high level in all published types
        image = record_format.images(np.frombuffer(etl_records.record(kind, levels), record_format.fields))[0]
        assert (image[10:20, 5:9] == 255).all() and image.sum() == 255 * 40


@pytest.mark.parametrize("size", [28, 64, 100])
def test_images_are_padded_to_squares_and_scaled_exactly_as_datasets_are(size):
    images = np.random.default_rng(0).integers(0, 256, (5, 127, 128), np.uint8)
    squares = np.concatenate([images, np.zeros((5, 1, 128), np.uint8)], axis=1)
    dataset = CharacterDataset("x", "train", squares, np.zeros(5, np.int32), Labels(("あ",)), "", "")
    np.testing.assert_array_equal(formats.to_squares(images, size), dataset.resized(size).images)


def test_images_that_fit_are_only_padded():
    images = np.random.default_rng(0).integers(0, 256, (2, 63, 64), np.uint8)
    squares = formats.to_squares(images, 64)
    np.testing.assert_array_equal(squares[:, :63], images)
    assert squares.shape == (2, 64, 64) and not squares[:, 63].any()
    assert formats.to_squares(images[:0], 32).shape == (0, 32, 32)
