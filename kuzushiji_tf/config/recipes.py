"""Configs from TOML recipes and from JSON: typed, and one sentence for what is wrong."""

import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kuzushiji_tf.config.training import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of, shown, unknown_name
from kuzushiji_tf.files import read_text

Config = TypeVar("Config")
SCHEMA = 1  # of config.json and of cards: one more whenever what stands there means something else than before
_LEADERBOARD = "leaderboard"
_LARGEST_INTEGER = 10**300  # beyond, it is no float, and beyond 4,300 digits Python does not print it


@dataclass(frozen=True)
class Leaderboard:
    """What a recipe's table `[leaderboard]` says about its row of results; the training ignores it."""

    published: float | None = None  # the accuracy that others published, a fraction; None: there is none to compare
    source: str = ""  # who published it and under which conditions, or why there is none

    def __post_init__(self) -> None:
        if self.published is not None and not 0 < self.published <= 1:
            raise UserError(
                f"leaderboard.published is {self.published}; write a fraction such as 0.9918, or leave it out."
            )


def config_from_dict(
    values: dict[str, Any],
    where: str,
    kind: type[Config] = TrainingConfig,  # type: ignore[assignment]
    prefix: str = "",
) -> Config:
    """Return the config of a nested table of settings; absent ones keep their defaults.

    Args:
        values: the table, as `to_dict` gives it.
        where: begins the sentence of an error.
        kind: the class of the config.
        prefix: of the names of its settings in that sentence.

    Raises:
        UserError: an unknown setting (with the nearest known one) or a wrong value.
    """
    try:
        config: Config = _from_table(kind, values, prefix)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return config


def config_as_known(values: dict[str, Any], where: str) -> TrainingConfig:
    """Return the config of a run that is not to be trained again; what only another version knows is left out.

    A setting that has been renamed since, or takes values of another type, then has its default.

    Args:
        values: the table, as `to_dict` gave it.
        where: begins the sentence of an error.

    Raises:
        UserError: it is no table of settings, or a value is wrong.
    """
    return config_from_dict(_known(TrainingConfig, values), where)


def _known(cls: Any, table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    hints, known = get_type_hints(cls), {}
    for name in hints.keys() & table.keys():
        if is_dataclass(hints[name]):
            known[name] = _known(hints[name], table[name])
            continue
        with suppress(UserError):
            known[name] = _checked(hints[name], table[name], name)
    return known


def require_known_schema(described: dict[str, Any], where: Path) -> None:
    """Refuse what a later version wrote in a way that this one would misread.

    Args:
        described: a run's config.json or a recognizer's card; from before schemas were counted it names none.
        where: its file.

    Raises:
        UserError: it is of a later schema.
    """
    schema = described.get("schema", 0)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise UserError(
            f"{where} was written by a later version (schema {schema}; this one reads {SCHEMA}): update kuzushiji_tf."
        )


def load_recipe(path: str | Path, kind: type[Config] = TrainingConfig) -> Config:  # type: ignore[assignment]
    """Read a recipe: a TOML file whose keys are the names of the settings of a config of class `kind`.

    Its table `[leaderboard]` is checked too, but is for `load_leaderboard`.

    Raises:
        MissingFileError: no such file.
        UserError: not TOML, an unknown setting or a wrong value.
    """
    table = _read(path)
    _leaderboard(path, table.pop(_LEADERBOARD, {}))
    return config_from_dict(table, str(path), kind)


def load_leaderboard(path: str | Path) -> Leaderboard:
    """Read a recipe's table `[leaderboard]`; without one nothing is said.

    Raises:
        MissingFileError, UserError: as `load_recipe`.
    """
    return _leaderboard(path, _read(path).get(_LEADERBOARD, {}))


def _leaderboard(path: str | Path, table: Any) -> Leaderboard:
    return config_from_dict(table, str(path), Leaderboard, f"{_LEADERBOARD}.")


def _read(path: str | Path) -> dict[str, Any]:
    try:
        text = read_text(path)
    except MissingFileError:
        raise MissingFileError(f"There is no recipe {path}; the project's own are in recipes/.") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not always TOML's own: a date, or a number of thousands of digits
        raise UserError(f"{path} is not a TOML file: {reason_of(error)}.") from None


def _from_table(cls: Any, table: Any, prefix: str = "") -> Any:
    if not isinstance(table, dict):
        raise UserError(f"{prefix.removesuffix('.') or 'the content'} must be a table of settings, not {shown(table)}.")
    hints = get_type_hints(cls)
    names = [prefix + setting.name for setting in fields(cls)]
    arguments = {}
    for name, value in table.items():
        if prefix + name not in names:
            raise _unknown(hints, prefix + name, names)
        arguments[name] = _checked(hints[name], value, prefix + name)
    return cls(**arguments)


def _unknown(hints: dict[str, Any], name: str, names: list[str]) -> UserError:
    """Return the error for a name that is no setting; those of a table look like any other among the flags."""
    for table, hint in hints.items():
        if is_dataclass(hint) and name in (setting.name for setting in fields(hint)):
            return UserError(f"{name} is a setting of the table [{table}]; write it below that line.")
    return unknown_name("setting", name, names)


def _checked(hint: Any, value: Any, name: str) -> Any:
    """Return the value as the type that a setting has, or say which setting is wrong."""
    if is_dataclass(hint):
        return _from_table(hint, value, f"{name}.")
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UserError(f"{name} is {shown(value)}; it must be one of: {', '.join(map(str, get_args(hint)))}.")
        return value
    if type(None) in get_args(hint):
        if value is None:
            return None
        hint = next(choice for choice in get_args(hint) if choice is not type(None))
    if get_origin(hint) is tuple:
        return _checked_list(get_args(hint), value, name)
    if type(value) is int and abs(value) > _LARGEST_INTEGER:
        raise UserError(f"{name} is a whole number beyond all use: {shown(value)}.")
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise UserError(f"{name} must be of type {hint.__name__}, not {shown(value)}.")
    return value


def _checked_list(parts: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    """Return a list's values as the types that a tuple has, of any length where an ellipsis stands last."""
    is_open = parts[-1] is Ellipsis
    if not isinstance(value, list | tuple) or not (is_open or len(value) == len(parts)):
        raise UserError(f"{name} must be a list{'' if is_open else f' of {len(parts)} numbers'}, not {shown(value)}.")
    parts = parts[:1] * len(value) if is_open else parts
    return tuple(_checked(part, item, name) for part, item in zip(parts, value, strict=True))
