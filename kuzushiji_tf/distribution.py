"""Which devices train: one, or all visible GPUs under `MirroredStrategy`."""

import tensorflow as tf


def make_strategy(devices: list[str] | None = None) -> tf.distribute.Strategy:
    """Return the strategy for the given devices.

    Keras wants one strategy object a process: create it once, and build the model under its scope.

    Args:
        devices: names such as `GPU:0` or `CPU:1`; None means all visible GPUs.

    Returns:
        The default strategy for one device (or none named on a machine without GPUs), else a `MirroredStrategy`.
    """
    if devices is None:
        devices = [f"GPU:{index}" for index in range(len(tf.config.list_logical_devices("GPU")))]
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()
