"""TensorFlow and Keras as they start."""

from kuzushiji_tf.runtime import Interrupts, native_notes_hidden


def start_tensorflow() -> None:
    """Import TensorFlow and Keras and find the devices, without the dozen lines written about this at any log level."""
    with native_notes_hidden(), Interrupts():
        import keras  # noqa: F401 -- where it is not imported here, a Ctrl-C gets lost in it
        import tensorflow as tf

        tf.config.list_logical_devices()
