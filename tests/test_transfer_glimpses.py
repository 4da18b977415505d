"""A decoder of drawings sees what is around its pen, and nothing from beyond the image's edge."""

import keras
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from kuzushiji_tf.transfer.glimpses import CANVAS, SEEN, WINDOWS, Glimpse

SCALE = 0.1
POSITIONS = np.float32([[[0, 0], [1.3, -2.1]], [[-4.9, 0.4], [3, 5.2]]])  # two drawings, two steps each


@pytest.fixture
def canvas():
    return np.random.default_rng(0).random((2, CANVAS, CANVAS)).astype(np.float32)


def windows(canvas, positions=POSITIONS):
    """Return each window of each step, `[batch, t, points, points]`."""
    seen = np.asarray(Glimpse(SCALE)(canvas, positions))
    assert seen.shape == (*positions.shape[:2], SEEN)
    sizes = [points**2 for points, _ in WINDOWS]
    parts = np.split(seen, np.cumsum(sizes)[:-1], axis=-1)
    return [part.reshape(*positions.shape[:2], *[points] * 2) for part, (points, _) in zip(parts, WINDOWS, strict=True)]


def written_out(canvas, position, points, spacing):
    """Return one window: each of its points is a mean of the pixels around it, weighted by a triangle."""
    found = np.zeros((points, points))
    center = (0.5 + SCALE * position) * CANVAS - 0.5
    for row in range(points):
        for column in range(points):
            x, y = center + spacing * (np.array([column, row]) - points // 2)
            along, across = (np.maximum(1 - np.abs(np.arange(CANVAS) - at) / spacing, 0) / spacing for at in (x, y))
            found[row, column] = across @ canvas @ along
    return found


def test_every_window_agrees_with_the_sums_written_out(canvas):
    for found, window in zip(windows(canvas), WINDOWS, strict=True):
        for drawing in range(2):
            for step in range(2):
                expected = written_out(canvas[drawing], POSITIONS[drawing, step], *window)
                np.testing.assert_allclose(found[drawing, step], expected, atol=1e-5)


def test_points_a_pixel_apart_are_interpolated_bilinearly(canvas):
    points, spacing = WINDOWS[0]
    assert spacing == 1
    x, y = (0.5 + SCALE * POSITIONS[0, 1]) * CANVAS - 0.5
    apart = np.arange(points) - points // 2
    expected = map_coordinates(canvas[0], np.meshgrid(y + apart, x + apart, indexing="ij"), order=1)
    np.testing.assert_allclose(windows(canvas)[0][0, 1], expected, atol=1e-5)


def test_nothing_is_seen_from_beyond_the_edge(canvas):
    outside = np.full((2, 1, 2), 20, np.float32)
    assert not any(window.any() for window in windows(canvas, outside))
    corner = np.full((2, 1, 2), 5, np.float32)  # the lower right one
    for window in windows(canvas, corner):
        half = window.shape[-1] // 2
        assert window[..., :half, :half].all() and not window[..., half + 1 :, :].any()
        assert not window[..., :, half + 1 :].any()


def test_a_layer_that_was_stored_sees_the_same(canvas):
    layer = Glimpse(SCALE)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert np.array_equal(again(canvas, POSITIONS), layer(canvas, POSITIONS))
