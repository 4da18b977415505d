"""Augmentation means what ImageDataGenerator's names mean, and does nothing that was not asked for."""

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from kuzushiji_tf.augmentation import UNIFORM_COLUMNS, augment, parameters_from_uniforms
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.errors import UserError

SIZE = (20, 24)
NEUTRAL = {
    "rotation": 0.0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "shear": 0.0,
    "zoom_x": 1.0,
    "zoom_y": 1.0,
    "brightness": 1.0,
    "cutout_x": 0.0,
    "cutout_y": 0.0,
}


def ink(seed=0, margin=5):
    """A random image with a black margin, so that the edge rules of two libraries cannot differ."""
    image = np.zeros(SIZE, np.float32)
    inner = np.random.default_rng(seed).integers(0, 256, (SIZE[0] - 2 * margin, SIZE[1] - 2 * margin))
    image[margin:-margin, margin:-margin] = inner
    return image


def applied(augmentation, image, elastic=None, **parameters):
    values = {name: keras.ops.convert_to_tensor(np.float32([v])) for name, v in (NEUTRAL | parameters).items()}
    values["elastic"] = keras.ops.convert_to_tensor(
        np.zeros((1, 4, 4, 2), np.float32) if elastic is None else np.float32(elastic)
    )
    return np.asarray(augment(augmentation, keras.ops.convert_to_tensor(image[None, :, :, None]), values))[0, :, :, 0]


# Our parameters beside those of ImageDataGenerator.apply_transform; its tx moves sideways (its axes are swapped).
SAME_TRANSFORMS = {
    "rotation": ({"rotation": np.deg2rad(25)}, {"theta": 25}),
    "width shift": ({"shift_x": 3.3}, {"tx": 3.3}),
    "height shift": ({"shift_y": -2.6}, {"ty": -2.6}),
    "shear": ({"shear": np.deg2rad(18)}, {"shear": 18}),
    "zoom": ({"zoom_x": 0.8, "zoom_y": 1.15}, {"zx": 0.8, "zy": 1.15}),
    "all together": (
        {"rotation": -0.2, "shift_x": 1.5, "shift_y": 2.0, "shear": 0.15, "zoom_x": 1.1, "zoom_y": 0.9},
        {"theta": np.rad2deg(-0.2), "tx": 1.5, "ty": 2.0, "shear": np.rad2deg(0.15), "zx": 1.1, "zy": 0.9},
    ),
}
EVERYTHING_MOVES = {"rotation_range": 1.0}


def legacy(image, theirs, **settings):
    generator = ImageDataGenerator(**settings)
    # On square images its center is the image's; on others it mixes height and width up, so it is given squares.
    side = max(image.shape)
    square = np.zeros((side, side, 1), np.float32)
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    square[top : top + image.shape[0], left : left + image.shape[1], 0] = image
    moved = generator.apply_transform(square, theirs)
    return moved[top : top + image.shape[0], left : left + image.shape[1], 0]


@pytest.mark.parametrize("name", SAME_TRANSFORMS)
def test_each_transform_equals_image_data_generators(name):
    ours, theirs = SAME_TRANSFORMS[name]
    moved = applied(ImageAugmentation(**EVERYTHING_MOVES), ink(), **ours)
    expected = legacy(ink(), theirs, fill_mode="constant", cval=0.0)
    assert np.abs(expected - ink()).max() > 50
    np.testing.assert_allclose(moved, expected, atol=0.05)


@pytest.mark.parametrize("fill_mode", ["nearest", "reflect", "wrap"])
def test_fill_modes_equal_image_data_generators(fill_mode):
    image = np.random.default_rng(1).integers(0, 256, (16, 16)).astype(np.float32)
    augmentation = ImageAugmentation(**EVERYTHING_MOVES, fill_mode=fill_mode)
    moved = applied(augmentation, image, shift_x=4.3, shift_y=-3.6)
    expected = ImageDataGenerator(fill_mode=fill_mode).apply_transform(image[..., None], {"tx": 4.3, "ty": -3.6})
    np.testing.assert_allclose(moved, expected[..., 0], atol=0.05)


def test_constant_fill_puts_its_value_outside():
    augmentation = ImageAugmentation(**EVERYTHING_MOVES, fill_mode="constant", cval=77.0)
    moved = applied(augmentation, np.full(SIZE, 200, np.float32), shift_x=6.0)
    np.testing.assert_allclose(moved[:, -6:], 77.0, atol=0.01)
    np.testing.assert_allclose(moved[:, :-7], 200.0, atol=0.01)


def test_brightness_equals_image_data_generators():
    moved = applied(ImageAugmentation(brightness_range=(0.5, 1.5)), ink(), brightness=1.4)
    expected = legacy(ink(), {"brightness": 1.4})
    np.testing.assert_allclose(moved, expected, atol=1.0)  # theirs goes through 8 bits


def test_ranges_mean_what_image_data_generators_mean():
    augmentation = ImageAugmentation(
        rotation_range=90, width_shift_range=0.5, height_shift_range=3, shear_range=45, zoom_range=0.25
    )
    ends = keras.ops.convert_to_tensor(
        np.stack([np.zeros(UNIFORM_COLUMNS), np.ones(UNIFORM_COLUMNS)]).astype("float32")
    )
    drawn = parameters_from_uniforms(augmentation, ends, SIZE)
    for name, low, high in (
        ("rotation", -np.pi / 2, np.pi / 2),
        ("shift_x", -12, 12),  # half the width of 24 pixels
        ("shift_y", -3, 3),  # from 1 on, pixels
        ("shear", -np.pi / 4, np.pi / 4),
        ("zoom_x", 0.75, 1.25),
        ("zoom_y", 0.75, 1.25),
    ):
        np.testing.assert_allclose(np.asarray(drawn[name]), [low, high], rtol=1e-6)


def test_elastic_moves_the_corner_by_its_control_point():
    image = np.zeros((21, 21), np.float32)
    image[3, 2] = 255
    elastic = np.zeros((1, 4, 4, 2))
    elastic[0, 0, 0] = (2, 3)  # the corner looks 2 to the right and 3 down
    moved = applied(ImageAugmentation(elastic=0.1), image, elastic)
    assert moved[0, 0] == pytest.approx(255)


def test_elastic_displacement_never_exceeds_its_strength():
    uniforms = np.random.default_rng(0).random((500, UNIFORM_COLUMNS)).astype(np.float32)
    drawn = parameters_from_uniforms(ImageAugmentation(elastic=0.1), keras.ops.convert_to_tensor(uniforms), (40, 20))
    bend = np.abs(np.asarray(drawn["elastic"])).max(axis=(0, 1, 2))
    assert 1.9 < bend[0] <= 2.0 and 3.9 < bend[1] <= 4.0


def test_cutout_blanks_one_square_and_nothing_else():
    moved = applied(ImageAugmentation(cutout=6), np.full(SIZE, 9, np.float32), cutout_x=10, cutout_y=8)
    expected = np.full(SIZE, 9, np.float32)
    expected[5:11, 7:13] = 0
    np.testing.assert_array_equal(moved, expected)


def test_noise_replaces_the_stated_fraction():
    noise = np.random.default_rng(0).random((1, 100, 100, 2)).astype(np.float32)
    image = np.full((1, 100, 100, 1), 50, np.float32)
    moved = np.asarray(augment(ImageAugmentation(noise=0.05), keras.ops.convert_to_tensor(image), {}, noise))
    assert 0.04 < np.mean(moved != 50) < 0.06
    assert moved.min() >= 0 and moved.max() <= 255


def test_no_augmentation_returns_the_images_themselves():
    np.testing.assert_array_equal(applied(ImageAugmentation(), ink()), ink())


@pytest.mark.parametrize(
    "wrong", [{"rotation_range": -1}, {"zoom_range": 1.0}, {"noise": 1.5}, {"brightness_range": (2.0, 1.0)}]
)
def test_impossible_ranges_are_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ImageAugmentation(**wrong)
