"""The touch page as a folder of files: everything in it, nothing stale, nothing twice."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.kanjivg import BOX, has_strokes, load_strokes, path_to_stroke
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.recognition.placement import UNPLACED
from kuzushiji_tf.recognition.readings import Repertoire
from kuzushiji_tf.serving import site
from kuzushiji_tf.serving.guides import shorten, stroke_guides
from kuzushiji_tf.serving.icons import draw_icon

SHIPPED = Path(__file__).parents[2] / "saved_models"


@pytest.fixture
def models(tmp_path):
    """A folder with the shipped kana recognizer, as exported."""
    shutil.copytree(SHIPPED / "kana", tmp_path / "models" / "kana", ignore=shutil.ignore_patterns("saved_model"))
    return tmp_path / "models"


@pytest.fixture
def web(tmp_path, monkeypatch):
    """The page's own files with small stand-ins for LiteRT.js, which npm fetches."""
    folder = tmp_path / "web"
    shutil.copytree(site.WEB, folder, ignore=shutil.ignore_patterns("vendor", "node_modules"))
    (folder / "vendor").mkdir()
    for name in (
        "litert.js",
        "wasm-utils.js",
        "litert_wasm_internal.wasm",
        "litert_wasm_internal.wasm.br",
        "sizes.json",
    ):
        (folder / "vendor" / name).write_bytes(b"0" * 100)
    monkeypatch.setattr(site, "WEB", folder)
    return folder


def test_the_folder_holds_the_page_the_models_and_what_the_models_need(web, models, tmp_path):
    target = tmp_path / "site"
    index = site.build_site(target, models)
    assert json.loads((target / "models" / "index.json").read_text(encoding="utf-8")) == index
    assert index == [
        {
            "name": "kana",
            "title": "kana",
            "classes": 71,
            "scripts": ["hiragana"],
            "size": 32,
            "normalization": "ink-box",
            "bytes": (models / "kana" / "model-int8.tflite").stat().st_size,
        }
    ]
    names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert {"index.html", "style.css", "main.js", "ink.js", "sw.js", "manifest.webmanifest"} <= names
    assert {
        f"models/kana/{name}" for name in ("model-int8.tflite", "classes.json", "model.json", "strokes.json")
    } <= names
    assert not any("node_modules" in name or name.endswith((".mjs", "package.json", ".keras")) for name in names)
    for name in names:
        if name.endswith(".gz"):
            packed, plain = (target / name).read_bytes(), (target / name.removesuffix(".gz")).read_bytes()
            assert gzip.decompress(packed) == plain and len(packed) < len(plain)
    assert "main.js.gz" in names


def test_every_file_that_the_page_names_is_there(web, models, tmp_path):
    target = tmp_path / "site"
    site.build_site(target, models)
    named = re.findall(r'(?:href|src)="(?!https?:)([^"#]+)"', (target / "index.html").read_text(encoding="utf-8"))
    for path in target.glob("*.js"):
        named += re.findall(r'(?:from|import\() ?"\./([^"]+)"', path.read_text(encoding="utf-8"))
    manifest = json.loads((target / "manifest.webmanifest").read_text(encoding="utf-8"))
    named += [icon["src"] for icon in manifest["icons"]]
    assert len(named) > 15
    assert [name for name in named if not (target / name).is_file()] == []


def test_the_service_worker_knows_each_file_by_its_content(web, models, tmp_path):
    def built():
        site.build_site(tmp_path / "site", models)
        code = (tmp_path / "site" / "sw.js").read_text(encoding="utf-8")
        return [json.loads(re.search(rf"const {name} = (.*?);\n", code, re.DOTALL)[1]) for name in ("FILES", "SHELL")]

    files, shell = built()
    assert "sw.js" not in files and not any(name.endswith((".gz", ".br")) for name in files)
    assert {"index.html", "models/index.json", "vendor/litert.js"} <= set(shell) < set(files)
    assert not any(name.endswith((".wasm", ".tflite")) for name in shell)
    assert built() == [files, shell]
    (web / "main.js").write_text("changed", encoding="utf-8")
    changed, _ = built()
    assert {name for name in files if files[name] != changed[name]} == {"main.js"}


def _repertoire(labels, *, unknown=None, normalization="ink-box"):
    predictor = SimpleNamespace(labels=Labels(tuple(labels)), normalization=normalization, path=Path("none"))
    repertoire = Repertoire(predictor)
    if unknown is not None:
        repertoire.threshold = unknown
    return repertoire


def test_the_index_counts_characters_and_names_their_scripts(models):
    repertoire = _repertoire("あア々つっ。〇\ufffd")
    entry = site.describe_model(models / "kana", repertoire)
    assert (entry["classes"], entry["scripts"]) == (6, ["hiragana", "katakana", "kanji", "other"])
    assert json.loads(json.dumps(site.describe_classes(repertoire))) == {
        "characters": list("あア々つ。〇ぁっァ"),
        "told_apart": 6,
        "variants": [[4, "mark"], [6, "small"], [7, "small"], [8, "small"]],
        "target": [0, 1, 2, 3, 3, 4, 5, -1],
        "groups": [0, 1, 2, 3, 4, 4, 0, 3, 1],
        "scripts": {"hiragana": [0, 3, 6, 7], "katakana": [1, 8], "kanji": [2, 5], "other": [4]},
        "threshold": 0.5,
    }


RANK = """
import { readFileSync } from "node:fs";
const { rank } = await import(process.argv[1]);
const { classes, rows, choices } = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(rows.map((row) => choices.map((choice) => rank(Float32Array.from(row), classes, choice)))));
"""


def test_the_page_ranks_as_python_does():
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    repertoire = _repertoire("へヘカ力っつあアニ二口ロ木一〇0O。ヽ\ufffd", unknown=0.2)
    rows = np.random.default_rng(1).dirichlet(np.full(20, 0.4), 200).astype(np.float32)
    rows[0] = np.eye(20)[0]  # where look-alikes were given nothing at all
    placed, full = {"small": 12.0, "mark": 1.5, "line": 0.4}, {"small": 0.3, "mark": 0.03, "line": 0.4}
    choices = [
        {"script": script} | odds
        for script in ("all", "hiragana", "katakana", "kanji", "other")
        for odds in ({}, {"odds": placed}, {"odds": full})
    ]
    given = {"classes": site.describe_classes(repertoire), "rows": rows.tolist(), "choices": choices}
    module = (site.WEB / "ranking.js").as_uri()
    answer = subprocess.run(
        ["node", "--input-type=module", "--eval", RANK, module],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rejected = 0
    for row, answers in zip(rows, json.loads(answer.stdout), strict=True):
        rejected += not repertoire.reading(row).is_character
        for choice, found in zip(choices, answers, strict=True):
            reading = repertoire.reading(row, choice.get("odds", UNPLACED))
            expected = reading.candidates(10, choice["script"])
            assert found["isUnknown"] != reading.is_character
            assert [each["character"] for each in found["candidates"]] == [each.character for each in expected]
            np.testing.assert_allclose(
                [each["probability"] for each in found["candidates"]],
                [each.probability for each in expected],
                atol=1e-9,
            )
    assert 5 < rejected < 150


def test_what_is_missing_is_said_in_one_sentence(web, models, tmp_path):
    (models / "kana" / "model-int8.tflite").unlink()
    with pytest.raises(MissingFileError, match=r"model-int8\.tflite"):
        site.build_site(tmp_path / "site", models)
    with pytest.raises(MissingFileError, match="exported recognizer"):
        site.build_site(tmp_path / "site", tmp_path / "nothing")
    (web / "vendor" / "sizes.json").unlink()
    with pytest.raises(MissingFileError, match="npm ci --prefix"):
        site.build_site(tmp_path / "site", models)
    assert not (tmp_path / "site").exists()


def test_guides_are_kanjivgs_strokes_to_a_fraction_of_their_width():
    guides = stroke_guides("あ書☃")
    assert set(guides) == {"あ", "書"}
    for character, strokes in load_strokes("あ書").items():
        for stroke, (path, x, y) in zip(strokes, guides[character], strict=True):
            assert np.abs(path_to_stroke(path) - stroke).max() * BOX < 0.5
            assert 0 <= x <= BOX and 0 <= y <= BOX
    assert not has_strokes("☃")


def test_paths_are_short():
    assert shorten("M31.01,33c0.88,0.88-2.75-1.82,5.25,-0.02") == "M31 33c.9 .9-2.8-1.8 5.2 0"


def test_icons_are_square_and_leave_a_maskable_ones_edge_to_the_phone():
    icon = np.asarray(draw_icon(site.WEB / "icon.svg", 64))
    full = np.asarray(draw_icon(site.WEB / "icon.svg", 64, maskable=True))
    assert icon.shape == full.shape == (64, 64, 4)
    assert icon[0, 0, 3] == 0 and icon[32, 1, 3] == 255 and (full[..., 3] == 255).all()
    white = Image.fromarray(full).convert("L").point(lambda level: 255 * (level > 200))
    left, top, right, bottom = white.getbbox()
    assert min(left, top) >= 64 * 0.1 and max(right, bottom) <= 64 * 0.9
    assert Image.fromarray(icon).convert("L").point(lambda level: 255 * (level > 200)).getbbox()[0] < left


def test_the_icon_is_drawn_without_measuring_its_path(monkeypatch):
    monkeypatch.setattr("svgelements.Path.length", lambda *_, **__: pytest.fail("which takes seconds without SciPy"))
    assert draw_icon(site.WEB / "icon.svg", 64).size == (64, 64)
