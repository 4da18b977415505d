"""The classes of a recognizer: class index <-> character <-> code point."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kuzushiji_tf.errors import UserError, shown
from kuzushiji_tf.files import read_json, read_text, write_json, write_text

UNKNOWN = "\ufffd"  # the class of what is no character
INVISIBLE = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs")  # Unicode categories that are no character one could draw
_CODE_POINT = re.compile(r"(?:u\+?(?=[0-9a-f]{4})|0x)([0-9a-f]{2,6})|([0-9]{5,7})", re.IGNORECASE)


@dataclass(frozen=True)
class Labels:
    """Ordered classes; class `i` is `characters[i]`.

    Raises:
        UserError: a class is empty, holds a line break, or is named twice.
    """

    characters: tuple[str, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for index, character in enumerate(self.characters):
            if character.splitlines() != [character] or character in seen:
                problem = "is named twice" if character in seen else "is empty or holds a line break"
                raise UserError(
                    f"Class {index} ({shown(character)}) {problem}; each class needs one character of its own."
                )
            seen.add(character)

    def __len__(self) -> int:
        return len(self.characters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __getitem__(self, index: int) -> str:
        return self.characters[index]

    def __contains__(self, character: object) -> bool:
        return character in self._indices

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {character: index for index, character in enumerate(self.characters)}

    def index_of(self, character: str) -> int:
        """Return the class index of a character.

        Raises:
            UserError: the character is not one of the classes.
        """
        try:
            return self._indices[character]
        except KeyError:
            raise UserError(f"{shown(character)} is not one of the {len(self)} classes.") from None

    def code_point(self, index: int) -> str:
        """Return the code point of a class as `U+3042` (several joined by a space for a sequence)."""
        return to_code_point(self.characters[index])

    @classmethod
    def read(cls, path: str | Path) -> "Labels":
        """Read `labels.txt`: one class a line, in index order.

        Raises:
            MissingFileError: no such file.
            UserError: the file is empty, or a class is empty or named twice.
        """
        lines = read_text(path).splitlines()
        if not lines:
            raise UserError(f"{path} is empty; it must name one class a line, in index order.")
        return cls._of_file(lines, path)

    @classmethod
    def _of_file(cls, characters: list[str], path: str | Path) -> "Labels":
        try:
            return cls(tuple(characters))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def write(self, path: str | Path) -> None:
        """Write `labels.txt`: one class a line, in index order."""
        write_text(path, "".join(f"{character}\n" for character in self.characters))

    @classmethod
    def read_index_json(cls, path: str | Path) -> "Labels":
        """Read the `index.json` of EfficientNet-KuzushijiKanji: `{"codepoint_to_id": {"あ (U+3042)": 0, ...}}`.

        Raises:
            MissingFileError: no such file.
            UserError: the file is not of that form, or its indices are not 0..n-1.
        """
        content = read_json(path)
        try:
            entries = dict(content["codepoint_to_id"].items())
        except (LookupError, TypeError, AttributeError):
            entries = {}
        if not entries:
            raise UserError(
                f'{path} is not an index.json: it must hold {{"codepoint_to_id": {{"あ (U+3042)": 0, ...}}}}.'
            )
        indices = list(entries.values())
        if any(type(index) is not int for index in indices) or sorted(indices) != list(range(len(indices))):
            raise UserError(f"{path}: the class indices must be the whole numbers from 0 on, each once.")
        characters = []
        for name in sorted(entries, key=entries.__getitem__):
            match = re.fullmatch(r"(.+) \((U\+[0-9A-F]{4,6}(?: U\+[0-9A-F]{4,6})*)\)", name)
            if match is None or from_code_point(match[2], path) != match[1]:
                raise UserError(
                    f"{path}: {shown(name)} is not a character followed by its code point, as in 'あ (U+3042)'."
                )
            characters.append(match[1])
        return cls._of_file(characters, path)

    def write_index_json(self, path: str | Path) -> None:
        """Write the `index.json` of EfficientNet-KuzushijiKanji."""
        entries = {f"{character} ({self.code_point(index)})": index for index, character in enumerate(self.characters)}
        write_json(path, {"codepoint_to_id": entries}, indent=4)  # as that project does


def parse_character(text: str) -> str | None:
    """Return the class that a folder's name or a label stands for, or None where it stands for none.

    It is one character (combining marks may follow it) or a code point: `U+3042` (several joined by a space), `u3042`,
    `0x3042`, or decimal, from five digits on: `12354`. Shorter numbers are as likely the numbers of classes.
    Some systems store が as か with a mark, so several code points are composed; a single one is left as it is, since
    composing would turn compatibility ideographs into others.
    """
    coded = [_CODE_POINT.fullmatch(part) for part in text.split(" ")]
    is_code_point = all(coded) and len(text) > 1
    if is_code_point:
        values = [int(match[1], 16) if match[1] else int(match[2]) for match in coded if match]
        if any(value > 0x10FFFF for value in values):
            return None
        text = "".join(map(chr, values))
    composed = text if len(text) == 1 else unicodedata.normalize("NFC", text)
    kinds = [unicodedata.category(character) for character in composed]
    is_one = is_code_point or all(kind.startswith("M") for kind in kinds[1:])
    return composed if composed and is_one and not any(kind in INVISIBLE for kind in kinds) else None


def to_code_point(text: str) -> str:
    """Return `U+3042` for `あ`; several code points are joined by a space."""
    return " ".join(f"U+{ord(character):04X}" for character in text)


def from_code_point(text: str, where: str | Path = "code point") -> str:
    """Return the character(s) that `U+3042` (or several, joined by a space) stands for.

    Raises:
        UserError: the text is not of that form, or names no Unicode scalar value; `where` begins the sentence.
    """
    parts = text.split()
    if not parts or not all(re.fullmatch(r"U\+[0-9A-Fa-f]{4,6}", part) for part in parts):
        raise UserError(f"{where}: {shown(text)} is not a code point of the form U+3042.")
    values = [int(part[2:], 16) for part in parts]
    if any(value > 0x10FFFF or 0xD800 <= value <= 0xDFFF for value in values):
        raise UserError(f"{where}: {shown(text)} is not a Unicode character.")
    return "".join(map(chr, values))
