"""A small network for thousands of classes on a phone: convolution, batch normalization and ReLU6 throughout."""

from dataclasses import replace

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import MIXABLE, Seeds, batch_norm, classify, convolution, scaled

_STAGES = ((64, 3), (96, 3), (160, 2))  # channels and convolutions; the first of a stage halves the image
_HEAD_RANK = 128


def small_cnn(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of the small network; 1.2 M parameters and 45 M multiplications at 64 x 64, 3,832 classes.

    The shape is that of DaKanji v2: activations within 0..6, which suit int8, and a classifier that sees 128 features.
    Its convolutions are dense and few, because a processor runs one faster than the depthwise ones that would take
    its place; the image is quartered before the wide ones. The pooling learns what each place of the glyph counts
    and begins as the mean.
    """
    x = convolution(scaled(32, architecture.width), 5, architecture.stem_stride or 2, seeds)(image)
    x = _norm_relu6(x)
    for stage, (channels, convolutions) in enumerate(_STAGES):
        count = scaled(convolutions, architecture.depth)
        for number in range(count):
            x = convolution(scaled(channels, architecture.width), 3, 2 if number == 0 else 1, seeds)(x)
            is_mixable = number == count - 1 and stage < len(_STAGES) - 1
            x = _norm_relu6(x, f"{MIXABLE}_{stage + 1}" if is_mixable else None)
    x = layers.Dropout(0.2, seed=seeds.draw())(layers.Flatten()(_weighted_mean(x)))
    return classify(x, classes, seeds, replace(architecture, head_rank=architecture.head_rank or _HEAD_RANK))


def _weighted_mean(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return `[batch, 1, 1, channels]`: a global depthwise convolution (Chen et al. 2018, "MobileFaceNets")."""
    height, width = x.shape[1:3]
    mean = keras.initializers.Constant(1 / (height * width))
    return layers.DepthwiseConv2D((height, width), use_bias=False, depthwise_initializer=mean, name="pooling")(x)


def _norm_relu6(x: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=name)(batch_norm()(x))
