"""Errors that a person can cause and mend: one sentence that says what, where, and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A condition that the user can mend; commands print its sentence and exit with code 2."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named, or that the work needs, is not there."""

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtraError(UserError, ImportError):
    """What was asked for needs packages of an extra that is not installed."""

    def __str__(self) -> str:
        return str(self.args[0])


def reason_of(error: BaseException) -> str:
    """Return what an error of a library says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not registered, with the nearest known one as a suggestion."""
    known = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[nearest[0]]!r}?" if nearest else "choose one of: " + ", ".join(known) + "."
    return UserError(f"There is no {kind} named {name!r}; {hint}")
