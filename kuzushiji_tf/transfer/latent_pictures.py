"""What an autoencoder sees, in TensorBoard: images beside their reconstructions, and a walk through latent space."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kuzushiji_tf.transfer.gaussians import split_posterior

SIDE = 8  # images, of each grid
_TIMES = 10  # a run


class LatentPictures(keras.callbacks.Callback):
    """Draws, some ten times in a run, held-out images above their reconstructions, and a grid of the latent space.

    The grid's corners are the latent vectors of four of the images; between them it is bilinear.

    Args:
        folder: of the event files.
        encoder, decoder: of the autoencoder in training.
        images: held-out ones, uint8 `[n, 64, 64]`, at least one.
        epochs: of the run.
    """

    def __init__(self, folder: Path, encoder: keras.Model, decoder: keras.Model, images: np.ndarray, epochs: int):
        super().__init__()
        self._folder, self._encoder, self._decoder, self._epochs = folder, encoder, decoder, epochs
        self._images = images[np.linspace(0, len(images) - 1, SIDE * SIDE // 2).astype(int)]

    def on_train_begin(self, _logs=None):
        self._writer = tf.summary.create_file_writer(str(self._folder / "pictures"))

    def on_epoch_end(self, epoch, _logs=None):
        if (epoch + 1) % max(1, self._epochs // _TIMES) and epoch + 1 < self._epochs:
            return
        means, _ = split_posterior(np.asarray(self._encoder(self._images[..., None].astype(np.float32))))
        pairs = np.stack([self._images.reshape(-1, SIDE, 64, 64), self._drawn(means).reshape(-1, SIDE, 64, 64)], axis=1)
        with self._writer.as_default():
            tf.summary.image("reconstructions", _tiled(pairs.reshape(-1, SIDE, 64, 64)), step=epoch + 1)
            walked = self._drawn(bilinear(means[:: SIDE + 1][:4], SIDE)).reshape(SIDE, SIDE, 64, 64)
            tf.summary.image("latent space", _tiled(walked), step=epoch + 1)
        self._writer.flush()

    def _drawn(self, z: np.ndarray) -> np.ndarray:
        return (np.asarray(self._decoder(z))[..., 0] * 255).round().astype(np.uint8)


def bilinear(corners: np.ndarray, side: int) -> np.ndarray:
    """Return a grid between four points `[4, latent]`, row by row: float32 `[side * side, latent]`."""
    right = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    top, bottom = ((1 - right) * one + right * other for one, other in (corners[:2], corners[2:]))
    down = right[:, None]
    return ((1 - down) * top + down * bottom).reshape(side * side, -1)


def _tiled(images: np.ndarray) -> np.ndarray:
    """Return images `[rows, columns, height, width]` as one, `[1, rows * height, columns * width, 1]`."""
    rows, columns, height, width = images.shape
    return images.transpose(0, 2, 1, 3).reshape(1, rows * height, columns * width, 1)
