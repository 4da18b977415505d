"""Which versions a run or an exported file was made with."""

from collections.abc import Iterable
from importlib.metadata import version

from kuzushiji_tf import __version__


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of this package and of others that are installed, by name.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not.
    """
    return {"kuzushiji_tf": __version__} | {name: version(name) for name in packages}
