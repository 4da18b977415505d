"""Residual networks as first published (He et al. 2016, "Deep Residual Learning for Image Recognition")."""

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import (
    MIXABLE,
    Seeds,
    batch_norm,
    classify,
    convolution,
    scaled,
    skipped_at_random,
)

_STAGES = ((64, 2), (128, 2), (256, 2), (512, 2))  # channels and blocks


def resnet18(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of ResNet-18 for small images; 11,182,410 parameters at 10 classes.

    Its first convolution is 3 x 3 with stride 1 and no pooling follows, so that a glyph of 28 pixels keeps its strokes.
    """
    x = convolution(scaled(64, architecture.width), 3, architecture.stem_stride or 1, seeds)(image)
    return _classified(_norm_relu(x), classes, seeds, architecture)


def resnet18_classic(
    image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of ResNet-18 as published for photographs; 11,184,970 parameters at 10 classes.

    A 7 x 7 convolution with stride 2 and a pooling halve the image twice before the first block: the network of the
    Kuzushiji-MNIST ensemble (ranihorev/Kuzushiji_MNIST), with the paper's one linear layer as classifier.
    """
    x = convolution(scaled(64, architecture.width), 7, architecture.stem_stride or 2, seeds)(image)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(_norm_relu(x))
    return _classified(x, classes, seeds, architecture)


def _classified(x: keras.KerasTensor, classes: int, seeds: Seeds, choice: Architecture) -> keras.KerasTensor:
    """Return the logits after the four stages; all but the first halve the image."""
    stages = [(scaled(channels, choice.width), scaled(blocks, choice.depth)) for channels, blocks in _STAGES]
    total, number = sum(blocks for _, blocks in stages), 0
    for stage, (channels, blocks) in enumerate(stages):
        for block in range(blocks):
            number += 1
            stride = 2 if block == 0 and stage > 0 else 1
            name = f"{MIXABLE}_{stage + 1}" if block == blocks - 1 and stage < len(stages) - 1 else None
            x = _basic_block(x, channels, stride, seeds, choice.stochastic_depth * number / total, name)
    return classify(layers.GlobalAveragePooling2D()(x), classes, seeds, choice)


def _basic_block(
    x: keras.KerasTensor, channels: int, stride: int, seeds: Seeds, skip: float, name: str | None
) -> keras.KerasTensor:
    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = batch_norm()(convolution(channels, 1, stride, seeds)(x))
    y = _norm_relu(convolution(channels, 3, stride, seeds)(x))
    y = batch_norm()(convolution(channels, 3, 1, seeds)(y))
    return layers.ReLU(name=name)(layers.Add()([shortcut, skipped_at_random(y, skip, seeds)]))


def _norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(batch_norm()(x))
