"""Augmentation means what ImageDataGenerator's names mean, and does nothing that was not asked for."""

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy.ndimage import gaussian_filter, map_coordinates

from kuzushiji_tf.batches.augmentation import augment, field_modes, normals, parameters_from_uniforms, uniform_columns
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
    "blur": 0.0,
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


def uniforms(augmentation, count, size, seed=0):
    shape = (count, uniform_columns(augmentation, size))
    steps = np.random.default_rng(seed).integers(0, 1 << 24, shape)
    return keras.ops.convert_to_tensor(np.float32(steps) / (1 << 24))


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
    ends = keras.ops.convert_to_tensor(np.repeat(np.float32([[0], [1]]), uniform_columns(augmentation, SIZE), axis=1))
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
    augmentation = ImageAugmentation(elastic=0.1)
    drawn = parameters_from_uniforms(augmentation, uniforms(augmentation, 500, (40, 20)), (40, 20))
    bend = np.abs(np.asarray(drawn["elastic"])).max(axis=(0, 1, 2))
    assert 1.9 < bend[0] <= 2.0 and 3.9 < bend[1] <= 4.0


def test_smoothed_field_is_distributed_as_that_of_simard():
    """Its covariances are those of uniform noise smoothed by SciPy; heights and widths may differ."""
    size, sigma, alpha, count = (10, 14), 2.5, 8.0, 20_000
    augmentation = ImageAugmentation(elastic_alpha=alpha, elastic_sigma=sigma)
    strength = np.asarray(parameters_from_uniforms(augmentation, uniforms(augmentation, count, size), size)["field"])
    rows, columns = (field_modes(sigma, side) for side in size)
    ours = np.einsum("hi,bcij,wj->bchw", rows, strength, columns).reshape(2 * count, -1)
    noise = np.random.default_rng(1).uniform(-1, 1, (2 * count, *size))
    theirs = alpha * gaussian_filter(noise, (0, sigma, sigma), mode="constant").reshape(2 * count, -1)
    expected = np.cov(theirs.T)
    assert np.abs(ours.mean(axis=0)).max() < 0.02 * np.sqrt(expected.max())
    np.testing.assert_allclose(np.cov(ours.T), expected, atol=0.04 * expected.max())
    # Normal, as a sum of many small parts is: the fourth moment of the normal distribution is 3.
    middle = ours[:, ours.shape[1] // 2]
    assert np.mean(middle**4) / np.mean(middle**2) ** 2 == pytest.approx(3, abs=0.15)


def test_smoothed_field_moves_pixels_by_its_displacements():
    size = (16, 16)
    image = np.random.default_rng(0).integers(0, 256, size).astype(np.float32)
    augmentation = ImageAugmentation(elastic_alpha=300, elastic_sigma=5, fill_mode="reflect")
    parameters = parameters_from_uniforms(augmentation, uniforms(augmentation, 1, size), size)
    modes = field_modes(5, 16)
    x, y = np.einsum("hi,cij,wj->chw", modes, np.asarray(parameters["field"])[0], modes)
    assert np.abs(x).max() > 3
    moved = np.asarray(augment(augmentation, keras.ops.convert_to_tensor(image[None, :, :, None]), parameters))
    down, right = np.mgrid[:16, :16]
    expected = map_coordinates(image, [down + y, right + x], order=1, mode="reflect")
    np.testing.assert_allclose(moved[0, :, :, 0], expected, atol=0.05)


def test_field_modes_have_a_fixed_sign():
    assert (field_modes(4.0, 28)[0] > 0).all()


def test_normals_are_normal_and_finite_at_the_ends():
    quantiles = np.float32([0, 0.5, 0.8413447, 0.9772499, 1 - 2**-24])
    found = np.asarray(normals(keras.ops.convert_to_tensor(quantiles)))
    np.testing.assert_allclose(found[1:4], [0, 1, 2], atol=1e-3)
    assert found[0] == pytest.approx(-found[4], rel=1e-3) and 5 < found[4] < 5.3


def test_cutout_blanks_one_square_and_nothing_else():
    moved = applied(ImageAugmentation(cutout=6), np.full(SIZE, 9, np.float32), cutout_x=10, cutout_y=8)
    expected = np.full(SIZE, 9, np.float32)
    expected[5:11, 7:13] = 0
    np.testing.assert_array_equal(moved, expected)


def test_blur_is_that_of_a_gaussian_and_mostly_slight():
    augmentation = ImageAugmentation(blur=2.0)
    columns = uniform_columns(augmentation, (28, 28))
    uniforms = np.random.default_rng(0).random((400, columns), dtype=np.float32)
    parameters = parameters_from_uniforms(augmentation, uniforms, (28, 28))
    deviations = np.asarray(parameters["blur"])
    assert 1.8 < deviations.max() <= 2 and np.median(deviations) < 0.7
    images = np.zeros((400, 28, 28, 1), np.float32)
    images[:, 10:18, 9:12] = 255
    found = np.asarray(augment(augmentation, images, parameters))[..., 0]
    for row in (int(deviations.argmax()), int(np.abs(deviations - 0.8).argmin())):
        expected = gaussian_filter(images[row, ..., 0], deviations[row], mode="constant")
        np.testing.assert_allclose(found[row], expected, atol=4)
    np.testing.assert_allclose(found[deviations.argmin()], images[0, ..., 0], atol=0.01)


def test_without_blur_the_other_draws_stay_as_they_were():
    plain, blurred = ImageAugmentation(elastic_alpha=8.0), ImageAugmentation(elastic_alpha=8.0, blur=1.0)
    columns = [uniform_columns(augmentation, (28, 28)) for augmentation in (plain, blurred)]
    assert columns[1] == columns[0] + 1
    uniforms = np.random.default_rng(0).random((3, columns[1]), dtype=np.float32)
    before, after = (
        parameters_from_uniforms(augmentation, uniforms[:, :number], (28, 28))["field"]
        for augmentation, number in zip((plain, blurred), columns, strict=True)
    )
    np.testing.assert_array_equal(before, after)


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
