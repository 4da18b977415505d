"""The floor that a network has to beat: the nearest training images decide, as they are or by principal components."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from kuzushiji_tf.config import Neighbors, TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.arrays import read_whole_npz
from kuzushiji_tf.errors import UserError, reason_of
from kuzushiji_tf.files import atomic_path
from kuzushiji_tf.models.registry import NEIGHBOR_MODELS

PLAIN, COMPONENTS = NEIGHBOR_MODELS


def is_neighbors(model_name: str) -> bool:
    """Return whether a model of this name keeps its training images instead of learning from them."""
    return model_name in NEIGHBOR_MODELS


def fit_neighbors(config: TrainingConfig, dataset: CharacterDataset, rows: np.ndarray) -> dict[str, Any]:
    """Return a nearest-neighbor model of the given rows, as `save_neighbors` takes it.

    The neighbors are the published ones of Kuzushiji-MNIST (rois-codh/kmnist, benchmarks/kuzushiji_mnist_knn.py), the
    60 principal components those of its README's second row (rois-codh/kmnist, issue 10).

    Args:
        config: `model` and `neighbors`.
        rows: int `[n]`, the training rows of the data set.

    Raises:
        UserError: fewer rows than neighbors or components, or a choice that the model does not have.
    """
    settings = config.neighbors
    by_components = config.model == COMPONENTS
    if not by_components and settings.components != Neighbors().components:
        raise UserError(f"neighbors.components is a choice of {COMPONENTS}; {PLAIN} compares pixels: leave it out.")
    if len(rows) < settings.neighbors:
        raise UserError(f"neighbors.neighbors is {settings.neighbors}, but there are only {len(rows)} training images.")
    images = np.ascontiguousarray(dataset.images[rows])
    learned = {"images": images, "labels": dataset.labels[rows]}
    if by_components:
        learned |= _principal_components(images, settings.components)
    # Plain strings and numbers only, so that the file is read without unpickling anything.
    choices: dict[str, Any] = {
        "classes": len(dataset.classes),
        "neighbors": settings.neighbors,
        "weighting": settings.weighting,
    }
    return learned | choices


def save_neighbors(model: dict[str, Any], path: Path) -> dict[str, int]:
    """Write a nearest-neighbor model to an `.npz` file, and return its figure: `parameters`, the stored values."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **model)
    return {"parameters": sum(values.size for values in model.values() if isinstance(values, np.ndarray))}


def load_neighbors(path: Path) -> tuple[tuple[int, int], int, Callable[[np.ndarray], np.ndarray]]:
    """Load a nearest-neighbor model.

    Returns:
        Image size (height, width), number of classes, and the function from images uint8 `[n, h, w]` to probabilities
        float32 `[n, classes]`: each class's share of the neighbors' weights, 0 for a class without training images.

    Raises:
        UserError: it is not such a file.
    """
    parts = _read(path)
    project = _projection(parts)
    classes = int(parts["classes"])
    # float32 at both sides is what scikit-learn compares fastest; brute force is exact.
    found = KNeighborsClassifier(
        int(parts["neighbors"]), weights=str(parts["weighting"]), algorithm="brute", metric="euclidean"
    ).fit(project(parts["images"]), parts["labels"])

    def run(images: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(images), classes), np.float32)
        if len(images):
            probabilities[:, found.classes_] = found.predict_proba(project(images))
        return probabilities

    return parts["images"].shape[1:], classes, run


def _principal_components(images: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return `mean` `[pixels]` and `components` `[count, pixels]`, float32, of images uint8 `[n, h, w]`."""
    pixels = images.reshape(len(images), -1)
    most = min(pixels.shape)
    if count > most:
        raise UserError(f"neighbors.components is {count}; these training images have at most {most}.")
    # The exact solver: the components do not depend on a seed.
    analysis = PCA(count, svd_solver="covariance_eigh").fit(pixels.astype(np.float64))
    return {"mean": analysis.mean_.astype(np.float32), "components": analysis.components_.astype(np.float32)}


def _projection(parts: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images uint8 `[n, h, w]` to what is compared, float32 `[n, values]`."""

    def flatten(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32)

    if "components" not in parts:
        return flatten
    return lambda images: (flatten(images) - parts["mean"]) @ parts["components"].T


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a nearest-neighbor model that fit together."""
    try:
        parts = read_whole_npz(path, path)
        images, labels = parts["images"], parts["labels"]
        is_model = (
            (images.dtype, images.ndim, labels.dtype, labels.shape) == (np.uint8, 3, np.int32, images.shape[:1])
            and 1 <= int(parts["neighbors"]) <= len(images)
            and str(parts["weighting"]) in ("distance", "uniform")
            and 0 <= labels.min() <= labels.max() < int(parts["classes"])
            and (
                "components" not in parts
                or parts["components"].shape[1:] == parts["mean"].shape == images[0].ravel().shape
            )
        )
    except Exception as error:  # zip, header and conversion errors share no base class
        raise UserError(f"{path} is not a nearest-neighbor model ({reason_of(error)}); train it again.") from error
    if not is_model:
        raise UserError(f"{path} is not a nearest-neighbor model: its arrays do not fit together; train it again.")
    return parts
