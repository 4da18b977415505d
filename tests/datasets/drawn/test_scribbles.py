"""Scribbles: all different, drawn as characters are, the same for the same seed."""

import numpy as np

from kuzushiji_tf.datasets.drawn.kana import draw_characters
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.kanjivg import load_strokes

CHARACTERS = list(load_strokes("永字八法").values())


def test_a_scribble_depends_on_the_seed_and_its_number_alone():
    few, many = (draw_scribbles(count, (7, 1), 32, CHARACTERS) for count in (5, 200))
    np.testing.assert_array_equal(few, many[:5])
    assert (draw_scribbles(5, (8, 1), 32, CHARACTERS) != few).any(axis=(1, 2)).all()
    assert len(np.unique(many, axis=0)) == 200


def test_scribbles_have_ink_and_a_margin_at_any_size():
    for size in (28, 64):
        images = draw_scribbles(150, (0,), size, CHARACTERS)
        assert images.shape == (150, size, size) and images.dtype == np.uint8
        assert (images.max(axis=(1, 2)) > 100).all()
        assert images[:, 0].mean() < 5 and images[:, :, 0].mean() < 5


def test_brightness_and_softness_do_not_give_scribbles_away():
    """They come from the same distributions as those of characters, so that only the shape tells."""
    characters = draw_characters("永字八法", 100, (0, 0), 64)
    brightest = [images.max(axis=(1, 2)) for images in (draw_scribbles(400, (0,), 64), characters)]
    for share in (0.1, 0.5, 0.9):
        low, high = (np.quantile(values, share) for values in brightest)
        assert abs(low - high) < 20


def test_without_characters_only_scrawls_are_drawn():
    assert draw_scribbles(20, (0,), 32).any(axis=(1, 2)).all()
