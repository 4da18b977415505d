"""What the model families share: seeded initializers, convolutions, residual sums and the classifier head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
from keras import layers

from kuzushiji_tf.config import Architecture

MIXABLE = "mixable"  # names of layers whose outputs `mixup` may mix begin with this


@dataclass(frozen=True)
class Block:
    """What one residual block is to be."""

    channels: int
    stride: int
    skip: float  # chance to be left out for an image in training
    name: str | None  # of its last layer, where later layers depend on it alone


class Seeds:
    """Hands each layer a seed of its own, so that nothing draws from a global generator."""

    def __init__(self, seed: int):
        self._next = seed * 10_007

    def draw(self) -> int:
        """Return the next seed."""
        self._next += 1
        return self._next

    def he_normal(self) -> keras.initializers.Initializer:
        """Return an initializer for layers followed by a ReLU (He et al. 2015)."""
        return keras.initializers.HeNormal(seed=self.draw())

    def glorot_uniform(self) -> keras.initializers.Initializer:
        """Return Keras's default initializer, seeded (Glorot and Bengio 2010)."""
        return keras.initializers.GlorotUniform(seed=self.draw())


def convolution(channels: int, kernel: int, stride: int, seeds: Seeds) -> layers.Conv2D:
    """Return a convolution without bias, for a batch normalization to follow."""
    return layers.Conv2D(
        channels, kernel, strides=stride, padding="same", use_bias=False, kernel_initializer=seeds.he_normal()
    )


def batch_norm() -> layers.BatchNormalization:
    """Return a batch normalization with the constants of the residual networks' reference code."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


def scaled(number: int, factor: float) -> int:
    """Return a number of channels or blocks times a factor, at least one."""
    return max(1, round(number * factor))


def skipped_at_random(residual: keras.KerasTensor, chance: float, seeds: Seeds) -> keras.KerasTensor:
    """Return a residual that is zero for some images in training (Huang et al. 2016, "... with Stochastic Depth")."""
    if not chance:
        return residual
    return layers.Dropout(chance, noise_shape=(None, 1, 1, 1), seed=seeds.draw())(residual)


def norm_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the values normalized over the batch, then rectified."""
    return layers.ReLU()(batch_norm()(x))


def residual_stages(
    x: keras.KerasTensor,
    build: Callable[[keras.KerasTensor, Block, Seeds], keras.KerasTensor],
    stages: Sequence[tuple[int, int, int]],
    seeds: Seeds,
    architecture: Architecture,
) -> keras.KerasTensor:
    """Return the output of stages of residual blocks.

    Args:
        x: the input.
        build: of one block.
        stages: (channels, blocks, stride of the first block) each, as published.
        seeds: of the initial weights.
        architecture: its `width`, `depth` and `stochastic_depth`.
    """
    counts = [scaled(blocks, architecture.depth) for _, blocks, _ in stages]
    number = 0
    for stage, (channels, _, stride) in enumerate(stages):
        for position in range(counts[stage]):
            number += 1
            is_mixable = position == counts[stage] - 1 and stage < len(stages) - 1
            block = Block(
                scaled(channels, architecture.width),
                stride if position == 0 else 1,
                architecture.stochastic_depth * number / sum(counts),
                f"{MIXABLE}_{stage + 1}" if is_mixable else None,
            )
            x = build(x, block, seeds)
    return x


def classify(features: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return logits `[batch, classes]` of features `[batch, n]`, through `head_rank` features where that is set.

    The last layer computes in float32 whatever the precision of the others, so that the loss is exact.
    """
    if architecture.head_rank:
        features = layers.Dense(
            architecture.head_rank, use_bias=False, kernel_initializer=seeds.glorot_uniform(), name="head"
        )(features)
    return layers.Dense(classes, kernel_initializer=seeds.glorot_uniform(), dtype="float32", name="logits")(features)


def policy_of(precision: str) -> str:
    """Return the name of Keras's dtype policy for a precision: float32, bfloat16 or float16."""
    return "float32" if precision == "float32" else f"mixed_{precision}"
