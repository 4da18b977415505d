"""The libraries underneath: which are installed, in what version, and how their notes are kept off the screen."""

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

from kuzushiji_tf import __version__
from kuzushiji_tf.errors import MissingExtraError, UserError, reason_of

# The modules of each extra that are imported here; what else is imported comes with the package itself.
EXTRAS = {
    "train": (
        "keras",
        "matplotlib",
        "matplotlib_fontja",
        "pooch",
        "requests",
        "scipy",
        "shapely",
        "sklearn",
        "svgelements",
        "tensorboard",
        "tensorflow",
        "tqdm",
    ),
    "serve": ("fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn"),
}
TENSORFLOW_PYTHONS = "3.11 to 3.13"
_REDIRECTING = threading.RLock()  # the error stream is the process's own: two threads must not redirect it at once


@contextmanager
def extra_needed() -> Iterator[None]:
    """Say which extra to install where the block imports a package that is not there.

    Raises:
        MissingExtraError: it belongs to an extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = next((extra for extra, modules in EXTRAS.items() if error.name in modules), None)
        if extra is None:
            raise
        limit = f" (on Python {TENSORFLOW_PYTHONS})" if extra == "train" and sys.version_info >= (3, 14) else ""
        raise MissingExtraError(
            f"The package {error.name} is not installed; install what this needs{limit}: "
            f"pip install 'kuzushiji_tf[{extra}]'"
        ) from None


@contextmanager
def native_notes_hidden() -> Iterator[None]:
    """Send what is written to file descriptor 2, and TensorFlow's log, nowhere; exceptions pass as always."""
    log = logging.getLogger("tensorflow")  # it goes to standard output in a notebook
    with _REDIRECTING, open(os.devnull, "wb") as nowhere:
        sys.stderr.flush()
        screen, before = os.dup(2), log.disabled
        os.dup2(nowhere.fileno(), 2)
        log.disabled = True
        try:
            yield
        finally:
            log.disabled = before
            os.dup2(screen, 2)
            os.close(screen)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package and of others that are installed, by name.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not.
    """
    return {"kuzushiji_tf": __version__} | {name: version(name) for name in packages}


def plugins_of(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages add to this one: the entry points of a group, by name."""
    return {point.name: point for point in entry_points(group=group)}


def load_plugin(point: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        UserError: that fails; the sentence names the package.
    """
    try:
        with native_notes_hidden():  # a model of one's own brings TensorFlow with it
            return point.load()
    except Exception as error:  # other people's code fails in its own ways
        package = point.dist.name if point.dist else "an unknown package"
        raise UserError(
            f"The package {package} offers {point.name!r} as {point.value}, which cannot be imported "
            f"({reason_of(error)}); update or uninstall it."
        ) from error
