"""Every benchmark still finds what it measures."""

import importlib
from pathlib import Path

import leaderboard
import pytest

BENCHMARKS = sorted(path.stem for path in Path(leaderboard.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_finds_all_that_it_imports(name):
    assert importlib.import_module(name).__doc__
