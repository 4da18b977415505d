"""Shared fixtures; real data is found through KUZUSHIJI_DATA and never copied into the project."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    folder = os.environ.get("KUZUSHIJI_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("KUZUSHIJI_DATA does not name a folder with the real data sets")
    return Path(folder)


@pytest.fixture
def drawing() -> np.ndarray:
    """White ink on black, uint8 `[60, 40]`."""
    image = np.zeros((60, 40), np.uint8)
    image[10:50, 18:22] = 255
    image[20:24, 8:32] = 255
    return image
