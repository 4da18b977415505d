"""What README and docs name is there: pages, files, Python names, flags, and the figures of the cards."""

import inspect
import json
import re
from functools import cache
from pkgutil import resolve_name

import pytest
import yaml

import kuzushiji_tf
from kuzushiji_tf.cli import COMMANDS, run_command
from kuzushiji_tf.datasets.entries import ENTRIES
from tests.docs.test_snippets import PAGES
from tests.snippets import ROOT, code_block

REPOSITORY = [*PAGES, "CHANGELOG.md"]
FOLDERS = ("benchmarks", "docs", "examples", "kuzushiji_tf", "recipes", "saved_models", "tests")
SUBCOMMANDS = ("data", "transfer")


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _slugs(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


def _links(page: str) -> list[str]:
    """Return the pages, headings and pictures that a page links to, but those of other sites."""
    return [markdown or html for markdown, html in re.findall(r'\]\((?!https?:)([^)\s]+)\)|src="([^"]+)"', _text(page))]


def _files(page: str) -> list[str]:
    """Return the files of the project that a page names."""
    named = re.findall(rf"(?<![\w/.-])((?:{'|'.join(FOLDERS)}|\.ci)/[\w./*+-]*[\w*])", _text(page))
    return [path for path in named if "NAME" not in path and not path.startswith("saved_models/kanji")]


def _python_names(page: str) -> list[str]:
    """Return the names in the package that a page names."""
    return re.findall(r"`(kuzushiji_tf(?:\.\w+)+)", _text(page))


def _commands(page: str) -> list[tuple[str, str]]:
    """Return the commands of the project that a page shows, each with the words after it."""
    text = re.sub(r"\n(?!python )", " ", _text(page))  # commands in prose go over line ends
    found = re.findall(r"python (?:(\w+)\.py|-m\s+kuzushiji_tf (\w+))([^`|&#\n(]*)", text)
    return [(script or command, rest) for script, command, rest in found if (script or command) in COMMANDS]


def test_the_pages_show_what_is_looked_for_in_them():
    for find in (_links, _files, _python_names, _commands):
        assert sum(len(find(page)) for page in PAGES) >= 10, find.__name__


@pytest.mark.parametrize("page", REPOSITORY)
def test_a_link_leads_to_a_page_and_a_heading_that_are_there(page):
    for target in _links(page):
        path, _, anchor = target.partition("#")
        linked = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert linked.is_file(), target
        assert linked.is_relative_to(ROOT), target
        if anchor:
            assert anchor in _slugs(str(linked.relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_a_file_of_the_project_that_a_page_names_is_there(page):
    for path in _files(page):
        assert any(ROOT.glob(path)), path


@pytest.mark.parametrize("page", PAGES)
def test_a_python_name_that_a_page_names_can_be_imported(page):
    for name in _python_names(page):
        resolve_name(name)


@cache
def _flags(command: str) -> set[str]:
    """Return the flags that a command's help lists."""
    from contextlib import redirect_stdout, suppress
    from io import StringIO

    name, *rest = command.split()
    with redirect_stdout(StringIO()) as help_text, suppress(SystemExit):
        run_command(name, [*rest, "--help"])
    return set(re.findall(r"--[a-z][\w-]+", help_text.getvalue()))


@pytest.mark.parametrize("page", PAGES)
def test_a_command_that_a_page_shows_has_its_flags(page):
    for command, rest in _commands(page):
        words = rest.split()
        subcommand = f" {words[0]}" if command in SUBCOMMANDS and words and words[0].isalpha() else ""
        used = set(re.findall(r"(?<!\S)--[a-z][\w-]+", rest)) - {"--help"}
        assert used <= _flags(command + subcommand), (command, rest)


def test_the_flags_in_the_dockerfile_are_those_of_serve():
    words = re.sub(r'[",\[\]]', " ", _text("Dockerfile"))
    used = [re.findall(r"--[a-z][\w-]+", rest) for rest in re.findall(r"kuzushiji-tf +serve(.*)", words)]
    assert len(used) == 2 and all(used), "the page is written, then served"
    assert set().union(*used) <= _flags("serve")


def test_the_readme_is_one_screen_after_another_and_begins_with_three_pictures():
    lines = _text("README.md").splitlines()
    assert len(lines) <= 150
    assert sum(line.count("<img ") for line in lines[:20]) == 3


def test_the_readme_repeats_the_figures_of_the_cards():
    for path in sorted((ROOT / "saved_models").glob("*/model.json")):
        file = json.loads(path.read_text(encoding="utf-8"))["files"]["model-int8.tflite"]
        (row,) = [line for line in _text("README.md").splitlines() if line.startswith(f"| `{path.parent.name}`")]
        assert f"{file['bytes'] / 1e6:.2f} MB" in row
        accuracy = file.get("real_pen_accuracy", file.get("accuracy"))
        assert f"{accuracy:.2%}".replace("%", " %") in row


def test_the_figure_under_the_readmes_picture_counts_images_and_characters_as_the_results_do():
    (under_picture,) = [line for line in _text("README.md").splitlines() if "3,832 kanji:" in line]
    images, characters = re.findall(r"(\d+\.\d) %", under_picture)
    (row,) = [line for line in _text("docs/results.md").splitlines() if line.startswith("| Kuzushiji-Kanji, 3,832")]
    exact_images, _, exact_characters = map(float, re.findall(r"(\d+\.\d\d) %", row))
    assert (images, characters) == (f"{exact_images:.1f}", f"{exact_characters:.1f}")


def test_the_page_of_the_data_sets_names_each_of_them():
    text = _text("docs/data.md").replace(
        "`etl1` ... `etl9g`", " ".join(f"`{name}`" for name in ENTRIES if "etl" in name)
    )
    assert {name for name in ENTRIES if f"`{name}`" not in text} == set()


def test_the_python_of_the_readme_is_a_few_lines_and_reads_a_drawing(capsys):
    program = code_block("README.md", "python", "pretrained")
    assert program.count("\n") <= 6
    exec(program, {})
    assert capsys.readouterr().out.startswith("木 U+6728 ")


def test_the_page_of_the_interface_has_every_public_name_with_its_arguments():
    text = _text("docs/api.md")
    names = re.findall(r"^### `(\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(kuzushiji_tf.__all__)
    for name, arguments in re.findall(r"^### `(\w+)\((.*)\)`$", text, re.MULTILINE):
        shown = re.findall(r"(?:^|, )\*{0,2}(\w+)(?==|,|$)", re.sub(r"=\([^)]*\)", "=0", arguments))
        assert shown == list(inspect.signature(getattr(kuzushiji_tf, name)).parameters), name


def test_the_site_is_built_without_a_warning(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")} - {"404"}
    assert pages == {path.stem for path in (ROOT / "docs").glob("*.md")}
    for path in (tmp_path / "site").glob("*.html"):
        assert not re.search(r'(?:src|href)="https?://[^"]*\.(?:js|css)"', path.read_text(encoding="utf-8")), path


def test_the_citation_names_this_version():
    citation = yaml.safe_load(_text("CITATION.cff"))
    assert citation["version"] == kuzushiji_tf.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r"^## \[(\d[^]]*)\]", _text("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == kuzushiji_tf.__version__


def test_what_a_page_shows_is_a_picture_of_moderate_size():
    for path in (ROOT / "docs" / "images").iterdir():
        assert path.suffix == ".png" and path.stat().st_size < 200_000, path


def _tests_of(path: str) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_a_page_names_is_there(page):
    for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", _text(page)):
        assert name in _tests_of(path), f"{path}::{name}"


def test_each_row_of_the_page_about_security_has_a_test():
    rows = [line for line in _text("docs/security.md").splitlines() if line.startswith("| ")]
    tables = [row for row in rows if row.startswith("| what it could do")]
    promises = [row for row in rows if row.count(" | ") == 2 and row not in tables]
    assert len(tables) == 3 and len(promises) > 35
    assert [row for row in promises if not re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", row)] == []
