import numpy as np
import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import (
    FARTHEST,
    MOST_POINTS,
    MOST_STROKES,
    PASSES,
    STEP,
    arc_length,
    as_strokes,
    normalize,
    prepare,
    rasterize,
    render,
    resample,
    to_segments,
)


def line(*points):
    return np.array(points, np.float32)


def test_json_points_become_strokes_and_empty_strokes_are_dropped():
    strokes = as_strokes([[[1, 2], [3, 4.5]], [], [[7, 8]]])
    assert [stroke.tolist() for stroke in strokes] == [[[1, 2], [3, 4.5]], [[7, 8]]]
    assert all(stroke.dtype == np.float32 for stroke in strokes)


def test_a_third_number_is_a_time_and_draws_nothing():
    strokes = as_strokes([[[1, 2, 1000], [3, 4.5, 1008.5]], np.array([[7, 8, np.nan]])])
    assert [stroke.tolist() for stroke in strokes] == [[[1, 2], [3, 4.5]], [[7, 8]]]


NO_INK = {
    "nothing": [],
    "an empty stroke": [[]],
    "a number": 5,
    "text": "abc",
    "an object": {"strokes": [[[1, 2]]]},
    "a flat list": [[1, 2, 3]],
    "one number a point": [[[1]]],
    "four numbers a point": [[[1, 2, 3, 4]]],
    "letters": [[["a", "b"]]],
    "numbers as text": [[["1", "2"]]],
    "truth values": [[[True, False]]],
    "null": [[[1, None]]],
    "points of different lengths": [[[1, 2], [3]]],
    "points too deep": [[[[1, 2]]]],
    "NaN": [[[1, float("nan")]]],
    "infinity": [[[float("-inf"), 1]]],
    "more than floats can hold": [[[10**400, 1]]],
    "too far away": [[[2 * FARTHEST, 1]]],
    "too many strokes": [[[1, 2]]] * (MOST_STROKES + 1),
    "too many points": [[[1, 2]] * (MOST_POINTS + 1)],
}


@pytest.mark.parametrize("read", [as_strokes, prepare])
@pytest.mark.parametrize("value", NO_INK.values(), ids=NO_INK.keys())
def test_what_is_no_ink_is_refused_in_one_sentence(value, read):
    with pytest.raises(UserError, match=r"^line 7: [^\n]*\.$"):
        read(value, "line 7")


def test_the_most_that_is_allowed_is_read():
    assert len(as_strokes([[[1, 2]]] * MOST_STROKES)) == MOST_STROKES
    circle = np.linspace(0, 2 * np.pi, MOST_POINTS)
    (stroke,) = prepare([np.stack([np.cos(circle), np.sin(circle)], axis=1) * FARTHEST])
    assert len(stroke) == pytest.approx(np.pi / STEP, abs=2)


def test_a_stroke_to_and_fro_without_end_is_refused():
    with pytest.raises(UserError, match=r"^strokes: .* \d+,\d+ times"):
        prepare([[[0, 0], [300, 1]] * 1000])


def test_prepared_points_are_a_step_apart_around_the_origin_in_a_box_of_one():
    strokes = prepare([[[100, 50], [100, 250]], [[60, 150], [140, 150]], [[70, 60]]])
    assert all(stroke.dtype == np.float32 for stroke in strokes)
    np.testing.assert_allclose(strokes[0][[0, -1]], [(0, -0.5), (0, 0.5)], atol=1e-6)
    np.testing.assert_allclose(strokes[1][[0, -1]], [(-0.2, 0), (0.2, 0)], atol=1e-6)
    np.testing.assert_allclose(strokes[2], [(-0.15, -0.45)], atol=1e-6)
    spacing = np.linalg.norm(np.diff(strokes[0], axis=0), axis=1)
    np.testing.assert_allclose(spacing[PASSES:-PASSES], STEP, rtol=0.02)


def test_repeated_points_and_rests_of_the_pen_change_nothing():
    plain = [[[0, 0], [40, 90], [100, 100]]]
    rested = [[[0, 0]] * 30 + [[40, 90]] * 99 + [[100, 100]] * 5]
    np.testing.assert_allclose(prepare(rested)[0], prepare(plain)[0], atol=1e-6)
    assert len(prepare([[[0, 0], [0, 200]], [[50, 50], [51, 51], [50, 52]]])[1]) == 1, "a dot, for the pen trembled"


def test_place_and_unit_do_not_matter_even_far_away():
    points = np.array([(0, 0), (30, 80), (100, 60)])
    expected = prepare([points])[0]
    for scale, place in ((1e-3, 0), (1e4, -3e8), (0.25, 1e8)):
        np.testing.assert_allclose(prepare([points * scale + place])[0], expected, atol=1e-6)


def test_corners_and_ends_stay_and_jitter_goes():
    corner = np.array([(0, 0), (100, 0), (100, 100)], float)
    clean = prepare([corner])[0]
    np.testing.assert_allclose(clean[[0, -1]], [(-0.5, -0.5), (0.5, 0.5)], atol=1e-6)
    assert np.linalg.norm(clean - (0.5, -0.5), axis=1).min() < 1 / 75
    jitter = np.random.default_rng(0).normal(0, 0.5, (600, 2))
    shaken = prepare([resample(corner.astype(np.float32), 600) + jitter])[0]
    heights = shaken[5 : len(shaken) // 3, 1]
    assert heights.std() < 0.5 * 0.005, "less than half of the jitter is left"


def test_strokes_are_left_as_they_were():
    given = [np.array([[0.0, 0], [3, 9], [5, 9]])]
    before = given[0].copy()
    prepare(given)
    np.testing.assert_array_equal(given[0], before)


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
