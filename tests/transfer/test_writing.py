"""A decoder writes drawings that end, the same ones each time, and those that it was taught."""

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer.config import Sketch
from kuzushiji_tf.transfer.modern import modern_strokes
from kuzushiji_tf.transfer.sequences import make_table, simplify, to_strokes
from kuzushiji_tf.transfer.sketch import (
    build_decoder,
    build_start,
    build_step,
    compile_sketch,
    previous_rows,
)
from kuzushiji_tf.transfer.steps import CORRELATION_BOUND
from kuzushiji_tf.transfer.writing import Writer, draw_noise, generate, sample_rows

LATENT, LONGEST = 4, 20


@pytest.fixture(scope="module")
def networks():
    """The start and the step of a decoder with random weights."""
    decoder = build_decoder(Sketch(units=16, mixtures=3), LATENT, seed=1)
    for weight in decoder.trainable_variables:
        weight.assign(3 * weight.numpy())
    return build_start(decoder), build_step(decoder)


@pytest.fixture
def z():
    return np.random.default_rng(0).normal(size=(30, LATENT)).astype(np.float32)


def one_component(pen=(0, 0, 0), mean=(0, 0), log_scale=(0, 0), correlation=0.0):
    """Return the parameters of one Gaussian, and of a second one that is never chosen."""
    raw = (
        *mean,
        *(5 * np.arctanh(np.array(log_scale) / 5)),
        CORRELATION_BOUND * np.arctanh(correlation / CORRELATION_BOUND),
    )
    return np.float32([*pen, 0, -90, *np.stack([raw, np.zeros(5)], axis=1).ravel()])


def test_an_items_noise_depends_on_its_number_alone():
    noise = draw_noise(3, 5, 10)
    assert noise.dtype == np.float32 and noise.shape == (5, 10, 4)
    assert np.array_equal(draw_noise(3, 2, 10), noise[:2]) and np.array_equal(draw_noise(3, 5, 4), noise[:, :4])
    assert not np.isin(noise[0], noise[1]).any() and not np.isin(draw_noise(4, 1, 10), noise).any()


def test_noise_is_uniform_and_normal():
    noise = draw_noise(0, 40, 1000).reshape(-1, 4)
    assert noise[:, :2].min() >= 0 and noise[:, :2].max() < 1 and np.isfinite(noise).all()
    expected_mean, expected_spread = [0.5, 0.5, 0, 0], [12**-0.5, 12**-0.5, 1, 1]
    np.testing.assert_allclose(noise.mean(axis=0), expected_mean, atol=0.02)
    np.testing.assert_allclose(noise.std(axis=0), expected_spread, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(4), atol=0.02)


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_offsets_have_the_variances_of_the_temperature(temperature):
    noise = draw_noise(0, 20, 1000).reshape(-1, 4)
    parameters = one_component(mean=(1, -2), log_scale=np.log([0.5, 2]), correlation=0.8)
    offsets = np.asarray(sample_rows(np.tile(parameters, (len(noise), 1)), noise, temperature))[:, :2]
    np.testing.assert_allclose(offsets.mean(axis=0), [1, -2], atol=0.05)
    covariance = temperature * np.array([[0.25, 0.8], [0.8, 4]])
    np.testing.assert_allclose(np.cov(offsets.T), covariance, atol=0.1 * temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_states_and_components_have_the_chances_of_the_temperature(temperature):
    noise = draw_noise(0, 20, 1000).reshape(-1, 4)
    pens, weights = np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4])
    # Two components of hardly any spread, at x = -1 and x = 1.
    parameters = np.float32([*np.log(pens), *np.log(weights), -1, 1, 0, 0, -50, -50, -50, -50, 0, 0])
    rows = np.asarray(sample_rows(np.tile(parameters, (len(noise), 1)), noise, temperature))
    assert np.array_equal(np.unique(rows[:, 2:]), [0, 1]) and (rows[:, 2:].sum(axis=1) == 1).all()
    for found, chances in ((rows[:, 2:].mean(axis=0), pens), ([(rows[:, 0] < 0).mean()], weights)):
        expected = chances ** (1 / temperature) / (chances ** (1 / temperature)).sum()
        np.testing.assert_allclose(found, expected[: len(found)], atol=0.015)


def test_a_state_without_a_chance_is_never_chosen():
    noise = np.float32([[0, 0, 0, 0], [1 - 2**-24, 1 - 2**-24, 0, 0]])
    for pen in np.eye(3):
        parameters = np.tile(one_component(pen=1e9 * (pen - 1)), (2, 1))
        for temperature in (1e-6, 1, 10):
            assert np.array_equal(np.asarray(sample_rows(parameters, noise, temperature))[:, 2:], [pen, pen])


def test_temperature_zero_takes_the_likeliest():
    parameters = np.float32([[0, 2, 1, 0.5, 0.7, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0]])
    for noise in draw_noise(0, 3, 1):
        assert np.array_equal(sample_rows(parameters, noise, 0), [[2, 4, 0, 1, 0]])


@pytest.mark.parametrize("temperature", [0, 0.3, 1, 50])
def test_writing_always_ends(networks, z, temperature):
    drawings = generate(Writer(*networks, LONGEST, scale=0.1), z, draw_noise(0, 30, LONGEST), temperature)
    assert len(drawings) == 30
    for drawing in drawings:
        assert drawing.dtype == np.float32 and drawing.shape[0] <= LONGEST and drawing.shape[1] == 3
        assert np.isfinite(drawing).all() and np.isin(drawing[:, 2], [0, 1]).all()


def test_a_drawing_ends_where_the_decoder_says_or_at_the_limit():
    def start(inputs):
        return {"hidden": np.zeros((len(inputs["z"]), 1)), "cell": np.zeros((len(inputs["z"]), 1))}

    def step(inputs):
        # Draws to the right; hidden counts the points, and z tells after how many the drawing ends.
        count, ends = np.asarray(inputs["hidden"]), np.asarray(inputs["hidden"]) >= np.asarray(inputs["z"])
        pen = np.where(ends, [[0, 0, 9]], [[9, 0, 0]])
        rest = np.tile(one_component(mean=(1, 0))[3:], (len(count), 1))
        parameters = np.concatenate([pen, rest], axis=1).astype(np.float32)
        return {"parameters": parameters, "hidden": count + 1, "cell": np.asarray(inputs["cell"])}

    drawings = generate(Writer(start, step, 5, scale=0.5), np.float32([[0], [9], [2], [3]]), draw_noise(0, 4, 5), 0)
    assert [len(drawing) for drawing in drawings] == [0, 5, 2, 3]
    assert np.array_equal(np.concatenate(drawings), [[0.5, 0, 0]] * 10)


def test_temperature_zero_needs_no_luck(networks, z):
    one, other = (generate(Writer(*networks, LONGEST, 1.0), z, draw_noise(seed, 30, LONGEST), 0) for seed in (0, 1))
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first, second)
    sampled = [generate(Writer(*networks, LONGEST, 1.0), z, draw_noise(seed, 30, LONGEST), 1) for seed in (0, 1)]
    assert not all(np.array_equal(first, second) for first, second in zip(*sampled, strict=True))


def test_a_batch_of_one_equals_a_batch_of_many(networks, z):
    noise = draw_noise(0, 30, LONGEST)
    together = generate(Writer(*networks, LONGEST, 1.0), z, noise, 0.8)
    assert len({len(drawing) for drawing in together}) > 1
    for item in range(30):
        (alone,) = generate(Writer(*networks, LONGEST, 1.0), z[item : item + 1], noise[item : item + 1], 0.8)
        np.testing.assert_allclose(alone, together[item], atol=1e-3)


def test_noise_beyond_the_drawings_is_left_alone(networks, z):
    exact, more = (
        generate(Writer(*networks, LONGEST, 1.0), z[:3], draw_noise(0, items, steps), 0.8)
        for items, steps in ((3, LONGEST), (9, LONGEST + 5))
    )
    assert len(more) == 3 and all(np.array_equal(one, other) for one, other in zip(exact, more, strict=True))


@pytest.mark.parametrize("temperature", [-1, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(networks, z, temperature):
    with pytest.raises(UserError, match="temperature"):
        generate(Writer(*networks, LONGEST, 1.0), z, draw_noise(0, 30, LONGEST), temperature)


def test_too_little_noise_is_refused(networks, z):
    for items, steps in ((29, LONGEST), (30, LONGEST - 1)):
        with pytest.raises(UserError, match=f"{items} drawings of {steps} points"):
            generate(Writer(*networks, LONGEST, 1.0), z, draw_noise(0, items, steps), 1.0)


def test_an_exported_step_writes_the_same(networks, z, tmp_path):
    noise, exported = draw_noise(0, 30, LONGEST), []
    for name, model in zip(("start", "step"), networks, strict=True):
        model.export(tmp_path / name, verbose=False)
        exported.append(tf.saved_model.load(str(tmp_path / name)))
    served = [model.serve for model in exported]
    state = {name: np.asarray(value) for name, value in networks[0]({"z": z}).items()}
    inputs = {"z": z, "previous": np.tile(np.float32([0.5, -1, 0, 1, 0]), (30, 1)), **state}
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    found, expected = served[1](inputs), networks[1](inputs)
    assert set(found) == set(expected) == {"parameters", "hidden", "cell"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)
    ours, theirs = (generate(Writer(*pair, LONGEST, 1.0), z, noise, 0.8) for pair in (networks, served))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.slow
def test_eight_drawings_are_learned_stroke_by_stroke():
    drawings = modern_strokes("一二人川口大日木")
    table, _ = make_table(drawings, epsilon=2.0, longest=30)
    longest = int(table.lengths.max())
    rows = np.tile(table.rows[:, : longest + 1], (800, 1, 1))
    # Without jitter the scales of what is learned first shrink until their gradients hide all others.
    drawn = rows[..., 4:] == 0
    rows[..., :2] += 0.05 * drawn * np.random.default_rng(0).normal(size=(*rows.shape[:2], 2))
    z = 2 * np.eye(8, dtype=np.float32)
    settings = Sketch(units=64, mixtures=1, recurrent_dropout=0, learning_rate=1e-2, decay=0.997)
    decoder = compile_sketch(build_decoder(settings, latent=8), settings)
    inputs = {"z": np.tile(z, (800, 1)), "previous": previous_rows(rows)}
    decoder.fit(inputs, rows, batch_size=8, shuffle=False, verbose=0)
    networks = build_start(decoder), build_step(decoder)
    for temperature in (0, 0.1):
        written = generate(Writer(*networks, longest + 5, table.scale), z, draw_noise(0, 8, longest + 5), temperature)
        for sequence, strokes in zip(written, drawings, strict=True):
            found, expected = to_strokes(sequence), simplify(strokes, 2.0)
            assert [len(stroke) for stroke in found] == [len(stroke) for stroke in expected]
            assert np.abs(np.concatenate(found) - np.concatenate(expected)).max() < 0.15
