"""What the values of settings have to be, and the sentence that names the one that is not."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from kuzushiji_tf.errors import UserError

SMALLEST_SIZE = 8  # pixels; the smallest image that a model takes
LARGEST_SIZE = 1024  # pixels; more than any character needs
LARGEST_NUMBER = 2**31 - 1  # what TensorFlow counts with holds no larger ones


@dataclass(frozen=True)
class Rule:
    """What a number has to be, and how a sentence says so."""

    holds: Callable[[float], bool]
    says: str


AT_LEAST_ONE = Rule(lambda value: value >= 1, "be at least 1")
POSITIVE = Rule(lambda value: value > 0, "be above 0")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "not be negative")
BELOW_ONE = Rule(lambda value: 0 <= value < 1, "be in 0 <= value < 1")


def at_most(limit: int) -> Rule:
    """Return the rule that a number is not above a limit."""
    return Rule(lambda value: value <= limit, f"be at most {limit:,}")


def require_finite(settings: Any, prefix: str = "") -> None:
    """Check that no setting of a config is infinite, not a number, or a whole number beyond `LARGEST_NUMBER`.

    Raises:
        UserError: one is; `prefix` stands before its name.
    """
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise UserError(f"{prefix}{setting.name} is {value}; it must be a finite number.")
        if isinstance(value, int) and value > LARGEST_NUMBER:
            raise UserError(f"{prefix}{setting.name} is {value}; it must be at most {LARGEST_NUMBER:,}.")


def require(rule: Rule, settings: Any, names: Iterable[str], prefix: str = "") -> None:
    """Check some settings of a config by a rule.

    Raises:
        UserError: one breaks it; `prefix` stands before its name.
    """
    for name in names:
        if not rule.holds(getattr(settings, name)):
            raise UserError(f"{prefix}{name} is {getattr(settings, name)}; it must {rule.says}.")
