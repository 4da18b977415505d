"""What the README and the architecture say without exception is tested, and the test is named."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/architecture.md")
HEADING = "## What holds the promises"
ABSOLUTE = re.compile(r"\b(?:every|never|exactly|whole)\b", re.IGNORECASE)


def plain(text: str) -> str:
    """The text without marks, in one line."""
    return " ".join(text.replace("`", "").replace("**", "").split())


def pages() -> dict[str, str]:
    """What is said, without the chapter that names the tests."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    before, _, after = texts["docs/architecture.md"].partition(HEADING)
    return {
        name: plain(text)
        for name, text in {**texts, "docs/architecture.md": before + after[after.find("\n## ") :]}.items()
    }


def rows() -> list[tuple[str, str]]:
    """Each thing that is said, and the test behind it."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition(HEADING)[2]
    return re.findall(r'^\| "(.+)" \| `(.+)` \|$', text, re.MULTILINE)


@pytest.mark.parametrize(("said", "test"), rows())
def test_the_test_behind_a_promise_is_there_and_the_promise_is_made(said, test):
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert any(said in text for text in pages().values()), said


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_said_without_exception_that_has_no_test(page):
    text = pages()[page]
    for said, _ in rows():
        text = text.replace(said, "")
    found = [text[max(0, match.start() - 60) : match.end() + 60] for match in ABSOLUTE.finditer(text)]
    assert not found
