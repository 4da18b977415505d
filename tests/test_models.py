"""Every registered model keeps the contract: image in, logits out, seeded, savable, of a known size."""

import keras
import numpy as np
import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model, model_names

# At 28 x 28 pixels and 10 classes.
GOLDEN_COUNTS = {"simple_cnn": 1_199_882, "preact_resnet12": 1_581_482, "preact_resnet20": 273_370}
each_model = pytest.mark.parametrize("name", model_names())


def images(count=4, size=28):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), np.uint8)


@each_model
def test_parameter_count_is_the_known_one(name):
    assert build_model(name, (28, 28), 10).count_params() == GOLDEN_COUNTS[name]


@each_model
def test_takes_bytes_or_floats_and_returns_finite_logits(name):
    model = build_model(name, (20, 24), 7)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.layers[-1].name == "logits"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 1), np.uint8)
    logits = np.asarray(model(pixels))
    assert logits.shape == (3, 7) and logits.dtype == np.float32 and np.isfinite(logits).all()
    np.testing.assert_allclose(np.asarray(model(pixels.astype(np.float32))), logits, atol=1e-5)


@each_model
def test_equal_seeds_give_equal_models_and_others_do_not(name):
    some, same, other = (build_model(name, (12, 12), 5, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(some, same, strict=True))
    assert not np.array_equal(some[0], other[0])


@each_model
def test_a_few_steps_lower_the_loss(name):
    model = build_model(name, (12, 12), 4, seed=0)
    pixels, targets = images(16, 12), np.arange(16) % 4
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(pixels, targets, batch_size=16, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@each_model
def test_loads_without_this_packages_code_and_predicts_the_same(name, tmp_path):
    model = build_model(name, (16, 16), 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={}, safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(images(4, 16))), np.asarray(model(images(4, 16))))


@each_model
def test_bfloat16_computes_nearly_the_same_and_leaves_the_policy_alone(name):
    exact, coarse = (build_model(name, (16, 16), 4, precision=precision) for precision in ("float32", "bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in coarse.layers} >= {"bfloat16", "float32"}
    logits = np.asarray(exact(images(4, 16)))
    np.testing.assert_allclose(np.asarray(coarse(images(4, 16))), logits, atol=0.05 * np.abs(logits).max())


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'preact_resnet20'"):
        build_model("preact_resnet2O", (28, 28), 10)


def test_what_cannot_be_recognised_is_refused():
    with pytest.raises(UserError, match="at least 2 classes"):
        build_model("simple_cnn", (28, 28), 1)
    with pytest.raises(UserError, match="at least 8 x 8"):
        build_model("simple_cnn", (28, 4), 10)
