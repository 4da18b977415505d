"""A plugin for test files that name it in `pytest_plugins`: a small recognizer and its export, and briefer exports."""

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
    from kuzushiji_tf.exporting.folders import ExportOptions, export_model
    from kuzushiji_tf.exporting.sources import EvaluationSet, Source

    dataset, model = learned
    folder = tmp_path_factory.mktemp("exported") / "patterns"
    export_model(
        model,
        Source(
            dataset.classes,
            dataset.images[:50],
            {"test": EvaluationSet(dataset, dataset.content_hash)},
            about={"name": "patterns"},
        ),
        folder,
        ExportOptions(dynamic_size=True),
    )
    return folder


@pytest.fixture
def only_int8(monkeypatch) -> None:
    """Leave out the conversions that a test does not look at."""
    _convert_only(monkeypatch, "write_int8")


@pytest.fixture
def only_float32(monkeypatch) -> None:
    """Leave out the conversions that a test does not look at."""
    _convert_only(monkeypatch, "write_float32")


def _convert_only(monkeypatch, kept: str) -> None:
    from kuzushiji_tf.exporting import conversion

    for name in {"write_saved_model", "write_float32", "write_float16", "write_int8"} - {kept}:
        monkeypatch.setattr(conversion, name, lambda *arguments: None)
