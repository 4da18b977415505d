"""TensorFlow and Keras as they start."""

import os

from kuzushiji_tf.runtime import Interrupts, native_notes_hidden


def share_gpu_memory() -> None:
    """Let TensorFlow, which has not started yet, take a GPU's memory as it is needed, so that others find room too."""
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def start_tensorflow(finds_devices: bool = True) -> None:
    """Import TensorFlow and Keras and find the devices, without the dozen lines written about this at any log level.

    Args:
        finds_devices: False: not yet, since that ends the time in which this machine can join others.
    """
    share_gpu_memory()
    with native_notes_hidden(), Interrupts():
        import keras  # noqa: F401 -- where it is not imported here, a Ctrl-C gets lost in it
        import tensorflow as tf

        if finds_devices:
            tf.config.list_logical_devices()
