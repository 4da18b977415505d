"""Multiply-accumulate operations, compared with counts made by hand."""

import keras
import pytest
from keras import layers, ops

from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.complexity import multiply_accumulates


def model_of(*sequence, shape=(8, 8, 2)) -> keras.Model:
    image = x = keras.Input(shape)
    for layer in sequence:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ([layers.Conv2D(5, 3)], 6 * 6 * 9 * 2 * 5),
        ([layers.Conv2D(5, 3, strides=2, padding="same")], 4 * 4 * 9 * 2 * 5),
        ([layers.Conv2D(4, (1, 3), padding="same", groups=2)], 64 * 3 * 1 * 4),
        ([layers.DepthwiseConv2D(3, padding="same", depth_multiplier=3)], 64 * 9 * 2 * 3),
        ([layers.SeparableConv2D(7, 3, padding="same")], 64 * (9 * 2 + 2 * 7)),
        ([layers.Conv2DTranspose(5, 4, strides=2, padding="same")], 64 * 16 * 2 * 5),
        ([layers.Flatten(), layers.Dense(10)], 128 * 10),
        ([layers.Dense(10)], 64 * 2 * 10),
        ([layers.EinsumDense("bhwc,cdk->bhwdk", (8, 8, 3, 4))], 64 * 2 * 3 * 4),
        ([layers.Reshape((64, 2)), layers.EinsumDense("bpk,cpkd->bcpd", (3, 64, 5))], 3 * 64 * 5 * 2),
        ([layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(), layers.Dropout(0.5)], 0),
    ],
    ids=lambda value: value[-1].name if isinstance(value, list) else "",
)
def test_each_layer_counts_as_by_hand(sequence, expected):
    assert multiply_accumulates(model_of(*sequence)) == expected


def test_a_product_of_two_tensors_counts():
    votes = keras.Input((10, 30, 16))
    weights = keras.Input((10, 1, 30))
    model = keras.Model([votes, weights], ops.matmul(weights, votes))
    assert multiply_accumulates(model) == 10 * 30 * 16


def test_a_layer_that_is_used_twice_counts_twice():
    image = keras.Input((8, 8, 2))
    shared = layers.Conv2D(2, 3, padding="same")
    assert multiply_accumulates(keras.Model(image, shared(shared(image)))) == 2 * 64 * 9 * 2 * 2
    assert multiply_accumulates(keras.Model(image, shared(image))) == 64 * 9 * 2 * 2


def test_a_model_within_a_model_counts():
    inner = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(4, 1)])
    assert multiply_accumulates(inner) == 64 * 2 * 4
    assert multiply_accumulates(model_of(inner, layers.Flatten(), layers.Dense(3))) == 64 * 2 * 4 + 64 * 4 * 3


def test_preact_resnet20_counts_as_the_sum_of_its_convolutions():
    stem = 28 * 28 * 9 * 16
    first = 6 * 28 * 28 * 9 * 16 * 16
    second = 14 * 14 * (16 * 32 + 9 * 16 * 32 + 5 * 9 * 32 * 32)
    third = 7 * 7 * (32 * 64 + 9 * 32 * 64 + 5 * 9 * 64 * 64)
    total = stem + first + second + third + 64 * 10
    assert 30e6 < total < 32e6
    assert multiply_accumulates(build_model("preact_resnet20", (28, 28), 10)) == total


def test_a_saved_model_counts_as_the_one_that_was_saved(tmp_path):
    model = build_model("simple_cnn", (28, 28), 10)
    model.save(tmp_path / "model.keras")
    expected = 26 * 26 * 9 * 32 + 24 * 24 * 9 * 32 * 64 + 12 * 12 * 64 * 128 + 128 * 10
    assert multiply_accumulates(model) == multiply_accumulates(keras.saving.load_model(tmp_path / "model.keras"))
    assert multiply_accumulates(model) == expected


def test_an_open_image_size_is_refused():
    with pytest.raises(ValueError, match="any size"):
        multiply_accumulates(model_of(layers.Conv2D(5, 3), shape=(None, None, 1)))


@pytest.mark.parametrize("part", [layers.GRU(3), lambda x: ops.einsum("bij,bkj->bik", x, x)], ids=["layer", "product"])
def test_what_cannot_be_counted_is_refused_rather_than_left_out(part):
    with pytest.raises(ValueError, match="cannot be counted"):
        multiply_accumulates(model_of(part, shape=(5, 4)))
