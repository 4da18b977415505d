"""Images in memory, for tf.data to gather from."""

import numpy as np
import tensorflow as tf

from kuzushiji_tf.datasets.core import in_lots


def held(images: np.ndarray) -> tf.Variable:
    """Return images uint8 `[n, h, w]` as TensorFlow holds them: once, in the host's memory.

    A constant stands in memory twice as soon as tf.data rewrites a graph that uses it.
    """
    with tf.device("CPU:0"):
        variable = tf.Variable(tf.zeros(images.shape, tf.uint8), trainable=False)
        for lot in in_lots(len(images)):  # whole, there would be three of them for a moment
            rows = tf.range(lot.start, lot.stop)
            variable.scatter_update(tf.IndexedSlices(images[lot], rows))
    return variable
