"""The convolutional variational autoencoder of World Models (Ha and Schmidhuber 2018, appendix A.1), at one channel."""

from typing import Any

import keras
from keras import layers, ops

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.building import Seeds, policy_of, scaled
from kuzushiji_tf.transfer.gaussians import LATENT, bounded, kl_divergence, sample_posterior, split_posterior
from kuzushiji_tf.transfer.modern import IMAGE_SIZE

KL_FLOOR = 0.5  # nats for each latent dimension
LOG_VARIANCE_BOUND = 10.0  # variances stay within e^-10 .. e^10, so that none of what is made of them overflows

_ENCODER_CHANNELS = (32, 64, 128, 256)
_DECODER_UNITS = 1024
_DECODER_KERNELS = ((128, 5), (64, 5), (32, 6))  # (channels, size); another of size 6 draws the pixels


def build_encoder(width: float = 1.0, latent: int = LATENT, seed: int = 0, precision: str = "float32") -> keras.Model:
    """Return a new encoder; 820,320 parameters at width 1 and 64 dimensions.

    Its input is `image`, float32 or uint8 `[batch, 64, 64, 1]`, 0..255, ink white on black, scaled in the graph; its
    output float32 `[batch, 2 * latent]`, which `split_posterior` takes apart.

    Args:
        width: factor of the numbers of channels.
        latent: dimensions of the latent space; 32 in the source.
        seed: of the initial weights.
        precision: of the layers' arithmetic: float32, bfloat16 or float16 (weights and output stay float32).
    """
    seeds, policy = Seeds(seed), policy_of(precision)
    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="image")
    x = layers.Rescaling(1 / 255, dtype=policy, name="scale")(image)
    for channels in _ENCODER_CHANNELS:
        x = layers.Conv2D(
            scaled(channels, width),
            4,
            strides=2,
            activation="relu",
            kernel_initializer=seeds.glorot_uniform(),
            dtype=policy,
        )(x)
    x = layers.Flatten(dtype=policy)(x)
    mean, log_variance = (
        layers.Dense(latent, kernel_initializer=seeds.glorot_uniform(), dtype="float32", name=part)(x)
        for part in ("mean", "log_variance")
    )
    log_variance = Bounded(LOG_VARIANCE_BOUND, dtype="float32")(log_variance)
    posterior = layers.Concatenate(dtype="float32", name="posterior")([mean, log_variance])
    return keras.Model(image, posterior, name="encoder")


def build_decoder(width: float = 1.0, latent: int = LATENT, seed: int = 0, precision: str = "float32") -> keras.Model:
    """Return a new decoder; 3,623,265 parameters at width 1 and 64 dimensions.

    Its input is `z`, float32 `[batch, latent]`; its output float32 `[batch, 64, 64, 1]`, ink in 0..1.

    Args:
        width, latent, seed, precision: as `build_encoder` takes them.
    """
    seeds, policy = Seeds(seed), policy_of(precision)
    z = keras.Input((latent,), name="z")
    units = scaled(_DECODER_UNITS, width)
    x = layers.Dense(units, kernel_initializer=seeds.glorot_uniform(), dtype=policy)(z)
    x = layers.Reshape((1, 1, units), dtype=policy)(x)
    for channels, kernel in _DECODER_KERNELS:
        x = layers.Conv2DTranspose(
            scaled(channels, width),
            kernel,
            strides=2,
            activation="relu",
            kernel_initializer=seeds.glorot_uniform(),
            dtype=policy,
        )(x)
    ink = layers.Conv2DTranspose(
        1, 6, strides=2, activation="sigmoid", kernel_initializer=seeds.glorot_uniform(), dtype="float32", name="ink"
    )(x)
    return keras.Model(z, ink, name="decoder")


def build_vae(encoder: keras.Model, decoder: keras.Model, seed: int = 0) -> keras.Model:
    """Return the graph that trains an encoder and a decoder together: its layers `encoder` and `decoder`.

    Its input is the encoder's, its outputs are `reconstruction` `[batch, 64, 64, 1]` in 0..1, of a latent vector
    sampled in training and of the mean otherwise, and `posterior` `[batch, 2 * latent]`.

    Args:
        seed: of the sampling.

    Raises:
        UserError: the two differ in the dimensions of their latent space.
    """
    dimensions, latent = encoder.outputs[0].shape[-1] // 2, decoder.inputs[0].shape[-1]
    if dimensions != latent:
        raise UserError(
            f"The encoder has {dimensions} latent dimensions and the decoder {latent}: build both with the same number."
        )
    image = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="image")
    posterior = encoder(image)
    z = SamplePosterior(seed, dtype="float32", name="z")(posterior)
    return keras.Model(image, {"reconstruction": decoder(z), "posterior": posterior}, name="vae")


def compile_vae(vae: keras.Model, learning_rate: Any = 1e-4, floor: float = KL_FLOOR, jit: bool = False) -> keras.Model:
    """Compile the graph of `build_vae` with the published losses and Adam; returns it.

    It then fits batches (images, `vae_targets(images)`) and reports `reconstruction_loss`, `posterior_loss` (the KL
    divergence, with its floor) and `posterior_kl` (without).

    Args:
        learning_rate: a number or a schedule.
        floor: as `FreeBits` takes it.
        jit: compile the step with XLA.
    """
    vae.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss={"reconstruction": SquaredError(), "posterior": FreeBits(floor)},
        metrics={"posterior": [KLDivergence()]},
        jit_compile=jit,
    )
    return vae


def vae_targets(images: Any) -> dict[str, Any]:
    """Return what `fit` takes as targets for images `[batch, 64, 64, 1]`, 0..255; the posterior's are not looked at."""
    return {"reconstruction": images, "posterior": images}


@keras.saving.register_keras_serializable("kuzushiji_tf")
class Bounded(layers.Layer):
    """Holds values within -bound .. bound, as the function `bounded` does."""

    def __init__(self, bound: float, **kwargs):
        super().__init__(**kwargs)
        self._bound = bound

    def call(self, values):
        return bounded(values, self._bound, ops)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"bound": self._bound}


@keras.saving.register_keras_serializable("kuzushiji_tf")
class SamplePosterior(layers.Layer):
    """Samples a latent vector `[batch, latent]` from a posterior in training; returns its mean otherwise.

    Args:
        seed: of the sampling.
    """

    def __init__(self, seed: int, **kwargs):
        super().__init__(**kwargs)
        self._seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, posterior, training=False):
        mean, _ = split_posterior(posterior)
        if not training:
            return mean
        normals = keras.random.normal(ops.shape(mean), dtype=self.compute_dtype, seed=self._generator)
        return sample_posterior(posterior, normals, ops)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)

    def get_config(self):
        return super().get_config() | {"seed": self._seed}


@keras.saving.register_keras_serializable("kuzushiji_tf")
class SquaredError(keras.losses.Loss):
    """The sum over an image's pixels of squared errors: `y_true` holds images 0..255, `y_pred` drawn ones 0..1."""

    def __init__(self, **kwargs):
        super().__init__(**({"name": "squared_error"} | kwargs))

    def call(self, y_true, y_pred):
        """Return the loss of each image, `[batch]`."""
        return ops.sum(ops.square(y_true / 255 - y_pred), axis=(1, 2, 3))


@keras.saving.register_keras_serializable("kuzushiji_tf")
class FreeBits(keras.losses.Loss):
    """The KL divergence of each posterior in `y_pred`, not below a floor: an image under it gives no gradient.

    `y_true` is not looked at. The floor holds for the sum over the dimensions, as in the code of World Models.

    Args:
        floor: nats for each latent dimension.
    """

    def __init__(self, floor: float = KL_FLOOR, **kwargs):
        super().__init__(**({"name": "free_bits"} | kwargs))
        self.floor = floor

    def call(self, y_true, y_pred):  # noqa: ARG002  Keras's signature
        """Return the loss of each image, `[batch]`."""
        return ops.maximum(kl_divergence(y_pred, ops), self.floor * (y_pred.shape[-1] // 2))

    def get_config(self):
        return super().get_config() | {"floor": self.floor}


@keras.saving.register_keras_serializable("kuzushiji_tf")
class KLDivergence(keras.metrics.Mean):
    """The mean KL divergence of the posteriors in `y_pred`, whatever the floor."""

    def __init__(self, name: str = "kl", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002  Keras's signature
        super().update_state(kl_divergence(y_pred, ops), sample_weight)
