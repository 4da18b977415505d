"""The commands behind `train.py`, `evaluate.py`, `export.py` and `python -m kuzushiji_tf <command>`."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import is_dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

from kuzushiji_tf.cli.answers import run_and_answer
from kuzushiji_tf.datasets.registry import dataset_entries
from kuzushiji_tf.errors import MissingFileError, UserError, unknown_name
from kuzushiji_tf.files import is_disk_full
from kuzushiji_tf.runtime import Terminated, extra_needed, versions_of

COMMANDS = {
    "train": "train a recognizer",
    "evaluate": "score a trained or exported recognizer",
    "export": "write SavedModel and TFLite files, and verify each",
    "ensemble": "average the probabilities of trained runs in one recognizer",
    "predict": "read characters from image files",
    "serve": "serve the touch page and the HTTP API",
    "transfer": "turn kuzushiji kanji into modern ones, stroke by stroke: train, generate, evaluate, draw, export",
    "data": "list, download, inspect and check data sets; write their splits and balanced forms",
}
_INTERRUPTED = 130
_TERMINATED = 143
_PIPE_CLOSED = 141


@contextmanager
def _printing() -> Iterator[None]:
    """Print whatever there is to be printed, and end quietly when nobody reads it any more (`... --help | head -1`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names that are not UTF-8, and Japanese where the terminal has none: escaped, in JSON as JSON does it.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        raise SystemExit(_PIPE_CLOSED) from None


@_printing()
def main(arguments: list[str] | None = None) -> int:
    """Run `<command> <flags>` and return the exit code: 0, 2 for an error the user can mend, 130 for Ctrl-C.

    A training that is sent SIGTERM ends as at Ctrl-C, with 143.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m kuzushiji_tf COMMAND [FLAGS]\n")
        print("\n".join(f"  {name:10} {purpose}" for name, purpose in COMMANDS.items()))
        print("\nFlags of a command: python -m kuzushiji_tf COMMAND --help\n\ndata sets:\n")
        print("\n".join(f"  {name:18} {entry.description}" for name, entry in dataset_entries().items()))
        return 0
    if arguments[0] == "--version":
        print(versions_of([])["kuzushiji_tf"])
        return 0
    if arguments[0] not in COMMANDS:
        print(f"error: {unknown_name('command', arguments[0], COMMANDS)}", file=sys.stderr)
        return 2
    return run_command(arguments[0], arguments[1:])


@_printing()
def run_command(name: str, arguments: list[str] | None = None) -> int:
    """Parse the flags of one command, run it and return the exit code, as `main` does."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with extra_needed():
            command = import_module(f"kuzushiji_tf.cli.{name}")
            flags = _parse(name, command, arguments)
            data_dir = getattr(flags, "data_dir", None)
            if data_dir and not data_dir.is_dir():
                raise MissingFileError(f"--data-dir {data_dir} is not a folder.")
            run_and_answer(command.run, flags)
    except KeyboardInterrupt as stop:
        print(f"\n{stop}" if stop.args else "\nstopped", file=sys.stderr)
        return _TERMINATED if isinstance(stop, Terminated) else _INTERRUPTED
    except Exception as error:
        sentence = _sentence_of(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    return 0


def _sentence_of(error: Exception) -> str | None:
    """Return what to say of an error that the user can mend; None: it is another."""
    if isinstance(error, UserError):
        return str(error)
    file = error.filename if isinstance(error, OSError) else None
    if is_disk_full(error):  # TensorFlow, HDF5 and Pillow have errors of their own for it
        what = "the disk is full; free some space and run the command again."
        return f"{file} was not written: {what}" if file else what
    return f"{file}: {error.strerror}" if isinstance(error, OSError) and file else None


def _parse(name: str, command: ModuleType, arguments: list[str]) -> Any:
    """Make a command's flags of its `<Name>Flags` class, starting from its `default_flags` where it has them."""
    import tyro

    default = command.default_flags(arguments) if hasattr(command, "default_flags") else None
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                getattr(command, f"{name.capitalize()}Flags"),
                prog=f"kuzushiji-tf {name}",
                description=f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.",
                args=arguments,
                default=default,
                # Nobody reads `{None}|PATH`; a flag that is left out is None.
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
                registry=_own_rules(),
            )
    except SystemExit as end:
        _raise_refusal_behind(end)
        sys.stderr.write(said.getvalue())
        raise


def _raise_refusal_behind(error: BaseException) -> None:
    """Raise the `UserError` of a setting, where it is what made tyro end with a box of its own."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, UserError):
            raise behind from None
        behind = behind.__cause__ or behind.__context__


def _own_rules() -> Any:
    """Return tyro's rules, but for two.

    What is off has no `--no-jit`, but what a recipe has switched on has both names. In the help, of a default that is
    None, False or empty the flag's own words tell.
    """
    import tyro

    registry = tyro.constructors.ConstructorRegistry()
    is_asking = False

    def hint(default: str) -> str:
        return "" if default in ("None", "False", "") else f"(default: {default})"

    @registry.struct_rule
    def rule(info: tyro.constructors.StructTypeInfo) -> tyro.constructors.StructConstructorSpec | None:
        nonlocal is_asking
        if is_asking or not is_dataclass(info.type):
            return None
        is_asking = True  # for what tyro itself makes of the class
        spec = registry.get_struct_spec(info)
        is_asking = False
        if not isinstance(spec, tyro.constructors.StructConstructorSpec):
            return None
        said = tyro.conf.arg(help_behavior_hint=hint)
        types: list[Any] = [
            Annotated[field.type, said, tyro.conf.FlagCreatePairsOff]
            if field.type is bool and field.default is False
            else Annotated[field.type, said]
            for field in spec.fields
        ]
        fields = tuple(replace(field, type=kind) for field, kind in zip(spec.fields, types, strict=True))
        return replace(spec, fields=fields)

    return registry
