"""The libraries underneath: which are installed, in what version, and how their notes are kept off the screen."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points, version
from types import FrameType, TracebackType
from typing import Any, NoReturn

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


class Terminated(KeyboardInterrupt):
    """SIGTERM: it ends a command as Ctrl-C does, with an exit code of its own."""


def _raise_terminated(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- as `signal` calls it
    raise Terminated


@contextmanager
def termination_raised() -> Iterator[None]:
    """Raise `Terminated` in the block at SIGTERM, unless somebody else handles that or this is not the main thread."""
    is_ours = _in_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interrupts:
    """Lets no Ctrl-C, and no SIGTERM that is raised, get lost in a block, whose end raises it again if need be.

    Python prints and drops what is raised inside a destructor, and some libraries catch whatever is raised as they are
    imported, so that a command would continue now and then.

    Args:
        patient: the first is not raised where it comes, but by `check` or the end of the block; the second is.
    """

    def __init__(self, patient: bool = False) -> None:
        self._patient = patient
        self._noted: type[KeyboardInterrupt] | None = None
        self._earlier: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> "Interrupts":
        # A handler of somebody else's is left alone, and other threads than the main one get no signals.
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, _raise_terminated)):
            if _in_main_thread() and signal.getsignal(number) is handler:
                self._earlier[number] = handler
                signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        if not isinstance(error, KeyboardInterrupt):
            self.check()

    @property
    def has_come(self) -> bool:
        """Whether there is one for `check` to raise."""
        return self._noted is not None

    def check(self) -> None:
        """Raise what has got lost, or waits.

        Raises:
            KeyboardInterrupt: Ctrl-C or, as `Terminated`, SIGTERM.
        """
        if self._noted:
            raise self._noted

    def _note(self, number: int, frame: FrameType | None) -> None:
        waits = self._patient and self._noted is None
        self._noted = KeyboardInterrupt if number == signal.SIGINT else Terminated
        if not waits:
            self._earlier[number](number, frame)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


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
