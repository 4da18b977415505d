from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.datasets.drawn.handwriting import draw_handwriting
from kuzushiji_tf.datasets.drawn.variation import Form, Variation
from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.normalization import draw_strokes

STILL = Variation(width=(3.0, 3.0)).scaled(0.0)
CROSS = [np.array([[0, 5], [10, 5]], np.float32), np.array([[5, 0], [5, 10]], np.float32)]
BAR = [np.array([[0, 0], [10, 0]], np.float32)]


def ink_below(images, row):
    return (images[:, row:] > 128).any(axis=(1, 2)).mean()


def test_without_variation_the_model_itself_is_drawn():
    strokes = load_strokes("永")["永"]
    images = draw_handwriting([Form(strokes)], 20, (1,), 64, STILL)
    expected = draw_strokes(strokes, 64, 3.0)
    difference = np.abs(images - expected.astype(float)).mean(axis=(1, 2))
    assert difference.max() < 0.2 * expected.mean(), "but for the pen's small changes"


def test_more_variation_makes_more_difference():
    strokes = load_strokes("永")["永"]
    likeness = []
    for factor in (0.0, 0.3, 0.6, 1.0):
        images = draw_handwriting([Form(strokes)], 60, (1,), 32, Variation().scaled(factor)).reshape(60, -1)
        likeness.append(np.corrcoef(images).mean())
    assert likeness == sorted(likeness, reverse=True) and likeness[0] > 0.9 and likeness[-1] < 0.5


def test_forms_are_chosen_by_their_weights():
    images = draw_handwriting([Form(CROSS, 0.8), Form(BAR, 0.2)], 2000, (3,), 32, STILL)
    assert ink_below(images, 24) == pytest.approx(0.8, abs=0.03)


def test_hooks_are_left_out_as_often_as_asked():
    hooked = [np.array([[0, 0], [0, 10], [-2, 8]], np.float32)]
    for chance in (0.0, 0.3, 1.0):
        images = draw_handwriting([Form(hooked)], 1000, (3,), 32, replace(STILL, no_hook=chance))
        extent = np.ptp(np.where(images > 128, np.arange(32), 15), axis=(1, 2))
        assert (extent < 4).mean() == pytest.approx(chance, abs=0.05)


def test_a_corner_that_is_no_hook_stays():
    seven = [np.array([[0, 0], [8, 0], [4, 10]], np.float32)]
    images = draw_handwriting([Form(seven)], 50, (3,), 32, replace(STILL, no_hook=1.0))
    assert ink_below(images, 26) == 1


def test_strokes_that_meet_are_joined_more_often_than_distant_ones():
    near = [np.array([[0, 0], [10, 0]], np.float32), np.array([[10, 2], [0, 10]], np.float32)]
    far = [np.array([[0, 0], [10, 0]], np.float32), np.array([[0, 10], [10, 10]], np.float32)]
    never, always = STILL, replace(STILL, join=1.0)
    changed = []
    for strokes in (near, far):
        without, joined = (draw_handwriting([Form(strokes)], 500, (3,), 32, v).astype(int) for v in (never, always))
        changed.append((np.abs(joined - without).max(axis=(1, 2)) > 60).mean())
    assert changed[0] > 0.5 > 0.2 > changed[1]


def test_images_do_not_depend_on_how_many_are_drawn():
    forms = [Form(load_strokes("あ")["あ"], 0.5), Form(CROSS, 0.5)]
    many = draw_handwriting(forms, 300, (9, 1), 24)
    np.testing.assert_array_equal(draw_handwriting(forms, 131, (9, 1), 24), many[:131])
    np.testing.assert_array_equal(draw_handwriting(forms, 1, (9, 1), 24), many[:1])


def test_a_single_dot_can_be_drawn():
    images = draw_handwriting([Form([np.array([[3, 3]], np.float32)])], 5, (1,), 32)
    assert images.max() > 150
