"""TensorFlow's start: a Ctrl-C is never lost in it."""

import os
import signal
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from kuzushiji_tf.batches.startup import start_tensorflow


def test_a_ctrl_c_that_tensorflow_swallows_as_it_starts_is_raised(monkeypatch):
    def swallow():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    config = SimpleNamespace(list_logical_devices=swallow)
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace())  # which would import the other
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_tensorflow()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, earlier)


@pytest.mark.parametrize(("before", "after"), [(None, "true"), ("false", "false")])
def test_a_gpus_memory_is_taken_as_it_is_needed_unless_somebody_said_otherwise(monkeypatch, before, after):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    if before:
        monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", before)
    start_tensorflow()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == after
