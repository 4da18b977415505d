"""What native code writes to the error stream is hidden, and the stream is whole again afterwards."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kuzushiji_tf.runtime import native_notes_hidden


def test_native_notes_are_hidden_and_later_ones_are_not(capfd):
    with native_notes_hidden():
        os.write(2, b"a note\n")
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"


def test_an_error_passes_and_the_stream_comes_back(capfd):
    with pytest.raises(ValueError, match="reason"), native_notes_hidden():
        raise ValueError("reason")
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"


def test_threads_take_turns(capfd):
    def hide(_):
        with native_notes_hidden():
            os.write(2, b"a note\n")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hide, range(200)))
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"
