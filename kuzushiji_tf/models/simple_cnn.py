"""The Keras benchmark of the Kuzushiji-MNIST release: two convolutions and two dense layers."""

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import MIXABLE, Seeds, classify


def simple_cnn(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of the published network; 1,199,882 parameters at 28 x 28 pixels and 10 classes.

    Source: rois-codh/kmnist, benchmarks/kuzushiji_mnist_cnn.py (Keras's own mnist_cnn example).
    """
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer=seeds.glorot_uniform())(image)
    x = layers.Conv2D(64, 3, activation="relu", kernel_initializer=seeds.glorot_uniform())(x)
    x = layers.MaxPooling2D(2, name=f"{MIXABLE}_1")(x)
    x = layers.Dropout(0.25, seed=seeds.draw())(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu", kernel_initializer=seeds.glorot_uniform())(x)
    x = layers.Dropout(0.5, seed=seeds.draw())(x)
    return classify(x, classes, seeds, architecture)
