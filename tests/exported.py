"""A plugin with a small recogniser and its export, made once for all test files that name it in `pytest_plugins`."""

from pathlib import Path

import pytest

from tests.making import random_dataset
from tests.tiny import SIZE, trained


@pytest.fixture(scope="session")
def learned() -> tuple:
    """A data set of ten random patterns and a Keras model (logits) that knows them."""
    dataset = random_dataset(400, SIZE, learnable=True)
    return dataset, trained(dataset, epochs=4)


@pytest.fixture(scope="session")
def exported(learned, tmp_path_factory) -> Path:
    """The exported folder of the model of `learned`; tests must not change it."""
    from kuzushiji_tf.exporting import export_model
    from kuzushiji_tf.model_card import TestSet

    dataset, model = learned
    folder = tmp_path_factory.mktemp("exported") / "patterns"
    export_model(
        model,
        dataset.classes,
        folder,
        representative_images=dataset.images[:50],
        test_sets={"test": TestSet(dataset, dataset.content_hash)},
        about={"name": "patterns"},
        dynamic_size=True,
    )
    return folder
