"""Plain stacks of 3 x 3 convolutions (Simonyan and Zisserman 2015), as two projects on Japanese characters had them."""

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import MIXABLE, Seeds, classify, norm_relu, scaled

_BLOCKS = ((64, 2), (128, 2), (256, 3), (256, 3))  # channels and convolutions before each pooling


def vgg(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of the VGG with batch normalization of the Kuzushiji-MNIST ensemble.

    3,651,018 parameters at 10 classes, of which 3,646,154 are trained. Ten convolutions with four poolings, then a
    hidden layer of 512. At 28 to 31 pixels the poolings leave one pixel, as in the source; of what they leave of a
    larger image the mean is taken. Source: ranihorev/Kuzushiji_MNIST (its class VGG, after kkweon/mnist-competition).
    """
    x = image
    for block, (channels, convolutions) in enumerate(_BLOCKS):
        for _ in range(convolutions):
            # With a bias, which the normalization cancels, because the published count has it.
            x = layers.Conv2D(
                scaled(channels, architecture.width), 3, padding="same", kernel_initializer=seeds.he_normal()
            )(x)
            x = norm_relu(x)
        x = layers.MaxPooling2D(2, padding=_padding(image), name=f"{MIXABLE}_{block + 1}")(x)
    x = layers.Dropout(0.5, seed=seeds.draw())(layers.GlobalAveragePooling2D()(x))
    x = norm_relu(layers.Dense(scaled(512, architecture.width), kernel_initializer=seeds.he_normal())(x))
    return classify(layers.Dropout(0.5, seed=seeds.draw())(x), classes, seeds, architecture)


def vgg_etl(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of the network that read ETL8G's hiragana; 493,352 parameters at 32 x 32 and 72 classes.

    Four convolutions and a hidden layer of 256, dropout of a half, no normalization; initial weights as published,
    with a standard deviation of 0.1, which asks for an adaptive optimizer (the source's is Adadelta). Source:
    yukoba/CnnJapaneseCharacter (src/learn.py, m6_1).
    """
    x, padding = image, _padding(image)
    for block, channels in enumerate((32, 64)):
        for _ in range(2):
            x = layers.Conv2D(
                scaled(channels, architecture.width),
                3,
                padding=padding,
                activation="relu",
                kernel_initializer=_normal(seeds),
            )(x)
        x = layers.MaxPooling2D(2, padding=padding, name=f"{MIXABLE}_{block + 1}")(x)
        x = layers.Dropout(0.5, seed=seeds.draw())(x)
    x = layers.Dense(scaled(256, architecture.width), activation="relu", kernel_initializer=_normal(seeds))(
        layers.Flatten()(x)
    )
    return classify(layers.Dropout(0.5, seed=seeds.draw())(x), classes, seeds, architecture)


def _padding(image: keras.KerasTensor) -> str:
    """Return `valid` as published, or `same` for an image of which that would leave nothing."""
    return "valid" if min(image.shape[1:3]) >= 16 else "same"


def _normal(seeds: Seeds) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.1, seed=seeds.draw())
