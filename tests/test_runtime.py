"""Native notes are hidden, and the stream is whole again afterwards; a missing extra is named; signals can wait."""

import ast
import logging
import os
import re
import signal
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import kuzushiji_tf
from kuzushiji_tf.cli import main
from kuzushiji_tf.errors import MissingExtraError
from kuzushiji_tf.runtime import EXTRAS, Interrupts, extra_needed, native_notes_hidden

PACKAGE = Path(kuzushiji_tf.__file__).parent
BROUGHT_ALONG = {"pydantic", "requests", "starlette"}  # by FastAPI and pooch, whose interfaces are theirs


def test_native_notes_are_hidden_and_later_ones_are_not(capfd):
    with native_notes_hidden():
        os.write(2, b"a note\n")
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"


def test_the_log_of_tensorflow_is_hidden_meanwhile(caplog):
    with native_notes_hidden():
        logging.getLogger("tensorflow").warning("a note")
    logging.getLogger("tensorflow").warning("a word")
    assert caplog.messages == ["a word"]


def test_an_error_passes_and_the_stream_comes_back(capfd):
    with pytest.raises(ValueError, match="reason"), native_notes_hidden():
        raise ValueError("reason")
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"


def test_threads_take_turns(capfd):
    def hide(_):
        with native_notes_hidden():
            os.write(2, b"a note\n")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hide, range(200)))
    os.write(2, b"a word\n")
    assert capfd.readouterr().err == "a word\n"


@pytest.mark.parametrize(("module", "extra"), [("keras", "train"), ("tqdm", "train"), ("uvicorn", "serve")])
def test_a_missing_module_is_named_with_the_extra_that_brings_it(module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} .*pip install 'kuzushiji_tf\[{extra}\]'"), extra_needed():
        import_module(module)


def test_a_module_of_no_extra_is_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), extra_needed():
        import_module("no_such_module")


def test_a_command_that_lacks_its_extra_ends_with_one_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--api-only"]) == 2
    error = capsys.readouterr().err
    assert "kuzushiji_tf[serve]" in error and error.count("\n") == 1


def test_every_library_that_is_imported_comes_with_the_package_or_with_a_named_extra():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {extra: _names(requirements) for extra, requirements in project["optional-dependencies"].items()}
    base, distributions = _names(project["dependencies"]), packages_distributions()
    for module in sorted(_imported()):
        names = _names(distributions[module])
        if names & base:
            continue
        (extra,) = (extra for extra, modules in EXTRAS.items() if module in modules)
        assert names & brought[extra] or module in BROUGHT_ALONG, module


def _names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def _imported() -> set[str]:
    """Return the names of the libraries that any module of the package imports."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {PACKAGE.name}


def test_where_interrupts_wait_the_first_is_raised_when_asked_for_and_the_second_at_once():
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs are started without it
    try:
        reached = []
        with pytest.raises(KeyboardInterrupt), Interrupts(patient=True) as interrupts:
            assert not interrupts.has_come
            signal.raise_signal(signal.SIGINT)
            reached.append(interrupts.has_come)
            interrupts.check()
        with pytest.raises(KeyboardInterrupt), Interrupts(patient=True):
            signal.raise_signal(signal.SIGINT)
            reached.append("end of the block")
        with pytest.raises(KeyboardInterrupt), Interrupts(patient=True):
            signal.raise_signal(signal.SIGINT)
            reached.append("second")
            signal.raise_signal(signal.SIGINT)
            reached.append("never")
        assert reached == [True, "end of the block", "second"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, earlier)
