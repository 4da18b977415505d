"""The touch page as a folder of plain files: any web server serves it, and it needs none once it was visited."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.scripts import OTHER, SCRIPTS
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.files import atomic_folder, write_json
from kuzushiji_tf.recognition.cards import CARD, EXPORTED_FILES, LABELS, read_card
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.recognition.readings import Repertoire
from kuzushiji_tf.serving.guides import stroke_guides
from kuzushiji_tf.serving.icons import draw_icon

WEB = Path(__file__).parent / "web"
VENDOR = "vendor"
PARTS = (".html", ".css", ".js", ".svg", ".webmanifest")  # of web/, what belongs to the page
ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "maskable-512.png": (512, True)}
MODEL_FILE = EXPORTED_FILES["int8"]
COMPRESSED = (*PARTS, ".json", ".txt", ".tflite")
VARIANTS = (".gz", ".br")  # of a file, served instead of it
# Fetched when they are first needed: everything else is there after the first visit.
LATER = (f"{VENDOR}/litert_wasm", "models/", "icons/")


def build_site(target: Path, models: Path) -> list[dict[str, Any]]:
    """Write the page, LiteRT.js and every recognizer of a folder to `target`, each file with its `.gz` beside it.

    Args:
        target: the folder; what was in it goes.
        models: a folder of exported recognizers, each in a folder of its own.

    Returns:
        What `models/index.json` lists.

    Raises:
        MissingFileError: LiteRT.js was not fetched, or there is no recognizer, or one lacks a file.
        UserError: a recognizer's card or labels are damaged, or `target` is a file.
    """
    check_vendor()
    folders = find_models(models)
    with atomic_folder(target) as folder:
        for path in WEB.iterdir():
            if path.suffix in PARTS:
                shutil.copyfile(path, folder / path.name)
        shutil.copytree(WEB / VENDOR, folder / VENDOR)
        (folder / "icons").mkdir()
        for name, (size, maskable) in ICONS.items():
            draw_icon(WEB / "icon.svg", size, maskable).save(folder / "icons" / name, optimize=True)
        index = sorted((_add_model(source, folder / "models" / source.name) for source in folders), key=preference)
        write_json(folder / "models" / "index.json", index)
        _fill_service_worker(folder)
        _compress(folder)
    return index


def check_vendor() -> None:
    """Raise MissingFileError unless LiteRT.js stands in `web/vendor/`."""
    if not (WEB / VENDOR / "sizes.json").is_file():
        raise MissingFileError(f"LiteRT.js is not in {WEB / VENDOR}; fetch it with: npm ci --prefix {WEB}")


def find_models(models: Path) -> list[Path]:
    """Return the exported folders inside a folder, by name.

    Raises:
        MissingFileError: there is none.
    """
    folders = sorted(path.parent for path in models.glob(f"*/{CARD}"))
    if not folders:
        raise MissingFileError(f"{models} holds no exported recognizer; write one with: python export.py")
    return folders


def preference(entry: dict[str, Any]) -> tuple[bool, int, str]:
    """Return a sort key of `describe_model`'s lines: the first recognizer is the one that is used unless one is chosen.

    Those of pen strokes come first, of these the one with the most characters.
    """
    return entry["normalization"] != "ink-box", -entry["classes"], entry["name"]


def describe_model(folder: Path, repertoire: Repertoire) -> dict[str, Any]:
    """Return the line of a recognizer in `models/index.json`.

    Raises:
        MissingFileError, UserError: it has no card, or a damaged one.
    """
    card = read_card(folder)
    return {
        "name": folder.name,
        "title": card.get("title", folder.name),
        "classes": repertoire.told_apart,
        "scripts": list(_characters_of_scripts(repertoire)),
        "size": card["input"]["shape"][1],
        "normalization": card["input"]["normalization"],
        "bytes": (folder / MODEL_FILE).stat().st_size,
    }


def describe_classes(repertoire: Repertoire) -> dict[str, Any]:
    """Return a recognizer's `classes.json`: how the page's `ranking.js` gets from its classes to characters.

    `target` has the character of each class, -1 for what is no character; `groups` are equal for look-alikes; behind
    the `told_apart` first characters stand variants that are no classes, and `variants` has the forms of all variants.
    """
    target = np.full(len(repertoire.unknown), -1)
    target[~repertoire.unknown] = repertoire.target
    return {
        "characters": list(repertoire.characters),
        "told_apart": repertoire.told_apart,
        "variants": repertoire.variants,
        "target": target.tolist(),
        "groups": repertoire.groups.tolist(),
        "scripts": _characters_of_scripts(repertoire),
        "threshold": repertoire.threshold,
    }


def _characters_of_scripts(repertoire: Repertoire) -> dict[str, list[int]]:
    """Return the indices of the characters of each script that there are characters of."""
    found = {script: repertoire.members(script).tolist() for script in (*SCRIPTS, OTHER)}
    return {script: indices for script, indices in found.items() if indices}


def _add_model(source: Path, target: Path) -> dict[str, Any]:
    repertoire = Repertoire(load_predictor(source, "int8"))
    target.mkdir(parents=True)
    for name in (MODEL_FILE, LABELS, CARD):
        shutil.copyfile(source / name, target / name)
    _write_compact(target / "classes.json", describe_classes(repertoire))
    _write_compact(target / "strokes.json", stroke_guides(repertoire.characters))
    return describe_model(source, repertoire)


def _write_compact(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def _fill_service_worker(folder: Path) -> None:
    """Write into `sw.js` which files there are, the hash of each, and which of them the first visit fetches."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    paths = [path for path in paths if not path.endswith(VARIANTS) and path != "sw.js"]
    hashes = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest()[:12] for path in paths}
    shell = [path for path in paths if path == "models/index.json" or not path.startswith(LATER)]
    worker = folder / "sw.js"
    code = worker.read_text(encoding="utf-8")
    for name, empty, value in (("FILES", "{}", hashes), ("SHELL", "[]", shell)):
        line = f"const {name} = {empty};"
        if line not in code:
            raise ValueError(f"sw.js has no line {line!r}")
        code = code.replace(line, f"const {name} = {json.dumps(value, indent=2)};")
    worker.write_text(code, encoding="utf-8")


def _compress(folder: Path) -> None:
    """Put a `.gz` beside each file that shrinks and has none; LiteRT.js came with its own, and `.br`."""
    for path in sorted(folder.rglob("*")):
        packed = path.with_name(f"{path.name}.gz")
        if path.suffix not in COMPRESSED or packed.exists():
            continue
        content = path.read_bytes()
        compressed = gzip.compress(content, compresslevel=9, mtime=0)
        if len(compressed) < len(content):
            packed.write_bytes(compressed)
