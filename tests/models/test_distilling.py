"""Distillation's training graph: the loss of the paper, a teacher that stays as it is, a student that learns it."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import log_softmax, softmax

from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.distilling import distillation_graph
from kuzushiji_tf.models.loading import with_probabilities

SIZE = 12
CROSSENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


def batch(images=8):
    generator = np.random.default_rng(3)
    pixels = generator.integers(0, 256, (images, SIZE, SIZE, 1)).astype(np.float32)
    return pixels, np.eye(4, dtype=np.float32)[generator.integers(0, 4, images)]


@pytest.fixture
def student():
    return build_model("preact_resnet20", (SIZE, SIZE), 4, seed=1)


@pytest.fixture
def teacher():
    return with_probabilities(build_model("preact_resnet20", (SIZE, SIZE), 4, seed=2))


def test_the_loss_is_that_of_the_paper(student, teacher):
    pixels, targets = batch()
    graph = distillation_graph(student, teacher, 0.7, 3.0)
    graph.compile(keras.optimizers.SGD(0.1), CROSSENTROPY, loss_weights=0.3)
    logits = np.asarray(student(pixels), np.float64)
    softened = softmax(np.log(np.asarray(teacher(pixels), np.float64)) / 3, axis=-1)
    divergence = (softened * (np.log(softened) - log_softmax(logits / 3, axis=-1))).sum(axis=-1).mean()
    expected = 0.3 * float(CROSSENTROPY(targets, logits)) + 0.7 * 9 * divergence
    assert graph.evaluate(pixels, targets, verbose=0) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(np.asarray(graph(pixels)), logits, atol=1e-5)


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(student):
    pixels, targets = batch()
    graph = distillation_graph(student, with_probabilities(keras.models.clone_model(student)), 1.0, 2.0)
    graph.get_layer("teacher").set_weights(student.get_weights())
    graph.compile(keras.optimizers.SGD(0.1), CROSSENTROPY, loss_weights=0.0)
    assert graph.evaluate(pixels, targets, verbose=0) == pytest.approx(0, abs=1e-5)


def test_a_teacher_that_rules_a_class_out_gives_finite_gradients(student):
    pixels, targets = batch()
    image = keras.Input((SIZE, SIZE, 1))
    sure = layers.Lambda(lambda x: keras.ops.one_hot(keras.ops.zeros_like(x[:, 0, 0, 0], "int32"), 4))(image)
    graph = distillation_graph(student, keras.Model(image, sure), 1.0, 0.5)
    graph.compile(keras.optimizers.SGD(0.1), CROSSENTROPY)
    graph.train_on_batch(pixels, targets)
    assert all(np.isfinite(values).all() for values in student.get_weights())


def test_training_moves_the_student_and_leaves_the_teacher(student, teacher):
    pixels, targets = batch()
    before = [[np.array(values) for values in model.get_weights()] for model in (student, teacher)]
    graph = distillation_graph(student, teacher, 1.0, 2.0)
    graph.compile(keras.optimizers.SGD(0.05), CROSSENTROPY, loss_weights=0.0, jit_compile=False)
    losses = graph.fit(pixels, targets, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    student_moved, teacher_moved = (
        any(not np.array_equal(a, b) for a, b in zip(values, model.get_weights(), strict=True))
        for values, model in zip(before, (student, teacher), strict=True)
    )
    assert student_moved and not teacher_moved


def test_the_graph_is_saved_and_loaded_with_its_teacher(student, teacher, tmp_path):
    pixels, targets = batch()
    graph = distillation_graph(student, teacher, 0.7, 3.0)
    graph.compile(keras.optimizers.SGD(), CROSSENTROPY)
    graph.save(tmp_path / "graph.keras")
    loaded = keras.models.load_model(tmp_path / "graph.keras")
    loss = graph.evaluate(pixels, targets, verbose=0)
    assert loaded.evaluate(pixels, targets, verbose=0) == pytest.approx(loss, rel=1e-5)
