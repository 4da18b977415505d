"""Keeps the notes that native libraries write to the process's error stream off the screen."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TURN = threading.RLock()  # the error stream is the process's own: two threads must not redirect it at once


@contextmanager
def native_notes_hidden() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere; Python's own exceptions pass as always."""
    with _TURN, tempfile.TemporaryFile() as notes:
        sys.stderr.flush()
        screen = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def start_tensorflow() -> None:
    """Import TensorFlow and find its devices without the dozen lines it writes about this, whatever its log level."""
    with native_notes_hidden():
        import tensorflow as tf

        tf.config.list_logical_devices()
