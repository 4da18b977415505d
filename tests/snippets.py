"""The code blocks of the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_blocks(document: str, language: str) -> list[str]:
    """Return a document's fenced code blocks in a language, in their order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def code_block(document: str, language: str, holding: str) -> str:
    """Return the one code block that holds a text."""
    (block,) = [block for block in code_blocks(document, language) if holding in block]
    return block
