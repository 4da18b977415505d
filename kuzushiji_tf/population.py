"""Statistics of many images for batch normalization, in place of the averages kept while training."""

import math

import keras
import numpy as np

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
    for done, batch in enumerate(np.array_split(images, math.ceil(len(images) / _BATCH))):
        for layer in normalizations:
            layer.momentum = done / (done + 1)  # makes the moving average the mean over all batches so far
        model(batch[..., None].astype(np.float32), training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
