"""Residual networks with pre-activation (He et al. 2016, "Identity Mappings in Deep Residual Networks")."""

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.models.building import (
    Block,
    Seeds,
    classify,
    convolution,
    norm_relu,
    residual_stages,
    scaled,
    skipped_at_random,
)


def preact_resnet20(
    image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of PreAct-ResNet-20; 273,370 parameters at 10 classes, for images of any size.

    Three stages of three basic blocks with 16, 32 and 64 channels: the network that reached the best public accuracy
    per parameter on Kuzushiji-MNIST (hysts/pytorch_image_classification).
    """
    x = convolution(scaled(16, architecture.width), 3, architecture.stem_stride or 1, seeds)(image)
    x = residual_stages(x, _basic_block, ((16, 3, 1), (32, 3, 2), (64, 3, 2)), seeds, architecture)
    return classify(_pooled(x), classes, seeds, architecture)


def preact_resnet18(
    image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of PreActResNet-18; 11,178,826 parameters at 10 classes.

    Four stages of two basic blocks with 64, 128, 256 and 512 channels: the network of the Kuzushiji-MNIST paper, as in
    the reference code of manifold mixup (Verma et al. 2019).
    """
    x = convolution(scaled(64, architecture.width), 3, architecture.stem_stride or 1, seeds)(image)
    stages = ((64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2))
    x = residual_stages(x, _basic_block, stages, seeds, architecture)
    return classify(_pooled(x), classes, seeds, architecture)


def preact_resnet12(
    image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of PreAct-ResNet-12, for thousands of classes of images of 48 to 96 pixels.

    A 5 x 5 convolution of 32 channels and every stage halve the image; two basic blocks of 64, two of 128 and one of
    256 channels follow, and dropout of a fifth. At 64 x 64 pixels it takes 80 million multiplications.
    """
    x = convolution(scaled(32, architecture.width), 5, architecture.stem_stride or 2, seeds)(image)
    x = _pooled(residual_stages(x, _basic_block, ((64, 2, 2), (128, 2, 2), (256, 1, 2)), seeds, architecture))
    return classify(layers.Dropout(0.2, seed=seeds.draw())(x), classes, seeds, architecture)


def _basic_block(x: keras.KerasTensor, block: Block, seeds: Seeds) -> keras.KerasTensor:
    activated = norm_relu(x)
    shortcut = x
    if block.stride != 1 or x.shape[-1] != block.channels:
        shortcut = convolution(block.channels, 1, block.stride, seeds)(activated)
    y = convolution(block.channels, 3, block.stride, seeds)(activated)
    y = convolution(block.channels, 3, 1, seeds)(norm_relu(y))
    return layers.Add(name=block.name)([shortcut, skipped_at_random(y, block.skip, seeds)])


def _pooled(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.GlobalAveragePooling2D()(norm_relu(x))
