"""Residual networks with pre-activation (He et al. 2016, "Identity Mappings in Deep Residual Networks")."""

import keras
from keras import layers

from kuzushiji_tf.models.building import Seeds, logits_layer


def preact_resnet20(image: keras.KerasTensor, classes: int, seeds: Seeds) -> keras.KerasTensor:
    """Return the logits of PreAct-ResNet-20; 273,370 parameters at 10 classes, for images of any size.

    Three stages of three basic blocks with 16, 32 and 64 channels: the network that reached the best public accuracy
    per parameter on Kuzushiji-MNIST (hysts/pytorch_image_classification).
    """
    x = _convolution(16, 3, 1, seeds)(image)
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(3):
            x = _basic_block(x, channels, 2 if stage > 0 and block == 0 else 1, seeds)
    x = layers.GlobalAveragePooling2D()(_norm_relu(x))
    return logits_layer(classes, seeds)(x)


def preact_resnet12(image: keras.KerasTensor, classes: int, seeds: Seeds) -> keras.KerasTensor:
    """Return the logits of PreAct-ResNet-12, for thousands of classes of images of 48 to 96 pixels.

    A 5 x 5 convolution of 32 channels and every stage halve the image; two basic blocks of 64, two of 128 and one of
    256 channels follow, and dropout of a fifth. At 64 x 64 pixels it takes 80 million multiplications.
    """
    x = _convolution(32, 5, 2, seeds)(image)
    for channels, blocks in ((64, 2), (128, 2), (256, 1)):
        for block in range(blocks):
            x = _basic_block(x, channels, 2 if block == 0 else 1, seeds)
    x = layers.GlobalAveragePooling2D()(_norm_relu(x))
    x = layers.Dropout(0.2, seed=seeds.draw())(x)
    return logits_layer(classes, seeds)(x)


def _basic_block(x: keras.KerasTensor, channels: int, stride: int, seeds: Seeds) -> keras.KerasTensor:
    activated = _norm_relu(x)
    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = _convolution(channels, 1, stride, seeds)(activated)
    y = _convolution(channels, 3, stride, seeds)(activated)
    y = _convolution(channels, 3, 1, seeds)(_norm_relu(y))
    return layers.Add()([shortcut, y])


def _norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))


def _convolution(channels: int, kernel: int, stride: int, seeds: Seeds) -> layers.Conv2D:
    return layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, kernel_initializer=seeds.he_normal()
    )
