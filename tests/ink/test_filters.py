"""The filters are SciPy's, without SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from kuzushiji_tf.ink.filters import extreme, mean


@pytest.mark.parametrize("shape", [(5, 7), (48, 30), (1, 1), (20, 1)])
@pytest.mark.parametrize("window", [1, 3, 5, 7, 17])
def test_filters_agree_with_scipy(shape, window):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    largest = ndimage.maximum_filter(values, window, mode="nearest")
    np.testing.assert_array_equal(extreme(values, window, np.maximum), largest)
    smallest = ndimage.minimum_filter(values, (window, 1), mode="nearest")
    np.testing.assert_array_equal(extreme(values, window, np.minimum, (0,)), smallest)
    np.testing.assert_allclose(mean(values, window), ndimage.uniform_filter(values, window, mode="nearest"), atol=1e-5)
