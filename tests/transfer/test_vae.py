"""The autoencoder has the published shapes and losses, and learns."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.training.checkpoints import Place, load_checkpoint, save_checkpoint, save_for_use
from kuzushiji_tf.transfer.vae import (
    FreeBits,
    KLDivergence,
    SamplePosterior,
    SquaredError,
    bounded,
    build_decoder,
    build_encoder,
    build_vae,
    compile_vae,
    kl_divergence,
    sample_posterior,
    split_posterior,
    vae_targets,
)

WIDTH, DIMENSIONS = 1 / 16, 4


def tiny_vae(seed=0, precision="float32"):
    encoder, decoder = (
        build(WIDTH, DIMENSIONS, seed + part, precision) for part, build in enumerate((build_encoder, build_decoder))
    )
    return build_vae(encoder, decoder, seed)


@pytest.fixture(scope="module")
def vae():
    return tiny_vae()


def boxes(count=4):
    """White boxes on black, each at a place of its own."""
    images = np.zeros((count, 64, 64, 1), np.uint8)
    for number, image in enumerate(images):
        image[8 + 4 * number : 30 + 4 * number, 10 : 20 + 6 * number] = 255
    return images


def posteriors(count=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 2 * DIMENSIONS)).astype(np.float32)


def gradient(loss, prediction):
    """The gradient of a loss that does not look at its targets."""
    import tensorflow as tf

    variable = tf.Variable(prediction)
    with tf.GradientTape() as tape:
        value = loss(np.zeros_like(prediction), variable)
    return np.asarray(tape.gradient(value, variable))


def test_the_published_encoder_has_820_320_parameters():
    # Convolutions of 4 x 4: (16 * 1 + 1) * 32, (16 * 32 + 1) * 64, (16 * 64 + 1) * 128, (16 * 128 + 1) * 256;
    # the images are then 31, 14, 6 and 2 pixels wide. Two dense layers from 2 * 2 * 256 to 64.
    convolutions = 544 + 32_832 + 131_200 + 524_544
    encoder = build_encoder()
    assert encoder.count_params() == convolutions + 2 * (1024 + 1) * 64 == 820_320
    sizes = [layer.output.shape[1] for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sizes == [31, 14, 6, 2]
    assert encoder.output.shape == (None, 128)


def test_the_published_decoder_has_3_623_265_parameters():
    # Dense 64 -> 1024; deconvolutions of 5, 5, 6 and 6 pixels from 1 pixel to 5, 13, 30 and 64.
    deconvolutions = (25 * 1024 + 1) * 128 + (25 * 128 + 1) * 64 + (36 * 64 + 1) * 32 + (36 * 32 + 1)
    decoder = build_decoder()
    assert decoder.count_params() == (64 + 1) * 1024 + deconvolutions == 3_623_265
    sizes = [layer.output.shape[1] for layer in decoder.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert sizes == [5, 13, 30, 64]
    assert decoder.output.shape == (None, 64, 64, 1)


def test_width_and_latent_dimensions_are_settings():
    assert build_encoder(0.5, 8).output.shape == (None, 16)
    assert build_decoder(0.5, 8).count_params() < build_decoder(1.0, 8).count_params() / 3


def test_equal_seeds_give_equal_weights_whatever_was_drawn_before():
    first = build_encoder(WIDTH, DIMENSIONS, seed=3).get_weights()
    keras.utils.set_random_seed(99)
    again, other = (build_encoder(WIDTH, DIMENSIONS, seed=seed).get_weights() for seed in (3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"4 latent dimensions.* 5"):
        build_vae(build_encoder(WIDTH, 4), build_decoder(WIDTH, 5))


def test_squared_error_is_the_sum_over_pixels_and_the_mean_over_images():
    images = np.zeros((2, 64, 64, 1), np.uint8)
    images[0, 0, :3] = 255
    drawn = np.zeros((2, 64, 64, 1), np.float32)
    drawn[0, 0, 0], drawn[1, 5, 5], drawn[1, 6, 6] = 0.4, 0.5, 0.1
    # First image: 0.6^2 + 1 + 1; second: 0.5^2 + 0.1^2.
    assert float(SquaredError()(images, drawn)) == pytest.approx((2.36 + 0.26) / 2)


def test_kl_by_hand():
    # One dimension with mean 1 and variance 1 costs 1/2; one with mean 0 and variance 4 costs (4 - 1 - ln 4) / 2.
    posterior = np.float32([[1, 0, 0, np.log(4)], [0, 0, 0, 0]])
    np.testing.assert_allclose(kl_divergence(posterior), [0.5 + (3 - np.log(4)) / 2, 0], rtol=1e-6)


def test_kl_is_the_integral_that_it_stands_for():
    posterior = posteriors(1)
    mean, log_variance = (np.asarray(part, np.float64)[0] for part in split_posterior(posterior))
    normals = np.random.default_rng(1).normal(size=(400_000, DIMENSIONS))
    z = mean + np.exp(log_variance / 2) * normals
    log_ratio = (z**2 - normals**2 - log_variance).sum(axis=1) / 2  # log q(z) - log p(z), constants cancel
    error = log_ratio.std() / np.sqrt(len(z))
    assert float(kl_divergence(posterior)[0]) == pytest.approx(log_ratio.mean(), abs=4 * error)
    assert error < 0.01


def test_below_the_floor_the_kl_costs_the_floor_and_pulls_at_nothing():
    low = np.full((1, 2 * DIMENSIONS), 0.1, np.float32)
    assert 0 < float(kl_divergence(low)[0]) < 0.5 * DIMENSIONS
    assert float(FreeBits()(low, low)) == 0.5 * DIMENSIONS
    assert not gradient(FreeBits(), low).any()


def test_above_the_floor_the_kl_pulls_in_full():
    high = np.float32([[3.0] * DIMENSIONS + [0.5] * DIMENSIONS])
    assert float(FreeBits()(high, high)) == pytest.approx(float(kl_divergence(high)[0]))
    # The derivatives of (m^2 + e^v - 1 - v) / 2: m and (e^v - 1) / 2.
    expected = [[3.0] * DIMENSIONS + [(np.exp(0.5) - 1) / 2] * DIMENSIONS]
    np.testing.assert_allclose(gradient(FreeBits(), high), expected, rtol=1e-5)


def test_the_floor_holds_for_each_image_and_not_for_their_mean():
    both = np.float32([[0.1] * DIMENSIONS + [0] * DIMENSIONS, [3.0] * DIMENSIONS + [0] * DIMENSIONS])
    pulls = gradient(FreeBits(), both)
    assert not pulls[0].any()
    np.testing.assert_allclose(pulls[1, :DIMENSIONS], 3.0 / 2)


def test_the_metric_is_the_kl_without_the_floor():
    metric = KLDivergence()
    for part in (posteriors(3) / 10, posteriors(2, seed=1) / 10):
        metric.update_state(part, part)
    every = np.concatenate([posteriors(3), posteriors(2, seed=1)]) / 10
    assert float(metric.result()) == pytest.approx(np.mean(kl_divergence(every)), rel=1e-5)
    assert float(metric.result()) < 0.5 * DIMENSIONS


def test_bounded_values_stay_within_and_hardly_move_near_zero():
    np.testing.assert_allclose(bounded(np.float32([-1e9, -0.1, 0, 0.1, 1e9]), 10.0), [-10, -0.1, 0, 0.1, 10], atol=1e-4)


def test_any_image_gives_a_finite_posterior_within_bounds():
    encoder = build_encoder(WIDTH, DIMENSIONS)
    encoder.get_layer("log_variance").kernel.assign(np.full((16 * 4, DIMENSIONS), 1e6, np.float32))
    random = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1)).astype(np.uint8)
    _, log_variance = split_posterior(encoder(np.concatenate([random, random * 0])))
    assert np.abs(log_variance).max() <= 10
    assert np.isfinite(kl_divergence(encoder(random))).all()


def test_samples_have_the_posteriors_mean_and_variance():
    posterior = np.repeat(posteriors(1), 20_000, axis=0)
    z = np.asarray(SamplePosterior(7)(posterior, training=True))
    mean, log_variance = (np.asarray(part)[0] for part in split_posterior(posterior))
    deviation = np.exp(log_variance / 2)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=4 * deviation.max() / np.sqrt(len(z)))
    np.testing.assert_allclose(z.std(axis=0), deviation, rtol=0.03)


def test_only_training_samples_and_no_two_steps_sample_alike():
    layer, posterior = SamplePosterior(7), posteriors()
    np.testing.assert_array_equal(layer(posterior), split_posterior(posterior)[0])
    first, second = (np.asarray(layer(posterior, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, SamplePosterior(7)(posterior, training=True))


def test_applying_given_normals_is_pure():
    posterior, normals = np.float32([[1, 2, 0, np.log(4)]]), np.float32([[0.5, -1]])
    np.testing.assert_allclose(sample_posterior(posterior, normals), [[1.5, 0]], atol=1e-6)


def test_a_batch_of_one_equals_a_batch_of_many(vae):
    images = boxes()
    many = vae.predict(images, verbose=0)
    one = vae.predict(images[2:3], verbose=0)
    for name in ("reconstruction", "posterior"):
        np.testing.assert_allclose(one[name][0], many[name][2], atol=1e-5)


def test_pixels_are_taken_as_uint8_and_as_float_alike(vae):
    images = boxes()
    some, same = (np.asarray(vae(values)["posterior"]) for values in (images, images.astype(np.float32)))
    np.testing.assert_array_equal(some, same)


def test_training_reports_both_losses_and_the_kl_and_learns():
    vae = compile_vae(tiny_vae(), 1e-2)
    images = boxes(8)
    history = vae.fit(images, vae_targets(images), epochs=25, batch_size=8, verbose=0).history
    assert {"reconstruction_loss", "posterior_loss", "posterior_kl"} < set(history)
    assert history["reconstruction_loss"][-1] < 0.8 * history["reconstruction_loss"][0]
    total = history["reconstruction_loss"][-1] + history["posterior_loss"][-1]
    assert history["loss"][-1] == pytest.approx(total, rel=1e-5)
    assert min(history["posterior_loss"]) >= 0.5 * DIMENSIONS > history["posterior_kl"][0]


def test_a_saved_and_loaded_graph_draws_the_same(vae, tmp_path):
    vae.save(tmp_path / "vae.keras")
    loaded = keras.models.load_model(tmp_path / "vae.keras")
    for name, values in vae(boxes()).items():
        np.testing.assert_array_equal(loaded(boxes())[name], values)
    posterior = loaded.get_layer("encoder")(boxes())
    np.testing.assert_array_equal(posterior, vae(boxes())["posterior"])


def test_a_restored_checkpoint_goes_on_as_a_run_that_was_not_interrupted(tmp_path):
    images = boxes()
    vae, restored = (compile_vae(tiny_vae(seed=seed), 1e-3) for seed in (0, 1))
    vae.train_on_batch(images, vae_targets(images))
    save_checkpoint(vae, tmp_path, Place(1), [])
    load_checkpoint(tmp_path, restored)
    # The next steps' losses are of freshly drawn latent vectors.
    for _ in range(2):
        expected, found = (model.train_on_batch(images, vae_targets(images)) for model in (vae, restored))
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_parts_are_saved_for_use_in_float32(tmp_path):
    vae = compile_vae(tiny_vae(precision="bfloat16"))
    for name, values in (("encoder", boxes()), ("decoder", posteriors()[:, :DIMENSIONS])):
        save_for_use(vae.get_layer(name), vae.optimizer, tmp_path / "part.keras")
        loaded = keras.models.load_model(tmp_path / "part.keras")
        assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
        np.testing.assert_array_equal(loaded(values), tiny_vae().get_layer(name)(values))


def test_losses_are_made_again_from_their_configs():
    for loss in (SquaredError(), FreeBits(floor=0.25)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()


def test_mixed_precision_computes_in_bfloat16_and_returns_float32():
    vae = compile_vae(tiny_vae(precision="bfloat16"))
    found = vae(boxes())
    assert {str(values.dtype.name) for values in found.values()} == {"float32"}
    assert vae.get_layer("encoder").layers[2].compute_dtype == "bfloat16"
    assert {weights.dtype for weights in vae.trainable_weights} == {"float32"}
    np.testing.assert_allclose(found["reconstruction"], tiny_vae()(boxes())["reconstruction"], atol=0.05)
    assert np.isfinite(vae.train_on_batch(boxes(), vae_targets(boxes()))).all()


def test_the_exported_autoencoder_agrees_with_keras(tmp_path):
    encoder, decoder = build_encoder(WIDTH, DIMENSIONS), build_decoder(WIDTH, DIMENSIONS)
    image = keras.Input((64, 64, 1), name="image")
    mean, _ = split_posterior(encoder(image))
    chain = keras.Model(image, decoder(mean))
    conversion.write_float32(chain, tmp_path / "chain.tflite")
    assert "TRANSPOSE_CONV" in conversion.builtin_operators(tmp_path / "chain.tflite")
    runner = Interpreter(str(tmp_path / "chain.tflite")).get_signature_runner()
    (found,) = runner(image=boxes(1).astype(np.float32)).values()
    np.testing.assert_allclose(found, chain(boxes(1)), atol=5e-5)
