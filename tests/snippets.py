"""The code blocks of the documentation, and what the pages say about running them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
_AFTERWARDS = re.compile(r"\s*\((Run here|Not run here)\b")


@dataclass(frozen=True)
class Block:
    """A fenced code block with a language.

    Attributes:
        document: the page, from the project's root.
        line: of the fence, from 1.
        language: e.g. `sh`.
        code: what is in it.
        note: the HTML comment in the line before it, or, from the text after it, `Run here` or `Not run here`.
    """

    document: str
    line: int
    language: str
    code: str
    note: str


def all_blocks(document: str) -> list[Block]:
    """Return a page's code blocks, in their order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = []
    for found in _BLOCK.finditer(text):
        afterwards = _AFTERWARDS.match(text, found.end())
        note = found["note"] or (afterwards[1] if afterwards else "")
        blocks.append(Block(document, text.count("\n", 0, found.start()) + 1, found["language"], found["code"], note))
    return blocks


def code_blocks(document: str, language: str) -> list[str]:
    """Return a page's code blocks in a language, in their order."""
    return [block.code for block in all_blocks(document) if block.language == language]


def code_block(document: str, language: str, holding: str) -> str:
    """Return the one code block that holds a text."""
    (block,) = [block for block in code_blocks(document, language) if holding in block]
    return block
