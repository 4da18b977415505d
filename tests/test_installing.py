"""The wheel in an environment of its own: small, without TensorFlow, it reads and serves, and says what it lacks.

Slow: the wheel is built, and what it needs is fetched from the package index.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kuzushiji_tf
from tests.snippets import ROOT

pytestmark = pytest.mark.slow

STROKES = [[[20, 20], [50, 14], [80, 22]], [[18, 70], [50, 84], [88, 76]]]  # こ, or 二
PRETRAINED = ("kana", "kkanji", "kmnist", "touch-all", "touch-joyo", "touch-kana")
CARRIED = ("labels.txt", "model-int8.tflite", "model.json")
MOST_BYTES_OF_MODELS, MOST_BYTES_INSTALLED = 8_000_000, 200_000_000
HEAVY = ("tensorflow", "keras", "scipy", "sklearn", "matplotlib")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of an sdist, and of a wheel that was made from it, of a checkout without what npm fetched."""
    source = tmp_path_factory.mktemp("source")
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "vendor")
    for folder in ("kuzushiji_tf", "saved_models"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=left_out)
    for file in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, source)
    _run(sys.executable, "-m", "build", "--outdir", source / "dist", source, cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def base(built, tmp_path_factory) -> Path:
    """The scripts of an environment that holds the wheel and what it cannot do without."""
    return _environment(built, "", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def serving(built, tmp_path_factory) -> Path:
    """The scripts of an environment that holds the extra `serve`, too."""
    return _environment(built, "[serve]", tmp_path_factory.mktemp("serving"))


def _environment(built: Path, extra: str, folder: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    venv.create(folder, with_pip=True)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}{extra}")
    _run(folder / "bin" / "python", *install, cwd=folder)
    return folder / "bin"


def _run(*command: object, cwd: Path, expected: int = 0) -> subprocess.CompletedProcess:
    """Run a command without this checkout in sight."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=_variables(), capture_output=True, text=True)
    assert done.returncode == expected, done.stdout + done.stderr
    return done


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KUZUSHIJI"))}


def test_sdist_and_wheel_carry_the_int8_files_of_the_recognizers_and_nothing_else_of_them(built):
    expected = {f"{name}/{file}" for name in PRETRAINED for file in CARRIED}
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as source:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        packed = [member.name for member in source if member.isfile()]
    models = {name: size for name, size in sizes.items() if "/saved_models/" in name}
    for names in (models, (name for name in packed if "/saved_models/" in name)):
        assert {name.partition("/saved_models/")[2] for name in names} == expected
    assert sum(models.values()) < MOST_BYTES_OF_MODELS
    assert not [name for name in sizes if name.endswith((".keras", ".pb")) or "node_modules" in name]
    assert {"kuzushiji_tf/py.typed", "kuzushiji_tf/serving/web/index.html"} <= sizes.keys()
    assert f"kuzushiji_tf-{kuzushiji_tf.__version__}-" in wheel.name


def test_what_is_installed_is_small_and_has_no_tensorflow(base):
    total = sum(path.lstat().st_size for path in base.parent.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"the environment has {total / 1e6:.0f} MB")
    assert total <= MOST_BYTES_INSTALLED
    program = f"from importlib.util import find_spec; print([name for name in {HEAVY} if find_spec(name)])"
    assert _run(base / "python", "-c", program, cwd=base).stdout == "[]\n"


def test_three_lines_of_python_read_strokes(base):
    program = (
        f"from kuzushiji_tf import Recognizer\nprint(Recognizer.pretrained('touch-joyo').recognize(strokes={STROKES}))"
    )
    printed = _run(base / "python", "-c", program, cwd=base).stdout
    assert "二 U+4E8C" in printed and "こ U+3053" in printed


def test_the_command_reads_strokes_with_the_recognizer_that_came_along(base, tmp_path):
    (tmp_path / "ink.json").write_text(json.dumps(STROKES))
    printed = _run(base / "kuzushiji-tf", "predict", "--strokes", "ink.json", "--json", cwd=tmp_path).stdout
    (result,) = json.loads(printed)["results"]
    assert result["candidates"][0]["character"] == "こ"


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train"], "train"),
        (["evaluate", str(ROOT / "saved_models" / "kana"), "--dataset", "kana"], "train"),
        (["predict", "--model", str(ROOT / "saved_models" / "kana" / "model.keras"), "--strokes", "ink.json"], "train"),
        (["data", "inspect", "kana"], "train"),
        (["serve"], "serve"),
    ],
)
def test_a_command_that_lacks_its_extra_says_so_in_one_sentence_and_writes_nothing(base, tmp_path, arguments, extra):
    done = _run(base / "kuzushiji-tf", *arguments, cwd=tmp_path, expected=2)
    assert f"pip install 'kuzushiji_tf[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "program",
    [
        "from kuzushiji_tf import train",
        "from kuzushiji_tf import build_model; build_model('small_cnn', (28, 28), 10)",
        "from kuzushiji_tf import load_dataset; load_dataset('kana')",
    ],
)
def test_a_function_that_lacks_its_extra_says_so_too(base, program):
    program = f"try:\n    {program}\nexcept ImportError as error:\n    print(error)"
    assert "kuzushiji_tf[train]" in _run(base / "python", "-c", program, cwd=base).stdout


def test_the_server_answers_and_says_what_its_page_needs(serving, tmp_path):
    with _served(serving, tmp_path) as (address, process):
        body = json.dumps({"model": "touch-joyo", "strokes": STROKES}).encode()
        request = urllib.request.Request(f"{address}/v1/recognize", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["candidates"][0]["character"] == "こ"
        with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
            assert answer.status == 200
        process.terminate()
        assert "npm ci" in process.stderr.read()


@contextmanager
def _served(serving: Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    process = subprocess.Popen(
        [serving / "kuzushiji-tf", "serve", "--port", "0", "--threads", "1"],
        cwd=folder,
        env=_variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        yield address, process
    finally:
        process.kill()
        process.communicate()
