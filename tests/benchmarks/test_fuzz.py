"""No broken or hostile input breaks a parser; and whoever looks for one that does would find it."""

import multiprocessing
import os
import signal
from pathlib import Path
from random import Random

import fuzz
import pytest
from fuzz_files import Parser
from fuzz_guided import Choices
from fuzz_parsers import PARSERS

from kuzushiji_tf.errors import UserError

INPUTS = 150  # of each parser; benchmarks/fuzz.py makes 200,000


@pytest.mark.parametrize("name", PARSERS)
def test_no_input_breaks_a_parser(name):
    tally = fuzz.Tally()
    fuzz.attack(name, range(INPUTS), tally)
    assert tally.defects == {} and tally.inputs == INPUTS
    assert 0 < tally.read < INPUTS, "some are as broken as they were meant to be, and some are not"


@pytest.mark.parametrize("name", PARSERS)
def test_an_input_is_the_same_whenever_it_is_made(name):
    first, second = (PARSERS[name]().make(Random(f"{name}/7")) for _ in range(2))
    assert first == second


def _attacked(monkeypatch, read) -> dict[str, fuzz.Defect]:
    monkeypatch.setitem(PARSERS, "bad", lambda: Parser(lambda random: {"file": b"content"}, read))
    tally = fuzz.Tally()
    fuzz.attack("bad", range(3), tally)
    return tally.defects


def _raise(error: BaseException):
    raise error


def _raise_after(error: Exception, before: Exception):
    try:
        raise before
    except type(before):
        raise error from None


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda folder: _raise(KeyError("x")), "KeyError"),
        (lambda folder: _raise(RecursionError()), "RecursionError"),
        (lambda folder: _raise_after(UserError("Damaged."), MemoryError()), "memory"),
        (lambda folder: b"x" * ((fuzz.MEBIBYTES + 100) << 20), "memory"),
    ],
)
def test_what_a_parser_must_not_do_is_a_defect(monkeypatch, read, what):
    (found,) = _attacked(monkeypatch, read)
    assert what in found


def test_a_parser_that_never_ends_is_a_defect(monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 0.1)

    def read(folder: Path) -> None:
        while True:
            pass

    (found,) = _attacked(monkeypatch, read)
    assert "computing" in found


def test_a_refusal_is_none(monkeypatch):
    assert _attacked(monkeypatch, lambda folder: _raise(UserError("It is damaged."))) == {}


def test_a_process_that_dies_is_a_defect_of_the_input_that_it_died_of_and_the_next_go_on(monkeypatch):
    here = multiprocessing.get_context("fork")  # which knows the parser below
    monkeypatch.setattr(fuzz.multiprocessing, "get_context", lambda _: here)
    numbers = iter(range(99))

    def read(folder: Path) -> None:
        if next(numbers) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setitem(PARSERS, "bad", lambda: Parser(lambda random: {"file": b""}, read))
    tally = fuzz.attack_in_processes("bad", 10, 5)
    assert [defect.number for defect in tally.defects.values()] == [12] and tally.inputs == 5


def test_a_guided_input_is_what_its_bytes_choose():
    make = PARSERS["recipes"]().make
    inputs = [bytes(range(first, first + 60)) for first in range(0, 180, 20)]
    made = [str(make(Choices(said))) for said in inputs]
    assert made == [str(make(Choices(said))) for said in inputs] and len(set(made)) > len(inputs) // 2
    drawn = Choices(bytes(range(256)) * 4)
    assert all(0 <= drawn.random() < 1 and drawn.randrange(10) < 10 for _ in range(100))
