"""What `--json` prints: a command's answer, in one line, alone on standard output."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

from kuzushiji_tf.errors import UserError


class SomeFailedError(UserError):
    """Some of several things could not be done; the others are.

    Attributes:
        answer: of the command, all the same.
    """

    def __init__(self, sentence: str, answer: dict[str, Any]):
        super().__init__(sentence)
        self.answer = answer


def run_and_answer(run: Callable[[Any], dict[str, Any] | None], flags: Any) -> None:
    """Run a command, and print what it returns where its flags ask for JSON; all else then goes to standard error."""
    if not getattr(flags, "json", False):
        run(flags)
        return
    try:
        with redirect_stdout(sys.stderr):
            answer = run(flags)
    except SomeFailedError as failure:
        _print(failure.answer)
        raise
    _print(answer)


def _print(answer: dict[str, Any] | None) -> None:
    print(json.dumps(answer, ensure_ascii=False), flush=True)
