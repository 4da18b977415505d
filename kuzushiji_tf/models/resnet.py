"""Residual networks as first published (He et al. 2016, "Deep Residual Learning for Image Recognition")."""

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import (
    Block,
    Seeds,
    batch_norm,
    classify,
    convolution,
    norm_relu,
    residual_stages,
    scaled,
    skipped_at_random,
)

_STAGES = ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2))  # channels, blocks and stride


def resnet18(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits of ResNet-18 for small images; 11,182,410 parameters at 10 classes.

    Its first convolution is 3 x 3 with stride 1 and no pooling follows, so that a glyph of 28 pixels keeps its strokes.
    """
    x = convolution(scaled(64, architecture.width), 3, architecture.stem_stride or 1, seeds)(image)
    return _classified(norm_relu(x), classes, seeds, architecture)


def resnet18_classic(
    image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of ResNet-18 as published for photographs; 11,184,970 parameters at 10 classes.

    A 7 x 7 convolution with stride 2 and a pooling halve the image twice before the first block: the network of the
    Kuzushiji-MNIST ensemble (ranihorev/Kuzushiji_MNIST), with the paper's one linear layer as classifier.
    """
    x = convolution(scaled(64, architecture.width), 7, architecture.stem_stride or 2, seeds)(image)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(norm_relu(x))
    return _classified(x, classes, seeds, architecture)


def _classified(x: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return the logits after the four stages; all but the first halve the image."""
    x = residual_stages(x, _basic_block, _STAGES, seeds, architecture)
    return classify(layers.GlobalAveragePooling2D()(x), classes, seeds, architecture)


def _basic_block(x: keras.KerasTensor, block: Block, seeds: Seeds) -> keras.KerasTensor:
    shortcut = x
    if block.stride != 1 or x.shape[-1] != block.channels:
        shortcut = batch_norm()(convolution(block.channels, 1, block.stride, seeds)(x))
    y = norm_relu(convolution(block.channels, 3, block.stride, seeds)(x))
    y = batch_norm()(convolution(block.channels, 3, 1, seeds)(y))
    return layers.ReLU(name=block.name)(layers.Add()([shortcut, skipped_at_random(y, block.skip, seeds)]))
