"""A plugin with the work directory of a chain that was never trained, and its export; both are made once a session."""

from pathlib import Path

import pytest

from kuzushiji_tf.transfer.scores import Scoring, ScoringData, load_scoring_data
from kuzushiji_tf.transfer.workdirs import ChainFolder
from tests.toy_chains import modern_recognizer, use_few_characters, write_chain


@pytest.fixture
def few_characters(monkeypatch) -> None:
    """Real data is not looked for, and there are 42 modern characters."""
    use_few_characters(monkeypatch)


@pytest.fixture(scope="session")
def scoring_data() -> ScoringData:
    """All images of the few characters."""
    with pytest.MonkeyPatch.context() as patch:
        use_few_characters(patch)
        return load_scoring_data(None, 1000)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> ChainFolder:
    """The work directory; tests must not change it."""
    return write_chain(tmp_path_factory.mktemp("chain") / "transfer-1")


@pytest.fixture(scope="session")
def exported_chain(untrained, scoring_data, tmp_path_factory) -> Path:
    """Its export, SavedModel included; tests must not change it."""
    from kuzushiji_tf.transfer.exporting import export_chain

    output = tmp_path_factory.mktemp("exported-chain") / "transfer"
    recognizer = modern_recognizer()
    with pytest.MonkeyPatch.context() as patch:
        use_few_characters(patch)
        export_chain(untrained, output, Scoring(scoring_data, recognizer, recognizer))
    return output
