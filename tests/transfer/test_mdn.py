"""The mixture is a density, its network learns one from another space, and its samples follow it."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.transfer import gaussians
from kuzushiji_tf.transfer.config import Mixture
from kuzushiji_tf.transfer.gaussians import (
    draw_noise,
    log_densities,
    log_density,
    mode,
    sample,
    split_parameters,
    split_posterior,
)
from kuzushiji_tf.transfer.mdn import MixtureLoss, build_mdn, compile_mdn, fit_unigram
from kuzushiji_tf.transfer.vae import build_decoder, build_encoder

DIMENSIONS, COMPONENTS = 2, 3
SIZE = COMPONENTS * (1 + 2 * DIMENSIONS)


def parameters(count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)


def mixture(weights, means, scales):
    """The parameters of one mixture that is given by plain numbers."""
    bound = gaussians.LOG_SCALE_BOUND
    log_scales = bound * np.arctanh(np.log(scales) / bound)
    return np.concatenate([np.log(weights), np.ravel(means), np.ravel(log_scales)])[None].astype(np.float32)


# Weights 0.2, 0.5 and 0.3; well apart, of different widths.
KNOWN = (np.array([0.2, 0.5, 0.3]), np.array([[0.0, 0], [4, -2], [-3, 3]]), np.array([[0.5, 1], [0.3, 0.4], [1, 0.2]]))


def density_by_hand(weights, means, scales, z):
    exponent = -(((z - means) / scales) ** 2).sum(axis=1) / 2
    return (weights * np.exp(exponent) / (2 * np.pi * scales.prod(axis=1))).sum()


def value_and_gradient(function, values):
    import tensorflow as tf

    variable = tf.Variable(values)
    with tf.GradientTape() as tape:
        result = function(variable)
    return np.asarray(result), np.asarray(tape.gradient(result, variable))


def test_the_published_size_has_957_706_parameters():
    # 64 -> 512 -> 512 -> 10 components of 1 weight, 64 means and 64 scales.
    mdn = build_mdn(Mixture())
    assert mdn.output.shape == (None, 10 * 129)
    assert mdn.count_params() == (64 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 1290 == 957_706


def test_equal_seeds_give_equal_weights():
    some, same, other = (build_mdn(Mixture(components=3, hidden=8), 2, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(some, same, strict=True))
    assert not np.array_equal(some[0], other[0])


def test_parameters_are_split_into_normalized_weights_means_and_bounded_scales():
    log_weights, means, log_scales = (np.asarray(part) for part in split_parameters(parameters() * 100, DIMENSIONS))
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(means.reshape(4, -1), parameters()[:, 3:9] * np.float32(100))
    assert log_scales.shape == (4, COMPONENTS, DIMENSIONS) and np.abs(log_scales).max() <= 5


def test_a_wrong_number_of_dimensions_is_refused():
    with pytest.raises(UserError, match=r"15 numbers .* 3 dimensions.* 7"):
        split_parameters(parameters(), 3)


def test_the_density_is_the_sum_by_hand():
    for z in ([0.3, -0.2], [3.9, -2.2], [1.0, 1.0]):
        expected = np.log(density_by_hand(*KNOWN, np.array(z)))
        assert float(log_density(mixture(*KNOWN), np.float32([z]))[0]) == pytest.approx(expected, rel=1e-4)


def test_the_loss_is_the_negative_mean_of_log_densities():
    z = np.float32([[0.3, -0.2], [3.9, -2.2]])
    expected = -np.mean([np.log(density_by_hand(*KNOWN, point)) for point in z.astype(np.float64)])
    found = MixtureLoss()(z, np.repeat(mixture(*KNOWN), 2, axis=0))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_density_integrates_to_one():
    step = 0.05
    axis = np.arange(-12, 12, step)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype(np.float32)
    for one in (mixture(*KNOWN), parameters(1)):
        total = np.exp(np.asarray(log_density(one, grid), np.float64)).sum() * step**2
        assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("distance", [0.0, 1e3, 1e6])
def test_extreme_parameters_and_points_far_away_give_finite_losses_and_gradients(scale, distance):
    z = np.full((4, DIMENSIONS), distance, np.float32)
    loss, pulls = value_and_gradient(lambda values: MixtureLoss()(z, values), parameters() * np.float32(scale))
    assert np.isfinite(loss) and np.isfinite(pulls).all()


def test_a_point_far_away_still_pulls_the_nearest_component():
    z = np.full((1, DIMENSIONS), 100, np.float32)
    _, pulls = value_and_gradient(lambda values: MixtureLoss()(z, values), mixture(*KNOWN))
    assert (pulls[0, COMPONENTS : COMPONENTS * (1 + DIMENSIONS)] < 0).any()


def test_all_pairs_of_densities_are_those_of_each_pair(monkeypatch):
    some = np.concatenate([parameters(5), mixture(*KNOWN), mixture([0.1, 0.8, 0.1], KNOWN[1], KNOWN[2] / 20)])
    candidates = np.random.default_rng(1).normal(size=(11, DIMENSIONS)).astype(np.float32) * 3
    monkeypatch.setattr(gaussians, "_BLOCK", 2 * COMPONENTS * len(candidates))  # two rows at a time
    found = log_densities(some, candidates)
    for row, one in enumerate(some):
        for column, candidate in enumerate(candidates):
            expected = float(log_density(one[None], candidate[None])[0])
            assert found[row, column] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_noise_depends_on_the_item_alone():
    few, many, other = draw_noise(5, 3, 2), draw_noise(5, 10, 2), draw_noise(6, 3, 2)
    for part in range(2):
        np.testing.assert_array_equal(few[part], many[part][:3])
        assert not np.array_equal(few[part], other[part])
    assert many[1].shape == (10, 2) and ((many[0] >= 0) & (many[0] < 1)).all()


def test_samples_have_the_mean_and_the_covariance_of_the_density():
    count = 40_000
    random = np.random.default_rng(0)
    uniforms, normals = random.random(count, np.float32), random.standard_normal((count, DIMENSIONS), np.float32)
    z = np.asarray(sample(np.repeat(mixture(*KNOWN), count, axis=0), uniforms, normals))
    weights, means, scales = KNOWN
    mean = weights @ means
    centered = means - mean
    covariance = np.einsum("k,ki,kj->ij", weights, centered, centered) + np.diag(weights @ scales**2)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=4 * np.sqrt(covariance.max() / count))
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.03 * covariance.max())


def test_a_temperature_sharpens_the_choice_and_narrows_the_scales():
    count, temperature = 40_000, 0.25
    random = np.random.default_rng(0)
    uniforms, normals = random.random(count, np.float32), random.standard_normal((count, DIMENSIONS), np.float32)
    z = np.asarray(sample(np.repeat(mixture(*KNOWN), count, axis=0), uniforms, normals, temperature))
    weights, means, scales = KNOWN
    nearest = np.argmin(np.linalg.norm(z[:, None] - means, axis=-1), axis=1)
    sharpened = weights ** (1 / temperature) / (weights ** (1 / temperature)).sum()
    np.testing.assert_allclose(np.bincount(nearest, minlength=3) / count, sharpened, atol=0.01)
    np.testing.assert_allclose(z[nearest == 1].std(axis=0), scales[1] * np.sqrt(temperature), rtol=0.03)


def test_temperature_0_is_the_limit_of_small_ones():
    uniforms, normals = draw_noise(0, 4, DIMENSIONS)
    frozen = np.asarray(sample(parameters(), uniforms, normals, 0.0))
    log_weights, means, _ = (np.asarray(part) for part in split_parameters(parameters(), DIMENSIONS))
    np.testing.assert_allclose(frozen, means[np.arange(4), log_weights.argmax(axis=1)])
    np.testing.assert_allclose(sample(parameters(), uniforms, normals, 1e-8), frozen, atol=2e-3)


def test_a_uniform_at_the_end_of_the_range_still_names_a_component():
    last = np.float32([1 - 2**-24])
    found = sample(mixture(*KNOWN), last, np.zeros((1, DIMENSIONS), np.float32))
    np.testing.assert_allclose(found, KNOWN[1][2:], rtol=1e-5)


def test_a_negative_temperature_is_refused():
    with pytest.raises(UserError, match="temperature is -1"):
        sample(parameters(), *draw_noise(0, 4, DIMENSIONS), temperature=-1)


def test_samples_of_one_equal_samples_of_many():
    uniforms, normals = draw_noise(0, 4, DIMENSIONS)
    many = np.asarray(sample(parameters(), uniforms, normals, 0.7))
    one = sample(parameters()[2:3], uniforms[2:3], normals[2:3], 0.7)
    np.testing.assert_allclose(one[0], many[2], rtol=1e-6)


def test_the_mode_is_the_mean_of_the_densest_component_and_not_of_the_heaviest():
    weights, means, _ = KNOWN
    # 0.2 / (0.1 * 0.1) is more than 0.5 / (1 * 1) and 0.3 / (1 * 1).
    np.testing.assert_allclose(mode(mixture(weights, means, np.float64([[0.1, 0.1], [1, 1], [1, 1]])), 2), means[:1])


def test_the_mode_counts_components_that_lie_upon_each_other_together():
    weights, means = [0.4, 0.3, 0.3], np.array([[0.0, 0], [5, 5], [5.01, 5]])
    found = np.asarray(mode(mixture(weights, means, np.ones((3, 2))), 2))
    np.testing.assert_allclose(found, [[5, 5]], atol=0.02)


def test_the_unigram_finds_the_mixture_that_points_come_from():
    z = sample(np.repeat(mixture(*KNOWN), 5000, axis=0), *draw_noise(0, 5000, DIMENSIONS))
    fitted = fit_unigram(np.asarray(z), COMPONENTS)
    assert fitted.shape == (1, SIZE)
    log_weights, means, log_scales = (np.asarray(part)[0] for part in split_parameters(fitted, DIMENSIONS))
    order, expected = np.argsort(means[:, 0]), np.argsort(KNOWN[1][:, 0])
    np.testing.assert_allclose(np.exp(log_weights[order]), KNOWN[0][expected], atol=0.03)
    np.testing.assert_allclose(means[order], KNOWN[1][expected], atol=0.1)
    np.testing.assert_allclose(np.exp(log_scales[order]), KNOWN[2][expected], rtol=0.1)
    # One mixture scores any number of points.
    assert np.asarray(log_density(fitted, np.asarray(z))).shape == (5000,)


def test_a_unigram_of_equal_points_keeps_the_smallest_scale():
    fitted = fit_unigram(np.zeros((20, DIMENSIONS), np.float32), 1)
    assert np.isfinite(fitted).all()
    assert np.isfinite(log_density(fitted, np.zeros((1, DIMENSIONS), np.float32))).all()


def test_a_unigram_of_too_few_points_is_refused():
    with pytest.raises(UserError, match=r"2 points .* 3 components"):
        fit_unigram(np.zeros((2, DIMENSIONS), np.float32), COMPONENTS)


def two_way_task(count=400):
    """Points at +2 or -2 times the sign of what they follow from: only a network that looks at it can tell."""
    random = np.random.default_rng(0)
    old = random.normal(size=(count, 2)).astype(np.float32)
    new = 2 * np.sign(old) + random.normal(size=(count, 2)) * 0.2
    return old, new.astype(np.float32)


def test_training_beats_the_unigram_where_there_is_something_to_see():
    old, new = two_way_task()
    mdn = compile_mdn(build_mdn(Mixture(components=3, hidden=32, dropout=0.1), 2), 1e-2, weight_decay=1e-3)
    history = mdn.fit(old, new, epochs=60, batch_size=50, verbose=0).history["loss"]
    assert history[-1] < history[0]
    unigram = -np.mean(log_density(fit_unigram(new, 4), new))
    assert mdn.evaluate(old, new, verbose=0) < unigram - 0.5


def test_a_loaded_network_equals_the_saved_one(tmp_path):
    old, new = two_way_task(20)
    mdn = compile_mdn(build_mdn(Mixture(components=3, hidden=8), 2))
    mdn.train_on_batch(old, new)
    mdn.save(tmp_path / "mdn.keras")
    loaded = keras.models.load_model(tmp_path / "mdn.keras")
    np.testing.assert_array_equal(loaded(old), mdn(old))
    assert loaded.train_on_batch(old, new) == pytest.approx(mdn.train_on_batch(old, new), rel=1e-5)


def test_a_batch_of_one_equals_a_batch_of_many():
    old, _ = two_way_task(5)
    mdn = build_mdn(Mixture(components=3, hidden=8), 2)
    np.testing.assert_allclose(mdn(old[3:4])[0], mdn(old)[3], atol=1e-6)


def test_the_exported_chain_agrees_with_keras(tmp_path):
    encoder, decoder = build_encoder(1 / 16, 4), build_decoder(1 / 16, 4)
    mdn = build_mdn(Mixture(components=3, hidden=16), 4)
    image = keras.Input((64, 64, 1), name="image")
    mean, _ = split_posterior(encoder(image))
    chain = keras.Model(image, decoder(mode(mdn(mean), 4, keras.ops)))
    conversion.write_float32(chain, tmp_path / "chain.tflite")
    assert "TOPK_V2" in conversion.builtin_operators(tmp_path / "chain.tflite")
    runner = Interpreter(str(tmp_path / "chain.tflite")).get_signature_runner()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 1)).astype(np.float32)
    found = np.concatenate([next(iter(runner(image=one[None]).values())) for one in pixels])
    np.testing.assert_allclose(found, chain(pixels), atol=5e-5)
