"""TensorFlow as it starts."""

from kuzushiji_tf.runtime import native_notes_hidden


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices without the dozen lines it writes about this, whatever its log level."""
    with native_notes_hidden():
        import tensorflow as tf

        tf.config.list_logical_devices()
