"""The Sketch-RNN decoder computes what its papers say, and learns from it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal

from kuzushiji_tf.training.checkpoints import Place, load_checkpoint, save_checkpoint, save_for_use
from kuzushiji_tf.transfer.config import Sketch
from kuzushiji_tf.transfer.glimpses import Glimpse
from kuzushiji_tf.transfer.lstm import LayerNormLSTMCell
from kuzushiji_tf.transfer.sequences import END
from kuzushiji_tf.transfer.sketch import (
    DecayToFloor,
    SketchLoss,
    build_decoder,
    build_start,
    build_step,
    compile_sketch,
    offset_loss,
    pen_loss,
    previous_rows,
)
from kuzushiji_tf.transfer.steps import CORRELATION_BOUND, LOG_SCALE_BOUND, log_density, split_parameters

LATENT = 4
KINDS = {
    "published": {},
    "not normalized": {"layer_norm": False},
    "with layers behind z": {"latent_units": 8},
    "with a hidden layer after the LSTM": {"output_units": 6},
    "with the ink in sight": {"glimpse_units": 7, "scale": 0.1},
    "with all of it": {"latent_units": 8, "glimpse_units": 7, "output_units": 6, "scale": 0.1},
}


def small_decoder(seed=1, scale=1.0, **settings):
    return build_decoder(Sketch(units=16, mixtures=3, **settings), LATENT, seed, scale)


def random_rows(count, steps, seed=0):
    """Return random stroke-5 rows `[count, steps, 5]` of drawings that end at different points."""
    random = np.random.default_rng(seed)
    states = random.integers(0, 2, (count, steps))
    states[np.arange(steps) >= random.integers(1, steps, (count, 1))] = 2
    offsets = random.normal(size=(count, steps, 2)) * (states < 2)[..., None]
    return np.concatenate([offsets, np.eye(3)[states]], axis=-1).astype(np.float32)


def inputs_for(rows, seed=0, ink=False):
    random = np.random.default_rng(seed)
    inputs = {"z": random.normal(size=(len(rows), LATENT)).astype(np.float32), "previous": previous_rows(rows)}
    return inputs | ({"ink": random.random((len(rows), 64, 64, 1)).astype(np.float32)} if ink else {})


def raw(value, bound):
    """Return the number that the bound turns into a value."""
    return bound * np.arctanh(np.asarray(value) / bound)


def parameters_of(pen, weights, means, scales, correlations):
    """Return a step's parameters, given the components' weights, means `[m, 2]`, scales `[m, 2]` and correlations."""
    log_scales = raw(np.log(scales), LOG_SCALE_BOUND).T
    parts = pen, np.log(weights), *np.transpose(means), *log_scales, raw(correlations, CORRELATION_BOUND)
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.fixture
def mixture():
    """The parameters of a mixture of three components, and its density by SciPy."""
    weights, correlations = [0.2, 0.5, 0.3], [0.0, 0.9, -0.6]
    means, scales = [[0, 1], [-1, 0.5], [2, -1]], np.array([[1, 0.5], [0.3, 0.4], [0.8, 1.5]])
    components = []
    for mean, (x, y), correlation in zip(means, scales, correlations, strict=True):
        covariance = [[x * x, correlation * x * y], [correlation * x * y, y * y]]
        components.append(multivariate_normal(mean, covariance))

    def density(points):
        return sum(weight * one.pdf(points) for weight, one in zip(weights, components, strict=True))

    return parameters_of([0, 0, 0], weights, means, scales, correlations), density


def test_the_log_density_is_that_of_bivariate_normals(mixture):
    parameters, density = mixture
    points = np.random.default_rng(0).normal(size=(50, 2)) * 2
    found = log_density(np.tile(parameters, (50, 1)), points)
    np.testing.assert_allclose(found, np.log(density(points)), rtol=1e-9)


def test_the_mixture_integrates_to_one(mixture):
    axis = np.linspace(-9, 9, 400)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    found = np.exp(log_density(np.tile(mixture[0], (len(points), 1)), points)).sum() * (axis[1] - axis[0]) ** 2
    assert found == pytest.approx(1, abs=1e-4)


def test_the_loss_agrees_with_a_sum_by_hand():
    # One standard component: the density at (x, y) is exp(-(x^2 + y^2) / 2) / (2 pi). The drawing has two points and
    # four steps; the offsets of the padding are not 0, to see that they do not count.
    rows = np.float32([[[1, 0, 1, 0, 0], [0, 2, 0, 1, 0], [5, 5, 0, 0, 1], [7, 7, 0, 0, 1]]])
    pens = np.log([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8]])
    parameters = np.stack([parameters_of(pen, [1], [[0, 0]], [[1, 1]], [0]) for pen in pens])[None]
    offsets = (2 * np.log(2 * np.pi) + 1 / 2 + 4 / 2) / 4
    pen = -np.log([0.7, 0.25, 0.6, 0.8]).sum() / 4
    assert float(offset_loss(rows, parameters)[0]) == pytest.approx(offsets, rel=1e-6)
    assert float(pen_loss(rows, parameters)[0]) == pytest.approx(pen, rel=1e-6)
    assert float(SketchLoss()(rows, parameters)) == pytest.approx(offsets + pen, rel=1e-6)


def test_ends_that_an_output_leaves_out_count_as_predicted():
    rows = random_rows(3, 9)
    rows[:, 6:] = np.float32(END)
    parameters = np.random.default_rng(1).normal(size=(3, 9, 21)).astype(np.float32)
    certain = parameters.copy()
    certain[:, 6:, :3] = [-1000, -1000, 0]
    whole, shortened = SketchLoss()(rows, certain), SketchLoss()(rows, parameters[:, :6])
    assert float(shortened) == pytest.approx(float(whole), rel=1e-6)
    np.testing.assert_allclose(
        gradient_of(rows, parameters[:, :6], SketchLoss()),
        gradient_of(rows, parameters, SketchLoss())[:, :6],
        rtol=1e-5,
    )


def test_the_loss_is_the_mean_over_drawings():
    rows = random_rows(3, 6)
    parameters = np.random.default_rng(1).normal(size=(3, 6, 21)).astype(np.float32)
    each = [float(SketchLoss()(rows[k : k + 1], parameters[k : k + 1])) for k in range(3)]
    assert float(SketchLoss()(rows, parameters)) == pytest.approx(np.mean(each), rel=1e-6)


def gradient_of(rows, parameters, loss):
    parameters = tf.convert_to_tensor(parameters)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        value = tf.reduce_mean(loss(rows, parameters))
    return tape.gradient(value, parameters).numpy()


def test_the_gradient_of_the_masked_loss_is_right():
    rows = random_rows(2, 4).astype(np.float64)
    parameters = np.random.default_rng(1).normal(size=(2, 4, 15))

    def loss(rows, parameters):
        return offset_loss(rows, parameters) + pen_loss(rows, parameters)

    found = gradient_of(rows, parameters, loss)
    shifts = 1e-6 * np.eye(parameters.size).reshape(-1, *parameters.shape)
    repeated = np.tile(rows, (len(shifts), 1, 1))

    def values(moved):
        return np.asarray(loss(repeated, moved.reshape(-1, 4, 15))).reshape(len(shifts), 2).mean(axis=1)

    expected = (values(parameters + shifts) - values(parameters - shifts)) / 2e-6
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-8)
    assert np.abs(expected).max() > 0.1


def test_offsets_after_the_end_have_no_gradient():
    rows = random_rows(5, 8)
    parameters = 3 * np.random.default_rng(1).normal(size=(5, 8, 21)).astype(np.float32)
    ended = rows[..., 4] == 1
    offsets, pens = gradient_of(rows, parameters, offset_loss), gradient_of(rows, parameters, pen_loss)
    assert not offsets[ended].any() and offsets[~ended].any(axis=1).all()
    assert pens[..., :3].any(axis=-1).all() and not pens[..., 3:].any()


@pytest.mark.parametrize("size", [1e2, 1e6])
def test_extreme_parameters_give_finite_numbers(size):
    rows = random_rows(20, 8)
    parameters = np.random.default_rng(1).choice([-size, 0, size], (20, 8, 21)).astype(np.float32)
    assert np.isfinite(float(SketchLoss()(rows, parameters)))
    assert np.isfinite(gradient_of(rows, parameters, SketchLoss())).all()


def test_parameters_stand_in_the_order_of_the_authors_code():
    parts = split_parameters(np.arange(15, dtype=np.float64) / 10)
    np.testing.assert_allclose(parts.pen_logits, [0, 0.1, 0.2])
    np.testing.assert_allclose(parts.log_weights, log_softmax([0.3, 0.4]))
    np.testing.assert_allclose([parts.mean_x, parts.mean_y], [[0.5, 0.6], [0.7, 0.8]])
    np.testing.assert_allclose([parts.log_scale_x, parts.log_scale_y], 5 * np.tanh(np.array([[9, 10], [11, 12]]) / 50))
    np.testing.assert_allclose(parts.correlation, 0.999 * np.tanh(np.array([1.3, 1.4]) / 0.999))


def test_the_decoder_has_the_size_of_the_published_one():
    # The authors' kernel for 69 inputs and 512 states, the normalization, the first states and the output.
    expected = (69 + 512) * 2048 + 2 * (2048 + 512) + 65 * 1024 + 513 * 123
    decoder = build_decoder(Sketch())
    assert sum(int(np.prod(weight.shape)) for weight in decoder.trainable_variables) == expected == 1_324_667
    assert decoder.output.shape == (None, None, 123) and decoder.output.dtype == "float32"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalized(x, gain, shift):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * gain + shift


def written_out(decoder, inputs, layer_norm):
    """Return what the decoder should, step by step in NumPy, after the authors' code."""
    random = np.random.default_rng(5)
    for weight in decoder.trainable_variables:  # no gain of 1 or shift of 0 hides a mistake
        weight.assign(weight.numpy() + 0.1 * random.normal(size=weight.shape))
    lstm = decoder.get_layer("lstm")
    names = "start_hidden", "start_cell", "parameters"
    of_hidden, of_cell, last = ([weight.numpy() for weight in decoder.get_layer(name).weights] for name in names)
    cell_weights = {weight.name: weight.numpy() for weight in lstm.loop.cell.weights}
    z, rows, units = inputs["z"], inputs["previous"], lstm.units
    for layer in decoder.layers:
        if layer.name.startswith("look_"):
            z = np.maximum(z @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    hidden, cell = (np.tanh(z @ kernel + bias) for kernel, bias in (of_hidden, of_cell))
    if "ink" in inputs:
        positions = np.cumsum(rows[..., :2], axis=1)
        canvas = inputs["ink"].reshape(len(z), 32, 2, 32, 2).mean(axis=(2, 4))
        rows = np.concatenate([rows, 0.3 * positions], axis=-1)
        # The pen is nowhere before the first point, comes to it lifted, and is then as the row before says.
        pen = np.concatenate([np.tile(np.float32([-1, 0]), (len(z), 1)), rows[:, 1:-1, 2]], axis=1)
        glimpse = Glimpse(decoder.get_layer("glimpse").scale)
        seen, _ = glimpse(canvas, np.zeros_like(canvas), rows[..., :2], positions, pen)
        shown = np.concatenate([rows, seen], axis=-1)
        for name in ("see_1", "see_2"):
            kernel, bias = (weight.numpy() for weight in decoder.get_layer(name).weights)
            shown = np.maximum(shown @ kernel + bias, 0)
        rows = np.concatenate([rows, shown], axis=-1)
    outputs = []
    for step in range(rows.shape[1]):
        gates = np.concatenate([rows[:, step], hidden], axis=1) @ cell_weights["kernel"]
        gates = gates + z @ lstm.condition.kernel.numpy() + (0 if layer_norm else lstm.condition.bias.numpy())
        gates = gates.reshape(-1, 4, units)
        if layer_norm:
            gates = normalized(gates, cell_weights["gate_gain"], cell_weights["gate_shift"])
        i, j, f, o = np.moveaxis(gates, 1, 0)
        cell = cell * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        shown = normalized(cell, cell_weights["cell_gain"], cell_weights["cell_shift"]) if layer_norm else cell
        hidden = np.tanh(shown) * sigmoid(o)
        output = hidden
        if any(layer.name == "output_of_steps" for layer in decoder.layers):
            of_steps, of_latent = decoder.get_layer("output_of_steps"), decoder.get_layer("output_of_latent")
            known = np.concatenate([hidden, rows[:, step, 5:]], axis=1)
            beside = known @ of_steps.kernel.numpy() + of_steps.bias.numpy() + z @ of_latent.kernel.numpy()
            output = np.concatenate([hidden, np.maximum(beside, 0)], axis=1)
        outputs.append(output @ last[0] + last[1])
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_agrees_with_the_equations_written_out(kind):
    decoder, inputs = small_decoder(**KINDS[kind]), inputs_for(random_rows(3, 7), ink="glimpse_units" in KINDS[kind])
    assert set(decoder.input) == set(inputs)
    expected = written_out(decoder, inputs, KINDS[kind].get("layer_norm", True))
    np.testing.assert_allclose(decoder(inputs), expected, atol=1e-5)


def stepped(decoder, inputs):
    """Return what the decoder's steps predict, one after another."""
    start, step = build_start(decoder), build_step(decoder)
    given = {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}
    previous = given.pop("previous")
    state, found = start(given), []
    for place in range(previous.shape[1]):
        outputs = step({"z": given["z"], "previous": previous[:, place], **state})
        found.append(outputs.pop("parameters"))
        state |= outputs
    return np.stack(found, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_equals_predicting_all_steps_at_once(kind):
    decoder, inputs = small_decoder(**KINDS[kind]), inputs_for(random_rows(3, 7), ink="glimpse_units" in KINDS[kind])
    np.testing.assert_allclose(stepped(decoder, inputs), decoder(inputs), atol=1e-6)


def test_the_first_row_is_predicted_from_the_start_token():
    rows = random_rows(2, 4)
    found = previous_rows(rows)
    assert found.dtype == np.float32 and found.shape == rows.shape
    assert np.array_equal(found[:, 0], [[0, 0, 1, 0, 0]] * 2) and np.array_equal(found[:, 1:], rows[:, :-1])


def test_recurrent_dropout_acts_in_training_alone_and_is_reproducible():
    inputs = inputs_for(random_rows(3, 7))
    one, other, without = (small_decoder(recurrent_dropout=rate) for rate in (0.5, 0.5, 0))
    first, second = one(inputs, training=True), one(inputs, training=True)
    assert not np.allclose(first, second) and not np.allclose(first, one(inputs))
    assert np.array_equal(other(inputs, training=True), first) and np.array_equal(other(inputs, training=True), second)
    assert np.array_equal(one(inputs), without(inputs))
    assert np.array_equal(without(inputs, training=True), without(inputs))


def test_recurrent_dropout_forgets_nothing():
    # A dropped candidate adds nothing to the cell; the rest of what it knew stays.
    cell = LayerNormLSTMCell(features=5, units=8)
    random = np.random.default_rng(0)
    row, states = random.normal(size=(2, 5)).astype("f"), [random.normal(size=(2, k)).astype("f") for k in (8, 8, 32)]
    kept = np.float32([[0, 2, 0, 2, 0, 2, 0, 2]] * 2)
    _, (_, plain, _) = cell(row, states)
    _, (_, dropped, _) = cell(np.concatenate([row, kept], axis=1), states)
    _, (_, nothing, _) = cell(np.concatenate([row, 0 * kept], axis=1), states)
    np.testing.assert_allclose(dropped, nothing + kept * (plain - nothing), atol=1e-6)
    assert np.abs(nothing).min() > 1e-3


def test_learning_rate_falls_from_the_first_towards_the_floor():
    schedule = DecayToFloor(1e-3, 1e-5, 0.9999)
    assert [float(schedule(step)) for step in (0, 1, 10_000, 1_000_000)] == pytest.approx(
        [1e-3, 1e-5 + 0.99e-3 * 0.9999, 1e-5 + 0.99e-3 * 0.9999**10_000, 1e-5], rel=1e-5
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(again, DecayToFloor) and again.get_config() == schedule.get_config()


def test_no_element_of_a_gradient_passes_the_clip():
    decoder = compile_sketch(small_decoder(), Sketch(clip=1.0))
    weights = decoder.trainable_variables
    gradients = [
        keras.ops.full(weight.shape, value) for weight, value in zip(weights, [-50.0] + [0.25] * 99, strict=False)
    ]
    decoder.optimizer.apply_gradients(zip(gradients, weights, strict=True))
    # Adam's first moment is 0.1 of the gradient that it was given.
    moments = [float(keras.ops.mean(value)) for value in decoder.optimizer._momentums]
    assert moments == pytest.approx([-0.1] + [0.025] * (len(weights) - 1), rel=1e-5)


@pytest.mark.parametrize("kind", ["published", "with all of it"])
def test_training_reports_both_parts_of_the_loss_and_a_saved_model_is_equal(kind, tmp_path):
    rows = random_rows(8, 6)
    inputs = inputs_for(rows, ink="glimpse_units" in KINDS[kind])
    decoder = compile_sketch(small_decoder(**KINDS[kind]), Sketch())
    history = decoder.fit(inputs, rows, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    for loss, offsets, pens in zip(*(history[name] for name in ("loss", "offset_loss", "pen_loss")), strict=True):
        assert loss == pytest.approx(offsets + pens, rel=1e-5)
    decoder.save(tmp_path / "sketch.keras")
    again = keras.models.load_model(tmp_path / "sketch.keras")
    assert np.array_equal(again(inputs), decoder(inputs))
    np.testing.assert_allclose(stepped(again, inputs), decoder(inputs), atol=1e-6)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    rows = random_rows(8, 6)
    whole, first, second = (compile_sketch(small_decoder(recurrent_dropout=0.5), Sketch()) for _ in range(3))
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    whole.fit(inputs_for(rows), rows, epochs=2, **fit)
    first.fit(inputs_for(rows), rows, epochs=1, **fit)
    save_checkpoint(first, tmp_path, Place(1), [])
    assert load_checkpoint(tmp_path, second).place == Place(1)
    second.fit(inputs_for(rows), rows, initial_epoch=1, epochs=2, **fit)
    for one, other in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)
    save_for_use(second, second.optimizer, tmp_path / "final.keras")
    final = keras.models.load_model(tmp_path / "final.keras")
    assert np.array_equal(final(inputs_for(rows)), second(inputs_for(rows)))


@pytest.mark.slow
def test_a_step_compiled_with_xla_learns_the_same():
    rows = random_rows(8, 6)
    models = [compile_sketch(small_decoder(recurrent_dropout=0), Sketch(), jit) for jit in (False, True)]
    one, other = (
        model.fit(inputs_for(rows), rows, batch_size=4, epochs=3, shuffle=False, verbose=0).history for model in models
    )
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_decoder_is_made_again_from_its_seed():
    inputs = inputs_for(random_rows(2, 4))
    assert np.array_equal(small_decoder()(inputs), small_decoder()(inputs))
    assert not np.allclose(small_decoder()(inputs), small_decoder(seed=2)(inputs))


def test_each_gate_begins_with_an_orthogonal_matrix():
    cell = LayerNormLSTMCell(features=5, units=8)
    cell.build((None, 5))
    gates = np.split(cell.kernel.numpy()[5:], 4, axis=1)
    for gate in gates:
        np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-5)
    assert not np.allclose(gates[0], gates[1])


def test_the_density_has_no_mass_outside_its_weights():
    # A component of nearly no weight does not show, however near it lies.
    far = parameters_of([0, 0, 0], [1 - 1e-9, 1e-9], [[3, 3], [0, 0]], [[1, 1], [1, 1]], [0, 0])
    parts = np.log([1 - 1e-9, 1e-9]) - np.log(2 * np.pi) - np.array([9, 0])
    assert float(log_density(far[None], np.zeros((1, 2)))[0]) == pytest.approx(logsumexp(parts), rel=1e-9)
