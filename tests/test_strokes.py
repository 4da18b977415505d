import numpy as np
import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.strokes import arc_length, as_strokes, normalize, rasterize, render, resample, to_segments


def line(*points):
    return np.array(points, np.float32)


def test_json_points_become_strokes_and_empty_strokes_are_dropped():
    strokes = as_strokes([[[1, 2], [3, 4.5]], [], [[7, 8]]])
    assert [stroke.tolist() for stroke in strokes] == [[[1, 2], [3, 4.5]], [[7, 8]]]
    assert all(stroke.dtype == np.float32 for stroke in strokes)


@pytest.mark.parametrize(
    "value", [[], [[]], 5, [[1, 2, 3]], [[[1, 2, 3]]], [[["a", "b"]]], [[[1, float("nan")]]], [[[1, 2], [3]]]]
)
def test_what_is_no_ink_is_refused_in_one_sentence(value):
    with pytest.raises(UserError, match=r"^line 7: .*\.$"):
        as_strokes(value, "line 7")


def test_resampled_points_are_evenly_spaced_and_keep_both_ends():
    stroke = line((0, 0), (0, 3), (4, 3))
    points = resample(stroke, 8)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points[[0, 3, -1]], [(0, 0), (0, 3), (4, 3)], atol=1e-6)
    np.testing.assert_allclose(np.diff(arc_length(points)), 1, atol=1e-6)
    np.testing.assert_allclose(resample(line((2, 5)), 3), [(2, 5)] * 3)


def test_normalized_strokes_fill_the_unit_box_up_to_the_margin_and_keep_their_aspect():
    first, second = normalize([line((10, 20), (10, 60)), line((30, 20), (30, 40))], margin=0.1)
    np.testing.assert_allclose(first, [(0.3, 0.1), (0.3, 0.9)], atol=1e-6)
    np.testing.assert_allclose(second, [(0.7, 0.1), (0.7, 0.5)], atol=1e-6)


def test_a_dot_is_normalized_into_the_center():
    np.testing.assert_allclose(normalize([line((300, 5))])[0], [(0.5, 0.5)])


def test_a_horizontal_line_has_the_width_that_was_asked_for():
    image = render([line((0.2, 0.5), (0.8, 0.5))], 32, stroke_width=3)
    assert image.dtype == np.uint8
    assert image[:, 16].tolist() == [0] * 14 + [128, 255, 255, 128] + [0] * 14
    assert np.flatnonzero(image[16] > 127).tolist() == list(range(5, 27)), "0.2 * 32 - 1.5 to 0.8 * 32 + 1.5"


def test_ink_amounts_to_length_times_width_in_every_direction():
    for angle in np.linspace(0, np.pi, 7):
        way = 0.3 * np.array([np.cos(angle), np.sin(angle)])
        image = render([line(0.5 - way, 0.5 + way)], 64, stroke_width=4)
        assert image.sum() / 255 == pytest.approx(0.6 * 64 * 4 + np.pi * 4, rel=0.03)


def test_a_dot_is_drawn_as_a_disc():
    image = render([line((0.5, 0.5))], 32, stroke_width=8)
    assert image.sum() / 255 == pytest.approx(np.pi * 16, rel=0.03)
    np.testing.assert_array_equal(image, image.T)


def test_ink_outside_the_image_is_cut_off():
    image = render([line((-0.5, 0.5), (0.5, 0.5)), line((3, 3), (9, 9))], 16, stroke_width=2)
    assert (image[7:9, :7] == 255).all() and not image[:, 10:].any()


def test_segments_are_cut_to_the_longest_allowed_and_still_connect():
    segments = to_segments([line((0, 0), (1, 0), (1, 0.25)), line((5, 5))], longest=0.3)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    np.testing.assert_allclose(lengths, [0.25] * 5 + [0], atol=1e-6)
    np.testing.assert_array_equal(segments[1:5, 0], segments[:4, 1])


def test_a_batch_is_drawn_as_each_of_its_characters_alone():
    generator = np.random.default_rng(0)
    segments = generator.uniform(0, 24, (5, 7, 2, 2)).astype(np.float32)
    half_widths = generator.uniform(0.4, 2, (5, 7)).astype(np.float32)
    softness = np.linspace(1, 3, 5, dtype=np.float32)
    half_widths[:, 3] = 0
    together = rasterize(segments, half_widths, softness, 24)
    assert together.shape == (5, 24, 24) and together.dtype == np.float32
    for row in range(5):
        kept = [0, 1, 2, 4, 5, 6]
        alone = rasterize(segments[row : row + 1, kept], half_widths[row : row + 1, kept], softness[row : row + 1], 24)
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5, err_msg="half width 0 is not drawn")


def test_soft_ink_fades_over_the_asked_number_of_pixels():
    segments = np.array([[[[-9, 16], [40, 16]]]], np.float32)
    profile = rasterize(segments, np.full((1, 1), 4, np.float32), np.array([6], np.float32), 32)[0, :16, 8]
    expected = np.clip((4 - (16 - (np.arange(16) + 0.5))) / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(profile, expected, atol=1e-5)
