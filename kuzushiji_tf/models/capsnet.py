"""The capsule network of Sabour, Frosst and Hinton (2017), "Dynamic Routing Between Capsules".

Implemented as published; nothing of it was tuned for this project's data.
"""

import keras
from keras import layers, ops

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import MIXABLE, Seeds, scaled

LOGIT_SCALE = 10.0  # a class capsule's length is in 0..1; times this, a softmax of them tells classes apart
_ROUTING_ITERATIONS = 3
_PRIMARY_DIMENSIONS, _CLASS_DIMENSIONS = 8, 16
_EPSILON = 1e-7  # keeps the root of a squared length away from 0, where its gradient is infinite
_MOST_VOTES = 2**24  # numbers for one image, 64 MiB; there are eight times as many weights
_SMALLEST_UNPADDED = 20  # pixels; of a smaller image two 9 x 9 convolutions without padding would leave one pixel


def capsnet(image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture) -> keras.KerasTensor:
    """Return `LOGIT_SCALE` times the lengths of the class capsules; 6,804,224 parameters at 28 x 28 and 10 classes.

    256 features of 9 x 9 pixels, 32 primary capsules of 8 dimensions at each of 6 x 6 positions, and a capsule of 16
    dimensions for each class, with three iterations of routing; `architecture.width` multiplies the first two.
    Everything from the primary capsules on computes in float32. An image below 20 pixels is padded, because the
    convolutions would leave nothing of it.

    Raises:
        UserError: too many classes for the size of the image: every primary capsule votes for every class.
    """
    padding = "valid" if min(image.shape[1:3]) >= _SMALLEST_UNPADDED else "same"
    x = layers.Conv2D(
        scaled(256, architecture.width),
        9,
        padding=padding,
        activation="relu",
        kernel_initializer=seeds.he_normal(),
        name=f"{MIXABLE}_1",
    )(image)
    x = layers.Conv2D(
        scaled(32, architecture.width) * _PRIMARY_DIMENSIONS,
        9,
        strides=2,
        padding=padding,
        kernel_initializer=seeds.glorot_uniform(),
    )(x)
    capsules = layers.Reshape((-1, _PRIMARY_DIMENSIONS), dtype="float32", name=f"{MIXABLE}_2")(x)
    if classes * capsules.shape[1] * _CLASS_DIMENSIONS > _MOST_VOTES:
        raise UserError(
            f"capsnet has a matrix for each of {capsules.shape[1]:,} primary capsules and {classes:,} classes, which "
            "do not fit into memory: choose another --model, fewer --classes or a smaller --image-size."
        )
    # A matrix of its own from each primary capsule to each class, with the spread of the authors' code.
    votes = layers.EinsumDense(
        "bid,idjc->bjic",
        (classes, capsules.shape[1], _CLASS_DIMENSIONS),
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.1, seed=seeds.draw()),
        dtype="float32",
        name="votes",
    )(_squash(capsules))
    class_capsules = layers.Reshape((classes, _CLASS_DIMENSIONS), dtype="float32", name="class_capsules")(_route(votes))
    lengths = ops.sqrt(ops.sum(ops.square(class_capsules), axis=-1) + _EPSILON)
    return layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logits")(lengths)


def reconstruction_graph(recognizer: keras.Model, weight: float, seed: int = 0) -> keras.Model:
    """Return a graph for training that shares the recognizer's layers and also learns to redraw the image.

    Its inputs are `image` as the recognizer's and `target`, float32 one-hot `[batch, classes]`; its output is the
    recognizer's `logits`. A decoder (dense 512, 1024 and the pixels) redraws the image from the target's capsule; its
    sum of squared errors, against pixels in 0..1, times the weight and averaged over the batch is added to the loss.

    Args:
        recognizer: a `capsnet`, float32 or mixed precision.
        weight: of the squared errors; 0.0005 in the paper.
        seed: of the decoder's initial weights.
    """
    seeds = Seeds(seed)
    image, capsules = recognizer.inputs[0], recognizer.get_layer("class_capsules").output
    target = keras.Input(capsules.shape[1:2], name="target")
    x = layers.Flatten()(capsules * ops.expand_dims(target, -1))
    x = layers.Dense(512, activation="relu", kernel_initializer=seeds.he_normal())(x)
    x = layers.Dense(1024, activation="relu", kernel_initializer=seeds.he_normal())(x)
    pixels = image.shape[1] * image.shape[2]
    drawn = layers.Dense(pixels, activation="sigmoid", kernel_initializer=seeds.glorot_uniform(), name="drawn")(x)
    logits = RedrawingLoss(weight, name="redrawing_loss")([recognizer.outputs[0], drawn, image])
    return keras.Model({"image": image, "target": target}, logits, name=f"{recognizer.name}_with_decoder")


@keras.saving.register_keras_serializable(package="kuzushiji_tf")
class RedrawingLoss(layers.Layer):
    """Adds the squared error of redrawn images to the loss; returns the first of its inputs.

    Inputs: logits, drawn pixels `[batch, h * w]` in 0..1, the images `[batch, h, w, 1]` in 0..255.
    """

    def __init__(self, weight: float, **settings):
        super().__init__(**settings)
        self.weight = weight

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Return the logits, having added the loss."""
        logits, drawn, image = inputs
        errors = ops.square(drawn - ops.reshape(image, ops.shape(drawn)) / 255)
        self.add_loss(self.weight * ops.mean(ops.sum(errors, axis=-1)))
        return logits

    def get_config(self) -> dict:
        """Return what the layer is made from."""
        return super().get_config() | {"weight": self.weight}


def _route(votes: keras.KerasTensor) -> keras.KerasTensor:
    """Return class capsules `[batch, classes, 1, 16]` of votes `[batch, classes, primary, 16]` (procedure 1).

    The sum of each vote's products with the class's capsule after every iteration is its product with their sum.
    """
    # Each primary capsule begins by giving every class an equal share.
    rounds = [_squash(ops.sum(votes, axis=2, keepdims=True) / votes.shape[1])]
    for _ in range(_ROUTING_ITERATIONS - 1):
        agreement = ops.matmul(votes, ops.swapaxes(sum(rounds[1:], rounds[0]), 2, 3))
        shares = ops.swapaxes(ops.softmax(agreement, axis=1), 2, 3)
        rounds.append(_squash(ops.matmul(shares, votes)))
    return rounds[-1]


def _squash(vectors: keras.KerasTensor) -> keras.KerasTensor:
    """Return vectors of the same direction with lengths in 0..1 (equation 1)."""
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * (squared / (1.0 + squared) * ops.rsqrt(squared + _EPSILON))
