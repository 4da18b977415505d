"""Mixing pairs of training images: nothing at a share of 1, both partners otherwise, fair draws."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kuzushiji_tf.batches.mixup import draw_share, make_mixer, mixer
from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.mixing import MixPairs, count_mixable, mixing_graph, swapped
from kuzushiji_tf.training import runs as training
from kuzushiji_tf.training.compiling import compiled_models
from tests.making import random_dataset

KINDS = ("input", "cutmix", "manifold")
PLAIN = tf.constant(True)
PLAN = EpochPlan(40, 4, seed=0)
random = np.random.default_rng(0)
IMAGES = random.uniform(0, 255, (8, 12, 12, 1)).astype(np.float32)
TARGETS = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3, 2, 1, 0]]


def image_of(inputs):
    return inputs["image"] if isinstance(inputs, dict) else inputs


def test_partners_are_neighbors_and_each_others():
    np.testing.assert_array_equal(swapped(tf.range(6)[:, None])[:, 0], [1, 0, 3, 2, 5, 4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_one_leaves_images_targets_and_layers_as_they_are(kind):
    inputs, targets = mixer(kind, 1.0, 3, seed=0)(IMAGES, TARGETS, tf.constant(5, tf.int64), PLAIN)
    np.testing.assert_array_equal(image_of(inputs), IMAGES)
    np.testing.assert_array_equal(targets, TARGETS)
    if kind == "manifold":
        np.testing.assert_array_equal(inputs["shares"], np.ones((8, 3)))


@pytest.mark.parametrize("kind", ["input", "cutmix"])
def test_images_and_targets_are_mixed_by_the_same_share(kind):
    images = np.arange(8, dtype=np.float32)[:, None, None, None] + np.zeros((8, 20, 20, 1), np.float32)
    one_hot = np.eye(8, dtype=np.float32)
    shares = []
    for step in range(20):
        mixed, targets = mixer(kind, 1.0, 1, seed=3)(images, one_hot, tf.constant(step, tf.int64), ~PLAIN)
        share = targets.numpy()[np.arange(8), np.arange(8)]
        partner = targets.numpy()[np.arange(8), np.arange(8) ^ 1]
        np.testing.assert_allclose(share + partner, 1, atol=1e-6)
        expected = share * np.arange(8) + partner * (np.arange(8) ^ 1)
        np.testing.assert_allclose(np.mean(mixed, axis=(1, 2, 3)), expected, atol=1e-4)
        shares.append(share[0])
    assert len({round(float(share), 3) for share in shares}) > 10


def test_cutmix_pastes_one_rectangle_of_the_partner():
    images = np.stack([np.zeros((16, 16, 1)), np.ones((16, 16, 1))] * 2).astype(np.float32)
    for step in range(20):
        mixed, _ = mixer("cutmix", 1.0, 1, seed=1)(images, TARGETS[:4], tf.constant(step, tf.int64), ~PLAIN)
        pasted = mixed.numpy()[0, :, :, 0] == 1
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        assert pasted.sum() == rows.sum() * columns.sum()
        np.testing.assert_array_equal(mixed[1], 1 - mixed[0])


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha):
    keys = tf.stack([tf.range(1000, dtype=tf.int64), tf.ones(1000, tf.int64)], axis=1)
    shares = tf.map_fn(lambda key: draw_share(alpha, key), keys, fn_output_signature=tf.float32).numpy()
    assert stats.kstest(shares, "beta", (alpha, alpha)).pvalue > 0.01


def test_every_place_is_drawn_equally_often_and_only_one_is_mixed():
    mix = tf.function(mixer("manifold", 2.0, 4, seed=0))
    shares = np.stack([mix(IMAGES, TARGETS, tf.constant(i, tf.int64), ~PLAIN)[0]["shares"][0] for i in range(1000)])
    mixed = shares < 1
    assert (mixed.sum(axis=1) == 1).all()
    assert stats.chisquare(mixed.sum(axis=0)).pvalue > 0.01


def test_a_step_always_draws_the_same():
    mix = mixer("manifold", 2.0, 3, seed=0)
    some, same, other = (mix(IMAGES, TARGETS, tf.constant(step, tf.int64), ~PLAIN)[1].numpy() for step in (7, 7, 8))
    np.testing.assert_array_equal(some, same)
    assert not np.array_equal(some, other)


def test_gradients_flow_through_both_partners():
    values = tf.Variable(random.normal(size=(4, 3)).astype(np.float32))
    shares = tf.fill((4, 1), 0.25)
    with tf.GradientTape() as tape:
        mixed = MixPairs(0)([values, shares], training=True)
        loss = tf.reduce_sum(mixed[0])
    gradient = tape.gradient(loss, values).numpy()
    np.testing.assert_allclose(gradient[:, 0], [0.25, 0.75, 0, 0])


@pytest.mark.parametrize("name", ["simple_cnn", "preact_resnet12", "preact_resnet20"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_training_graph_computes_what_the_recognizer_does_and_mixes_in_training_only(name, precision):
    recognizer = build_model(name, (16, 16), 5, precision=precision)
    graph, layers = mixing_graph(recognizer), count_mixable(recognizer)
    assert {id(weight) for weight in graph.weights} == {id(weight) for weight in recognizer.weights}
    images = random.uniform(0, 255, (6, 16, 16, 1)).astype(np.float32)
    half, ones = np.full((6, layers), 0.5, np.float32), np.ones((6, layers), np.float32)
    plain = np.asarray(recognizer(images))
    np.testing.assert_array_equal(np.asarray(graph({"image": images, "shares": half})), plain)
    # Dropout's masks differ from call to call, batch normalization's statistics do not.
    if name == "preact_resnet20":
        trained = np.asarray(recognizer(images, training=True))
        np.testing.assert_array_equal(np.asarray(graph({"image": images, "shares": ones}, training=True)), trained)
        for layer in range(layers):
            shares = ones.copy()
            shares[:, layer] = 0.5
            mixed = np.asarray(graph({"image": images, "shares": shares}, training=True))
            assert not np.allclose(mixed, trained, atol=1e-3)
            # At a share of a half, partners have become one.
            np.testing.assert_allclose(mixed[::2], mixed[1::2], rtol=1e-3, atol=1e-3)


def test_whole_pairs_for_every_device_are_asked_for():
    config = TrainingConfig(mixing="input")
    assert make_mixer(replace(config, mixing="none"), 1, 7, 2) is None
    with pytest.raises(UserError, match=r"6 of them on 2 devices.* multiple of 4"):
        make_mixer(config, 1, 6, 2)


def test_a_model_without_mixable_layers_is_refused():
    image = keras.Input((8, 8, 1))
    bare = keras.Model(image, keras.layers.Flatten()(image), name="bare")
    with pytest.raises(UserError, match="bare"):
        mixing_graph(bare)


@pytest.mark.parametrize("kind", KINDS)
def test_mixing_learns_and_saves_a_plain_model(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(training, "load_dataset", lambda *_: random_dataset(250, learnable=True))
    config = TrainingConfig(
        dataset="kmnist",
        model="simple_cnn",
        epochs=6,
        batch_size=26,
        validation_fraction=0.2,
        optimizer="adamw",
        learning_rate=5e-3,
        mixing=kind,
        plain_epochs=1,
        ema_decay=0.5,
    )
    workdir = training.train(config, tmp_path / "run")
    model = keras.models.load_model(workdir.final, custom_objects={}, safe_mode=True)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    dataset = random_dataset(250, learnable=True)
    logits = model.predict(dataset.images[..., None].astype(np.float32), verbose=0)
    accuracy = np.mean(logits.argmax(axis=1) == dataset.labels)
    assert accuracy > 0.7
    last = workdir.description["result"]["last_epoch"]
    assert 0.5 < last["accuracy"] <= 1 and 0 < last["loss"] < 1.8


def test_the_compiled_pair_is_one_model_unless_training_adds_to_the_graph():
    recognizer, model = compiled_models(TrainingConfig(model="simple_cnn"), (12, 12), 4, PLAN)
    assert recognizer is model
    recognizer, model = compiled_models(TrainingConfig(model="simple_cnn", mixing="manifold"), (12, 12), 4, PLAN)
    assert recognizer is not model
