"""A plugin with a small recogniser and its export, made once for all test files that name it in `pytest_plugins`."""

from pathlib import Path

import pytest

from tests.tiny import bars_dataset, trained


@pytest.fixture(scope="session")
def learned() -> tuple:
    """A data set of ten easy classes and a Keras model (logits) that knows them."""
    dataset = bars_dataset(400)
    return dataset, trained(dataset, epochs=4)


@pytest.fixture(scope="session")
def exported(learned, tmp_path_factory) -> Path:
    """The exported folder of the model of `learned`; tests must not change it."""
    from kuzushiji_tf.exporting import export_model
    from kuzushiji_tf.model_card import EvaluationSet

    dataset, model = learned
    folder = tmp_path_factory.mktemp("exported") / "patterns"
    export_model(
        model,
        dataset.classes,
        folder,
        representative_images=dataset.images[:50],
        test_sets={"test": EvaluationSet(dataset, dataset.content_hash)},
        about={"name": "patterns"},
        dynamic_size=True,
    )
    return folder
