"""Shared fixtures, and how the suite is run; real data is found through KUZUSHIJI_DATA and never copied here."""

import gc
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A cache of its own, not the user's; it outlives the run, since decoding Kuzushiji-Kanji takes a minute. Workers and
# other processes inherit it.
os.environ.setdefault("KUZUSHIJI_CACHE", str(Path.home() / ".cache" / "kuzushiji_tf" / "tests"))

SLOW_LIMIT = 1200  # seconds a test that is marked slow may take; pyproject.toml has the others' limit
# What even .ci/run, which sets KUZUSHIJI_CI, may lack; all else that a test needs was promised to it.
MAY_BE_LACKING = ("this Python's zlib", "user namespaces", "no checkout", "the files of etl", "the files of k49")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Spread whole folders of tests over the processors; a few named files are run here, without starting workers."""
    named = all(".py" in argument for argument in config.args)
    return 0 if named else min(os.cpu_count() or 1, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Fail a test that is skipped for want of what was promised."""
    report = yield
    if os.environ.get("KUZUSHIJI_CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(lacking in reason for lacking in MAY_BE_LACKING):
            report.outcome, report.longrepr = "failed", f"{reason} (KUZUSHIJI_CI is set: nothing may be missing)"
    return report


@pytest.fixture(scope="session", autouse=True)
def _decoded_folders_go(tmp_path_factory) -> Iterator[None]:
    """Remove from the cache, in the end, what was made of this process's temporary folders."""
    yield
    if find_spec("pooch"):  # where data sets cannot be loaded, nothing was decoded
        from kuzushiji_tf.datasets.decoded import list_decoded, remove_decoded

        temporary = tmp_path_factory.getbasetemp().resolve()
        remove_decoded(entry for entry in list_decoded() if entry.source and entry.source.is_relative_to(temporary))


@pytest.fixture(scope="module", autouse=True)
def _old_objects_rest() -> None:
    """Keep the garbage collector from walking all graphs of earlier tests again and again: a fifth of all time."""
    gc.collect()
    gc.freeze()


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
