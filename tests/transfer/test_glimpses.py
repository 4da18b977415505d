"""A decoder of drawings sees the ink around its pen, and which of it is not drawn yet, and nothing beyond the edge."""

import keras
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from kuzushiji_tf.transfer.glimpses import CANVAS, SEEN, WINDOWS, Glimpse

SCALE = 0.1
# Two drawings of three steps: to a point with the pen lifted, down to another, and on with the pen lifted.
POSITIONS = np.float32([[[0, 0], [1.3, -2.1], [2, 2]], [[-4.9, 0.4], [3, 4.2], [0, 0]]])
OFFSETS = np.diff(POSITIONS, axis=1, prepend=0).astype(np.float32)
PEN = np.float32([[0, 1, 0]] * 2)
NOTHING = np.zeros((2, CANVAS, CANVAS), np.float32)


@pytest.fixture
def canvas():
    return np.random.default_rng(0).random((2, CANVAS, CANVAS)).astype(np.float32)


def look(canvas, drawn=NOTHING, offsets=OFFSETS, positions=POSITIONS, pen=PEN):
    """Return each window of each step, `[batch, t, points, points]`, and what is drawn in the end."""
    seen, drawn = (np.asarray(part) for part in Glimpse(SCALE)(canvas, drawn, offsets, positions, pen))
    assert seen.shape == (*positions.shape[:2], SEEN) and drawn.shape == canvas.shape
    sizes = [points for points, _ in (*WINDOWS, *WINDOWS)]
    parts = np.split(seen, np.cumsum(np.square(sizes))[:-1], axis=-1)
    return [part.reshape(*positions.shape[:2], size, size) for part, size in zip(parts, sizes, strict=True)], drawn


def pixels_of(positions):
    return (0.5 + SCALE * positions) * CANVAS - 0.5


def window(canvas, position, points, spacing):
    """Return one window: each of its points is a mean of the pixels around it, weighted by a triangle."""
    found = np.zeros((points, points))
    for row in range(points):
        for column in range(points):
            x, y = pixels_of(position) + spacing * (np.array([column, row]) - points // 2)
            along, across = (np.maximum(1 - np.abs(np.arange(CANVAS) - at) / spacing, 0) / spacing for at in (x, y))
            found[row, column] = across @ canvas @ along
    return found


def line(end, offset):
    """Return the ink of one line: sixteen stamps from its end back towards its beginning, each a pyramid."""
    end, offset = pixels_of(end), SCALE * CANVAS * offset
    ink = np.zeros((CANVAS, CANVAS))
    for stamp in range(16):
        along, across = (np.maximum(1 - np.abs(np.arange(CANVAS) - at) / 2, 0) for at in end - stamp / 16 * offset)
        ink += np.outer(across, along)
    return np.minimum(ink, 1)


def test_what_is_seen_and_drawn_agrees_with_the_sums_written_out(canvas):
    found, in_the_end = look(canvas)
    for drawing in range(2):
        drawn = np.zeros((CANVAS, CANVAS))
        for step in range(3):
            offset = OFFSETS[drawing, step] * (PEN[drawing, step] == 1)
            drawn = np.minimum(drawn + line(POSITIONS[drawing, step], offset), 1)
            images = np.repeat([canvas[drawing], canvas[drawing] * (1 - drawn)], len(WINDOWS), axis=0)
            for part, image, shape in zip(found, images, (*WINDOWS, *WINDOWS), strict=True):
                expected = window(image, POSITIONS[drawing, step], *shape)
                np.testing.assert_allclose(part[drawing, step], expected, atol=1e-5)
        np.testing.assert_allclose(in_the_end[drawing], drawn, atol=1e-5)


def test_the_windows_are_those_that_decoders_were_trained_with():
    assert (CANVAS, WINDOWS, SEEN) == (32, ((9, 1.0), (9, 2.0), (9, 4.0)), 486)


def test_points_a_pixel_apart_are_interpolated_bilinearly(canvas):
    points, _ = WINDOWS[0]
    x, y = pixels_of(POSITIONS[0, 1])
    apart = np.arange(points) - points // 2
    expected = map_coordinates(canvas[0], np.meshgrid(y + apart, x + apart, indexing="ij"), order=1)
    np.testing.assert_allclose(look(canvas)[0][0][0, 1], expected, atol=1e-5)


def test_nothing_is_seen_from_beyond_the_edge(canvas):
    def seen_from(place):
        positions = np.full((2, 1, 2), place, np.float32)
        return look(canvas, offsets=positions, positions=positions, pen=np.zeros((2, 1), np.float32))[0]

    assert not any(part.any() for part in seen_from(20))
    for part in seen_from(5)[: len(WINDOWS)]:  # the lower right corner
        half = part.shape[-1] // 2
        assert part[..., :half, :half].all() and not part[..., half + 1 :, :].any()
        assert not part[..., :, half + 1 :].any()


def test_ink_under_the_pens_way_is_drawn_and_other_ink_is_left():
    canvas = np.ones((2, CANVAS, CANVAS), np.float32)
    _, drawn = look(canvas)
    for ink, positions in zip(drawn, POSITIONS, strict=True):
        x, y = np.transpose([pixels_of(positions[0] + share * (positions[1] - positions[0])) for share in (0, 0.5, 1)])
        assert map_coordinates(ink, [y, x], order=1, mode="nearest").min() > 0.9
        x, y = pixels_of((positions[1] + positions[2]) / 2)  # where the pen was lifted
        assert map_coordinates(ink, [[y], [x]], order=1)[0] == 0


def test_before_the_first_point_nothing_is_drawn(canvas):
    seen, drawn = look(canvas, pen=np.full((2, 3), -1, np.float32))
    assert not drawn.any()
    for all_ink, left in zip(seen[: len(WINDOWS)], seen[len(WINDOWS) :], strict=True):
        np.testing.assert_array_equal(all_ink, left)


def test_steps_one_by_one_see_and_draw_what_all_at_once_do(canvas):
    together, in_the_end = look(canvas)
    drawn = NOTHING
    for step in range(3):
        now = slice(step, step + 1)
        seen, drawn = look(canvas, drawn, OFFSETS[:, now], POSITIONS[:, now], PEN[:, now])
        for part, expected in zip(seen, together, strict=True):
            np.testing.assert_allclose(part, expected[:, now], atol=1e-6)
    np.testing.assert_allclose(drawn, in_the_end, atol=1e-6)


def test_a_layer_that_was_stored_sees_the_same(canvas):
    layer = Glimpse(SCALE)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    inputs = canvas, NOTHING, OFFSETS, POSITIONS, PEN
    for one, other in zip(again(*inputs), layer(*inputs), strict=True):
        assert np.array_equal(one, other)
