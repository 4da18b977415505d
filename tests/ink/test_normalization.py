import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.ink.normalization import draw_ink, draw_strokes, fit_image
from kuzushiji_tf.ink.strokes import PEN_WIDTH, arc_length, normalize, render, resample

CHARACTERS = "あのねがいへ一書"


@pytest.fixture(scope="module")
def strokes():
    return load_strokes(CHARACTERS)


def canvas(strokes, size=280, pen=10.0, left=0.1, top=0.15, scale=0.6):
    """Return a picture of `size` pixels with the character somewhere on it."""
    return render([stroke * scale + (left, top) for stroke in normalize(strokes, margin=0.0)], size, pen)


def mean_difference(first, second):
    return np.abs(first.astype(float) - second).mean()


def test_place_and_size_of_a_drawing_do_not_matter(strokes):
    reference = fit_image(canvas(strokes["あ"]), 32, box=True)
    other = fit_image(canvas(strokes["ね"]), 32, box=True)
    moved = fit_image(canvas(strokes["あ"], left=0.35, top=0.02), 32, box=True)
    smaller = fit_image(canvas(strokes["あ"], pen=5.0, scale=0.3), 32, box=True)
    larger = fit_image(canvas(strokes["あ"], size=700, pen=25.0), 32, box=True)
    assert mean_difference(reference, other) > 40
    for same in (moved, smaller, larger):
        assert mean_difference(reference, same) < 4.5


def test_ink_is_centered_and_leaves_the_margin(strokes):
    for character in CHARACTERS:
        fitted = fit_image(canvas(strokes[character]), 64, box=True)
        rows, columns = (np.flatnonzero((fitted > 100).any(axis=axis)) for axis in (1, 0))
        for found in (rows, columns):
            assert found[0] + found[-1] == pytest.approx(63, abs=1.5)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(56, abs=2)


def test_thin_and_dim_ink_is_widened_and_brightened(strokes):
    usual = fit_image(canvas(strokes["あ"], pen=9), 32, box=True)
    hairline = fit_image(canvas(strokes["あ"], pen=1), 32, box=True)
    dim = fit_image(canvas(strokes["あ"], pen=9) // 8, 32, box=True)
    assert hairline.max() == pytest.approx(255) and dim.max() == pytest.approx(255)
    assert hairline.sum() > 0.7 * usual.sum()
    assert mean_difference(dim, usual) < 3


def test_strokes_come_out_as_their_picture_does(strokes):
    """A pen of `p` pixels of the 32-pixel result is one of `168 p / (28 - p)` pixels on the large canvas."""
    for character in CHARACTERS[:-1]:
        for pen in (0.75, 1.5, 2.5):
            drawn = draw_strokes(strokes[character], 32, pen)
            assert drawn.dtype == np.uint8
            pictured = fit_image(canvas(strokes[character], pen=168 * pen / (28 - pen)), 32, box=True)
            assert mean_difference(drawn, pictured) < 4.5
            assert drawn.sum() == pytest.approx(pictured.sum(), rel=0.08)


def test_ink_of_clean_strokes_is_nearly_that_of_the_strokes_themselves(strokes):
    for size in (32, 64):
        for character in CHARACTERS:
            plain = draw_strokes(strokes[character], size, PEN_WIDTH * size)
            ink = draw_ink(strokes[character], size)
            assert ink.dtype == np.uint8 and ink.shape == (size, size)
            assert mean_difference(ink, plain) < 0.15 * plain.mean()


def test_dense_and_sparse_input_of_the_same_movement_give_nearly_the_same_image(strokes):
    """300 units a second on a canvas of 300: a point every 0.3 units from a fast pen, every 15 from a slow browser."""

    def as_reported(character, spacing, decimals):
        movement = [stroke * 300 for stroke in strokes[character]]
        counts = [max(2, round(arc_length(stroke)[-1] / spacing)) for stroke in movement]
        return [np.round(resample(*pair), decimals) for pair in zip(movement, counts, strict=True)]

    others = draw_ink(strokes["ね"], 32)
    for character in CHARACTERS:
        pen = draw_ink(as_reported(character, 0.3, 2), 32)
        assert mean_difference(draw_ink(as_reported(character, 5, 1), 32), pen) < 0.04 * pen.mean()
        assert mean_difference(draw_ink(as_reported(character, 0.3, 0), 32), pen) < 0.06 * pen.mean()
        assert mean_difference(draw_ink(as_reported(character, 15, 0), 32), pen) < 0.12 * pen.mean()
        assert character == "ね" or mean_difference(others, pen) > 0.5 * pen.mean()


@pytest.mark.parametrize("size", [24, 32, 97])
def test_a_tight_crop_is_fitted_as_if_it_had_a_margin(strokes, size):
    for character in CHARACTERS:
        picture = canvas(strokes[character])
        rows, columns = (np.flatnonzero((picture > 80).any(axis=axis)) for axis in (1, 0))
        tight = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        padded = np.pad(tight, 40)
        np.testing.assert_allclose(fit_image(tight, size, box=True), fit_image(padded, size, box=True), atol=0.1)


@pytest.mark.parametrize("size", [24, 28, 32, 64, 128])
@pytest.mark.parametrize("pen", [1, 3, 10, 25])
def test_what_is_fitted_already_stays_bit_for_bit(strokes, size, pen):
    fitted = fit_image(np.stack([canvas(strokes[character], pen=pen) for character in CHARACTERS]), size, box=True)
    for once in (fitted, np.rint(fitted).astype(np.uint8)):
        np.testing.assert_array_equal(fit_image(once, size, box=True), once)
        np.testing.assert_array_equal(fit_image(once, size, box=True, ops=keras.ops), once)


@pytest.mark.parametrize("size", [24, 28, 32, 64])
def test_real_characters_that_are_fitted_already_stay_as_they_are(data_dir, size):
    files = [data_dir / "hands" / f"{name}.npz" for name in ("omniglot", "mediotaku")]
    kuzushiji = data_dir / "kmnist" / "kmnist-test-imgs.npz"
    for images in (*(255 - np.load(file)["images"][::40] for file in files), np.load(kuzushiji)["arr_0"][::200]):
        once = np.rint(fit_image(images, size, box=True))
        np.testing.assert_array_equal(fit_image(once, size, box=True), once)


@pytest.mark.parametrize(
    "change", [lambda ink: ink // 4, lambda ink: ink[:, :, ::2], lambda ink: np.roll(ink, 4, axis=2)]
)
def test_an_image_of_the_wanted_size_that_is_not_fitted_is_fitted(strokes, change):
    """Dim, squeezed into half the width, off the center."""
    fitted = draw_strokes(strokes["あ"], 32, 1.5)[np.newaxis]
    changed = np.zeros_like(fitted)
    changed[:, :, : change(fitted).shape[2]] = change(fitted)
    again = fit_image(changed, 32, box=True)
    rows, columns = (np.flatnonzero((again[0] > 100).any(axis=axis)) for axis in (1, 0))
    assert again.max() > 250 and max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(28, abs=2)
    assert columns[0] + columns[-1] == pytest.approx(31, abs=2)


@pytest.mark.parametrize("size", [28, 50, 97, 160])
def test_plain_resizing_is_pillows_antialiased_bilinear(size):
    image = np.random.default_rng(0).integers(0, 256, (97, 97), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(fit_image(image, size, box=False), expected, atol=1)


def test_an_image_of_the_wanted_size_is_kept_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(fit_image(image, 28, box=False), image)


def test_plain_resizing_pads_the_shorter_side_with_black():
    fitted = fit_image(np.full((10, 40), 200, np.uint8), 20, box=False)
    np.testing.assert_allclose(fitted[8:12], 200, atol=1e-3)
    assert not fitted[:7].any() and not fitted[13:].any()


@pytest.mark.parametrize("box", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (64, 64), (2000, 1500)])
def test_a_blank_image_of_any_size_stays_black(shape, box):
    fitted = fit_image(np.zeros(shape, np.uint8), 28, box)
    assert fitted.shape == (28, 28) and fitted.dtype == np.float32 and not fitted.any()


def test_a_single_pixel_of_ink_lands_in_the_center():
    image = np.zeros((300, 200), np.uint8)
    image[250, 10] = 1
    fitted = fit_image(image, 32, box=True)
    assert fitted[15:17, 15:17].min() > 200 and np.isfinite(fitted).all()


@pytest.mark.parametrize("box", [True, False])
def test_the_graph_and_numpy_agree(strokes, box):
    signature = [tf.TensorSpec([None, None], tf.uint8)]
    in_graph = tf.function(lambda image: fit_image(image, 32, box, keras.ops), input_signature=signature)
    noise = np.random.default_rng(0).integers(0, 256, (45, 31), dtype=np.uint8)
    blank = np.zeros((20, 30), np.uint8)
    for image in (canvas(strokes["あ"]), canvas(strokes["い"], pen=1)[:200], noise, blank):
        np.testing.assert_allclose(in_graph(image), fit_image(image, 32, box), atol=1e-3 * 255)


def test_a_batch_is_fitted_image_by_image(strokes):
    batch = np.stack([canvas(strokes[character]) for character in CHARACTERS])
    fitted = fit_image(batch, 32, box=True)
    for image, expected in zip(batch, fitted, strict=True):
        np.testing.assert_allclose(fit_image(image, 32, box=True), expected, atol=1e-3)
