"""Errors that a person can cause and mend: one sentence that says what, where, and what to do."""

import difflib
import re
from collections.abc import Iterable

_SHOWN = 100  # characters of a value that somebody wrote
_LONGEST, _END = 2000, 500  # characters of a sentence, and of its end, which says what to do
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class UserError(ValueError):
    """A condition that the user can mend; commands print its sentence and exit with code 2.

    Names and values that others chose stand in it: it is one line of limited length whatever these hold, and nothing
    in it moves a terminal's cursor.
    """

    def __str__(self) -> str:
        sentence = _UNPRINTABLE.sub("\ufffd", str(self.args[0]) if self.args else "")
        return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - _END]} ... {sentence[-_END:]}"


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named, or that the work needs, is not there."""


class MissingExtraError(UserError, ImportError):
    """What was asked for needs packages of an extra that is not installed."""


def reason_of(error: BaseException) -> str:
    """Return what an error of a library says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shown(value: object) -> str:
    """Return a value as a sentence shows it: its representation, shortened, whatever somebody wrote."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, or what is nested too deeply
        return f"that {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not registered, with the nearest known one as a suggestion."""
    known = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[nearest[0]]!r}?" if nearest else "choose one of: " + ", ".join(known) + "."
    return UserError(f"There is no {kind} named {shown(name)}; {hint}")
