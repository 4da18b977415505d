"""Batch normalization with the statistics of many images."""

import keras
import numpy as np
import pytest

from kuzushiji_tf.training.population import measure_population


@pytest.mark.parametrize("count", [5, 1536])
def test_means_and_variances_become_those_of_the_images(count):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 2, 3)).astype(np.uint8)
    image = keras.Input((2, 3, 1))
    layer = keras.layers.BatchNormalization(momentum=0.9)
    model = keras.Model(image, layer(image))
    measure_population(model, images)
    # Of several batches it is the mean of their variances.
    variance = np.mean([part.astype(float).var() for part in np.array_split(images, max(1, count // 512))])
    np.testing.assert_allclose(layer.moving_mean, [images.mean()], rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, [variance], rtol=1e-4)
    assert layer.momentum == 0.9
