"""The capsule network routes as the paper says, and its decoder learns to redraw the image."""

import keras
import numpy as np
import pytest

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.capsnet import LOGIT_SCALE, reconstruction_graph
from kuzushiji_tf.training.losses import MarginLoss

SIZE, CLASSES = 12, 3


@pytest.fixture
def recognizer():
    return build_model("capsnet", (SIZE, SIZE), CLASSES, architecture=Architecture(width=1 / 32))


def batch(count=6):
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 1)).astype(np.float32)
    return pixels, np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]


def squashed(vector):
    squared = float(vector @ vector)
    return vector * squared / (1 + squared) / np.sqrt(squared)


def test_thousands_of_classes_are_refused_before_memory_is_gone():
    with pytest.raises(UserError, match="18,432 primary capsules and 3,832 classes"):
        build_model("capsnet", (64, 64), 3832)


def test_routing_is_procedure_1_of_the_paper(recognizer):
    pixels, _ = batch(1)
    tapped = keras.Model(
        recognizer.inputs, [recognizer.get_layer(name).output for name in ("votes", "class_capsules", "logits")]
    )
    votes, capsules, logits = (np.asarray(values)[0].astype(float) for values in tapped(pixels))
    primary = votes.shape[1]
    agreement = np.zeros((primary, CLASSES))
    for _ in range(3):
        shares = np.exp(agreement) / np.exp(agreement).sum(axis=1, keepdims=True)
        expected = [squashed(sum(shares[i, j] * votes[j, i] for i in range(primary))) for j in range(CLASSES)]
        agreement += [[votes[j, i] @ expected[j] for j in range(CLASSES)] for i in range(primary)]
    np.testing.assert_allclose(capsules, expected, atol=1e-5)
    np.testing.assert_allclose(logits, LOGIT_SCALE * np.linalg.norm(expected, axis=-1), atol=1e-3)


def test_votes_are_products_with_a_matrix_for_each_pair_of_capsules(recognizer):
    pixels, _ = batch(1)
    layer = recognizer.get_layer("votes")
    primary, votes = (
        np.asarray(values)[0] for values in keras.Model(recognizer.inputs, [layer.input, layer.output])(pixels)
    )
    matrices = np.asarray(layer.kernel)
    assert matrices.shape == (len(primary), 8, CLASSES, 16)
    np.testing.assert_allclose(votes[2, 5], primary[5] @ matrices[5, :, 2], atol=1e-5)
    assert (np.linalg.norm(primary, axis=-1) < 1).all()


def test_the_published_sizes_follow_at_28_pixels():
    model = build_model("capsnet", (28, 28), 10)
    assert model.get_layer("mixable_2").output.shape == (None, 6 * 6 * 32, 8)
    assert model.get_layer("class_capsules").output.shape == (None, 10, 16)
    graph = reconstruction_graph(model, 0.0005)
    decoder = (160 * 512 + 512) + (512 * 1024 + 1024) + (1024 * 784 + 784)
    assert graph.count_params() - model.count_params() == decoder == 1_411_344


def test_a_black_image_gives_finite_logits_and_gradients(recognizer):
    _, targets = batch(3)
    recognizer.compile(keras.optimizers.SGD(0.1), MarginLoss())
    recognizer.train_on_batch(np.zeros((3, SIZE, SIZE, 1), np.float32), targets)
    assert all(np.isfinite(weights).all() for weights in recognizer.get_weights())


def test_margin_loss_trains_it(recognizer):
    recognizer.compile(keras.optimizers.Adam(1e-2), MarginLoss(), jit_compile=False)
    losses = recognizer.fit(*batch(), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_the_decoder_adds_the_weighted_squared_error_and_leaves_the_logits(recognizer):
    pixels, targets = batch()
    graph = reconstruction_graph(recognizer, 0.01)
    graph.compile(keras.optimizers.SGD(0.1), MarginLoss())
    inputs = {"image": pixels, "target": targets}
    logits = np.asarray(graph(inputs))
    np.testing.assert_allclose(logits, np.asarray(recognizer(pixels)), atol=1e-5)
    drawn = np.asarray(keras.Model(graph.input, graph.get_layer("drawn").output)(inputs))
    error = np.square(drawn - pixels.reshape(len(pixels), -1) / 255).sum(axis=1).mean()
    expected = float(MarginLoss()(targets, logits)) + 0.01 * error
    assert graph.evaluate(inputs, targets, verbose=0) == pytest.approx(expected, rel=1e-4)


def test_the_decoder_sees_the_targets_capsule_only(recognizer):
    pixels, targets = batch()
    graph = reconstruction_graph(recognizer, 0.01)
    decoder = keras.Model(graph.input, graph.get_layer("drawn").output)
    as_told, otherwise = (np.asarray(decoder({"image": pixels, "target": t})) for t in (targets, targets[:, ::-1]))
    assert np.abs(as_told - otherwise).max() > 1e-5
    nothing = np.asarray(decoder({"image": pixels, "target": np.zeros_like(targets)}))
    np.testing.assert_allclose(nothing, np.broadcast_to(nothing[:1], nothing.shape), atol=1e-6)


def test_training_the_graph_trains_the_recognizer_and_redraws_better(recognizer):
    pixels, targets = batch()
    before = [np.array(weights) for weights in recognizer.get_weights()]
    graph = reconstruction_graph(recognizer, 0.01)
    graph.compile(keras.optimizers.Adam(1e-3), MarginLoss(), jit_compile=False)
    losses = graph.fit({"image": pixels, "target": targets}, targets, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert any(not np.array_equal(a, b) for a, b in zip(before, recognizer.get_weights(), strict=True))


def test_the_decoder_starts_the_same_for_equal_seeds(recognizer):
    some, same, other = (reconstruction_graph(recognizer, 0.01, seed).get_layer("drawn").kernel for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.asarray(some), np.asarray(same))
    assert not np.array_equal(np.asarray(some), np.asarray(other))


def test_the_graph_is_saved_and_loaded_with_its_weight(recognizer, tmp_path):
    pixels, targets = batch()
    graph = reconstruction_graph(recognizer, 0.01)
    graph.compile(keras.optimizers.SGD(), MarginLoss())
    graph.save(tmp_path / "graph.keras")
    loaded = keras.models.load_model(tmp_path / "graph.keras")
    inputs = {"image": pixels, "target": targets}
    loss = graph.evaluate(inputs, targets, verbose=0)
    assert loaded.evaluate(inputs, targets, verbose=0) == pytest.approx(loss, rel=1e-5)
