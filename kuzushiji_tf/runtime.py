"""The libraries underneath: which versions are installed, and how their notes are kept off the screen."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from kuzushiji_tf import __version__

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


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package and of others that are installed, by name.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not.
    """
    return {"kuzushiji_tf": __version__} | {name: version(name) for name in packages}
