"""Commands that do several things: `data list`, `transfer train`, each action with a class of flags of its own."""

from collections.abc import Iterable
from typing import Any

import tyro

from kuzushiji_tf.errors import unknown_name


def action_defaults(command: str, arguments: list[str], flags: Iterable[type]) -> Any:
    """Refuse an unknown action, with the nearest one; the flags have no defaults beyond those of their classes.

    Args:
        command: e.g. `data`.
        arguments: what follows it.
        flags: the classes of the actions, named after them: `ListFlags` is that of `list`.

    Raises:
        UserError: the first argument is neither a flag nor an action.
    """
    names = [action.__name__.removesuffix("Flags").lower() for action in flags]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in names:
        raise unknown_name(f"action of `{command}`", arguments[0], names)
    return tyro.MISSING_NONPROP
