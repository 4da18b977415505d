"""Statistics of many images for batch normalization, in place of the averages kept while training."""

import math

import keras
import numpy as np
import tensorflow as tf

_BATCH = 512  # of small ones the averages are too narrow for images that stand out, which deep networks then amplify


def measure_population(model: keras.Model, images: np.ndarray) -> None:
    """Set the means and variances of each batch normalization to those of some images.

    The averages that are kept while training lag behind the weights, and are those of small batches, in which an image
    that stands out is scaled by itself. Dozens of blocks amplify both, so that a deep network that learned for a short
    time reads far worse than it should. Source: Wu and Johnson, Rethinking "Batch" in BatchNorm (2021), section 3.

    Args:
        images: uint8 `[n, height, width]`, of those trained on. Dropout and the like are active, as in training.
    """
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0  # each batch leaves its own statistics

    # As a graph, since Keras keeps what every layer returned until an eager call ends: 22 GB in EfficientNet-B7.
    @tf.function(input_signature=[tf.TensorSpec([None, *images.shape[1:], 1], tf.float32)])
    def learn_statistics(batch: tf.Tensor) -> None:
        model(batch, training=True)

    statistics = [variable for layer in normalizations for variable in (layer.moving_mean, layer.moving_variance)]
    batches = np.array_split(images, math.ceil(len(images) / _BATCH))
    sums = [0.0] * len(statistics)
    for batch in batches:
        learn_statistics(batch[..., None].astype(np.float32))
        sums = [total + keras.ops.convert_to_numpy(variable) for total, variable in zip(sums, statistics, strict=True)]
    for variable, total in zip(statistics, sums, strict=True):
        variable.assign(total / len(batches))
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
