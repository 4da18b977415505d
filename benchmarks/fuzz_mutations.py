"""Valid files made wrong: bytes, numbers and lengths changed, pieces lost, doubled or exchanged, values of other kinds.

Each function takes its `random.Random`, so that an input is the same whenever it is made again.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

INTEGERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TOKENS = (*b"-1 0 1e999 nan ../ ( \xff\xfe \xed\xa0\x80".split(), b"9" * 20, b"9" * 5000, b"\0", b"\n")
LABEL_TOKENS = (*b"U+ 0x u ( )".split(), b" ", b"\n", b"\r", *(text.encode() for text in "\u2028\ufeff\u3099"))
LONGEST = 1 << 16  # bytes that a piece is repeated to
DEEPEST = 100_000  # levels of nested values
ODD_VALUES = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    0.5,
    "",
    "あ",
    "\ud800",
    "\0",
    "a\nb",
    "x" * 10_000,
    [],
    {},
    [[]],
    [None],
    {"": None},
)


def mutated(content: bytes, random: Random, others: Sequence[bytes] = (), tokens: Sequence[bytes] = ()) -> bytes:
    """Return some bytes with one to four changes.

    Args:
        others: pieces of these are put in.
        tokens: as are these, which mean something in the format.
    """
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(_CHANGES)(data, random, others or (content,), tokens or TOKENS)
    return bytes(data)


def _flip(data: bytearray, random: Random, *_: Any) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(data: bytearray, random: Random, *_: Any) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _set_early(data: bytearray, random: Random, *_: Any) -> None:
    """Change one of the first bytes, where formats keep their headers."""
    if data:
        data[random.randrange(min(len(data), 64))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))


def _integer(data: bytearray, random: Random, *_: Any) -> None:
    size = random.choice((1, 2, 4, 8))
    value = random.choice(INTEGERS) % (1 << 8 * size)
    _replace(data, random, value.to_bytes(size, random.choice(("little", "big"))))


def _token(data: bytearray, random: Random, _: Any, tokens: Sequence[bytes]) -> None:
    token = random.choice((*tokens, *TOKENS))
    if random.random() < 0.5:
        _replace(data, random, token)
    else:
        place = random.randrange(len(data) + 1)
        data[place:place] = token


def _truncate(data: bytearray, random: Random, *_: Any) -> None:
    del data[random.randrange(len(data) + 1) :]


def _delete(data: bytearray, random: Random, *_: Any) -> None:
    start, end = _piece(data, random)
    del data[start:end]


def _double(data: bytearray, random: Random, *_: Any) -> None:
    start, end = _piece(data, random)
    data[end:end] = data[start:end]


def _repeat(data: bytearray, random: Random, *_: Any) -> None:
    start, end = _piece(data, random)
    piece = bytes(data[start:end])
    data[end:end] = piece * (random.choice((100, 100, 100, 100, 100, 100, 1000, LONGEST)) // max(len(piece), 1))


def _splice(data: bytearray, random: Random, others: Sequence[bytes], _: Any) -> None:
    other = random.choice(others)
    start, end = _piece(other, random)
    _replace(data, random, other[start:end])


def _replace(data: bytearray, random: Random, piece: bytes) -> None:
    place = random.randrange(len(data) + 1)
    data[place : place + len(piece)] = piece


def _piece(data: bytes | bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 16, 64, 512, len(data))))


_CHANGES: tuple[Callable[..., None], ...] = (
    _flip,
    _set,
    _set_early,
    _integer,
    _integer,
    _token,
    _truncate,
    _delete,
    _double,
    _repeat,
    _splice,
)


def mutated_value(value: Any, random: Random) -> Any:
    """Return a value as JSON has them with one part of another kind, missing, doubled or deeply nested."""
    value = json.loads(json.dumps(value))
    holder, key = _place_in(value, random)
    if holder is None:
        return odd_value(random)
    change = random.randrange(4)
    if change == 0:
        del holder[key]
    elif change == 1 and isinstance(holder, list):
        holder[key:key] = [holder[key]] * random.choice((1, 10, 1000))
    elif change == 1:
        holder[random.choice(("", "size", "files", str(key) + "x"))] = holder[key]
    else:
        holder[key] = odd_value(random)
    return value


def odd_value(random: Random) -> Any:
    """Return a value that few expect."""
    if random.random() < 0.1:
        return [random.choice(ODD_VALUES) for _ in range(random.choice((1, 3, 200)))]
    return random.choice(ODD_VALUES)


def mutated_json(value: Any, random: Random) -> bytes:
    """Return a value as JSON text, changed as a value, as text, or both; now and then nested far too deep."""
    if random.random() < 0.01:
        depth = random.choice((500, 5000, DEEPEST))
        opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return opening * depth + b"1" + closing * depth
    changed = random.random() < 0.8
    if changed:
        value = mutated_value(value, random)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return text if changed and random.random() < 0.8 else mutated(text, random)


def _place_in(value: Any, random: Random) -> tuple[Any, Any]:
    """Return a list or a dictionary within a value and a key of it, the deeper the rarer; None where it has none."""
    holder, key = None, None
    while isinstance(value, list | dict) and value:
        holder, key = value, random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value = holder[key]
        if random.random() < 0.3:
            break
    return holder, key
