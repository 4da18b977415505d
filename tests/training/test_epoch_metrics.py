"""Macro precision and recall of an epoch: what scikit-learn says, in graph mode, compiled, saved and on two devices."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from kuzushiji_tf.training.epoch_metrics import MacroPrecision, MacroRecall

CLASSES = 7


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and logits; class 5 is never the label and class 6 is never predicted."""
    random = np.random.default_rng(seed)
    labels = random.choice([0, 1, 2, 3, 4, 6], count)
    logits = random.normal(size=(count, CLASSES)).astype(np.float32)
    logits[np.arange(count), labels] += 1
    logits[:, 6] = -9
    return labels, logits


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[labels]


def expected(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    present = np.unique(labels)
    scores = {"labels": present, "average": "macro", "zero_division": 0}
    predicted = logits.argmax(axis=1)
    return precision_score(labels, predicted, **scores), recall_score(labels, predicted, **scores)


def tiny_model(jit: bool) -> keras.Model:
    """Return a model that returns its input, compiled with both metrics."""
    features = keras.Input((CLASSES,))
    model = keras.Model(features, keras.layers.Dense(CLASSES, kernel_initializer="identity")(features))
    metrics = [MacroPrecision(CLASSES, name="precision"), MacroRecall(CLASSES, name="recall")]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=metrics, jit_compile=jit)
    return model


@pytest.mark.parametrize("kind", [MacroPrecision, MacroRecall])
def test_batches_add_up_to_the_score_of_them_all(kind):
    labels, logits = drawn(300)
    metric = kind(CLASSES)
    for start in range(0, 300, 90):
        metric.update_state(one_hot(labels[start : start + 90]), logits[start : start + 90])
    assert float(metric.result()) == pytest.approx(expected(labels, logits)[kind is MacroRecall], abs=1e-6)


@pytest.mark.parametrize("kind", [MacroPrecision, MacroRecall])
def test_nothing_counts_as_nothing_and_a_new_epoch_starts_anew(kind):
    labels, logits = drawn(50)
    metric = kind(CLASSES)
    assert float(metric.result()) == 0
    metric.update_state(one_hot(labels), logits)
    assert float(metric.result()) > 0
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_mixed_target_counts_as_its_larger_part():
    metric = MacroRecall(3)
    metric.update_state([[0.7, 0.3, 0.0], [0.2, 0.0, 0.8]], [[5.0, 1.0, 0.0], [5.0, 1.0, 0.0]])
    assert float(metric.result()) == 0.5


def test_an_image_of_weight_zero_does_not_count():
    metric = MacroRecall(2)
    metric.update_state([[1.0, 0.0], [1.0, 0.0]], [[5.0, 1.0], [1.0, 5.0]], sample_weight=[1.0, 0.0])
    assert float(metric.result()) == 1


def test_memory_is_three_vectors():
    assert sum(np.prod(variable.shape) for variable in MacroPrecision(3832).variables) == 3 * 3832


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_an_epochs_logs_have_them_for_training_and_validation(jit):
    labels, logits = drawn(96)
    validation = drawn(50, seed=1)
    history = tiny_model(jit).fit(
        logits,
        one_hot(labels),
        batch_size=32,
        epochs=2,
        verbose=0,
        validation_data=(validation[1], one_hot(validation[0])),
    )
    for prefix, parts in (("", (labels, logits)), ("val_", validation)):
        precision, recall = expected(*parts)
        np.testing.assert_allclose(history.history[f"{prefix}precision"], [precision] * 2, atol=1e-6)
        np.testing.assert_allclose(history.history[f"{prefix}recall"], [recall] * 2, atol=1e-6)


def test_a_compiled_model_is_saved_and_loaded_with_them(tmp_path):
    labels, logits = drawn(64)
    model = tiny_model(jit=False)
    model.fit(logits, one_hot(labels), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    before, after = (each.evaluate(logits, one_hot(labels), verbose=0, return_dict=True) for each in (model, loaded))
    assert after == pytest.approx(before)
    assert before["recall"] > 0


MIRRORED = """
import json
import tensorflow as tf
from tests.training.test_epoch_metrics import drawn, one_hot, tiny_model

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = tiny_model(jit=False)
labels, logits = drawn(96)
history = model.fit(logits, one_hot(labels), batch_size=32, epochs=2, verbose=0)
print(json.dumps(history.history))
"""


def test_two_mirrored_devices_count_together():
    finished = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    history = json.loads(finished.stdout.splitlines()[-1])
    precision, recall = expected(*drawn(96))
    np.testing.assert_allclose(history["precision"], [precision] * 2, atol=1e-6)
    np.testing.assert_allclose(history["recall"], [recall] * 2, atol=1e-6)
