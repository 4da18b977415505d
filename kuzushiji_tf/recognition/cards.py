"""The card of a recognizer (`model.json`): beside its files, and with its labels inside each `.tflite` file.

Inside, both are a zip archive after the model, as TFLite's associated files are kept. The model's own bytes stay as
they are, so every runtime loads the file as before; `zipfile`, `unzip` and TFLite's metadata tools find the archive by
its end. Nothing in it is compressed: TFLite's readers on phones refuse that.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import require_known_schema
from kuzushiji_tf.datasets.archives import DAMAGE
from kuzushiji_tf.datasets.core import NORMALIZATIONS
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import LARGEST_TEXT, atomic_path, parse_json, read_json

CARD = "model.json"
LABELS = "labels.txt"
# What an exported folder holds besides: short name -> file or folder.
EXPORTED_FILES = {
    "float32": "model-float32.tflite",
    "float16": "model-float16.tflite",
    "int8": "model-int8.tflite",
    "keras": "model.keras",
    "saved_model": "saved_model",
}
END_RECORD = 22  # bytes of a zip archive's last record
OWN_FIGURES = ("bytes", "sha256")  # of a file, which its inside cannot know


def read_card(folder: str | Path) -> dict[str, Any]:
    """Return the card of an exported folder.

    Raises:
        MissingFileError: it has none.
        UserError: the card is damaged, or of a later version.
    """
    path = Path(folder) / CARD
    try:
        card = read_json(path)
    except MissingFileError:
        raise MissingFileError(f"{folder} is not an exported folder: it has no {CARD}.") from None
    if not is_card(card):
        raise UserError(f"{path} is not the card of an exported recognizer; export it again.")
    require_known_schema(card, path)
    return card


def card_of(path: Path) -> dict[str, Any]:
    """Return the card beside a file or inside it; an empty one where there is none.

    Raises:
        UserError: it is damaged.
    """
    if (path.parent / CARD).exists():
        return read_card(path.parent)
    inside = find_embedded(path) if path.is_file() and path.suffix == ".tflite" else None
    return inside[1] if inside else {}


def is_card(value: Any) -> bool:
    """Return whether a value, as it comes from JSON, is the card of an exported recognizer."""
    try:
        (_, height, width, _) = value["input"]["shape"]
        training, files = value.get("training", {}), value["files"]
        texts = [value.get("title", ""), *(training.get(name, "") for name in ("licence", "credit"))]
        return (
            value["input"]["normalization"] in NORMALIZATIONS
            and all(type(side) is int for side in (height, width))
            and all(isinstance(figures, dict) for figures in files.values())
            and all(isinstance(text, str) for text in texts)
        )
    except (LookupError, AttributeError, TypeError, ValueError):
        return False


def embed(path: Path, labels: Labels, card: dict[str, Any]) -> None:
    """Put labels and card into a `.tflite` file, in place of those that it holds; equal inputs give equal bytes.

    The card inside is the one beside the file without `bytes` and `sha256` of `card["files"]`: a file cannot hold its
    own hash.

    Raises:
        MissingFileError: no such file.
        UserError: what follows the model is not a readable archive.
    """
    files = {
        name: {key: value for key, value in figures.items() if key not in OWN_FIGURES}
        for name, figures in card["files"].items()
    }
    content = {
        LABELS: "".join(f"{character}\n" for character in labels),
        CARD: json.dumps({**card, "files": files}, ensure_ascii=False, indent=2) + "\n",
    }
    archive = io.BytesIO(model_bytes(path))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as inside:
        for name, text in content.items():
            entry = zipfile.ZipInfo(name)  # its date is fixed: 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            inside.writestr(entry, text.encode())
    with atomic_path(path) as temporary:
        temporary.write_bytes(archive.getvalue())


def model_bytes(path: Path) -> bytes:
    """Return the model of a `.tflite` file, without what was put behind it.

    Raises:
        MissingFileError, UserError: as `embed`.
    """
    content = _content(path)
    if not _ends_in_archive(content):
        return content
    with _open(content, path) as inside:
        end = min(entry.header_offset for entry in inside.infolist())
    if not 0 <= end <= len(content):
        raise _damaged_archive(path)
    return content[:end]


def find_embedded(path: Path) -> tuple[Labels, dict[str, Any]] | None:
    """Return labels and card from inside a `.tflite` file, or None where it holds none.

    Raises:
        MissingFileError: no such file.
        UserError: it holds them, but damaged or of a later version.
    """
    content = _content(path)
    if not _ends_in_archive(content):
        return None
    with _open(content, path) as inside:
        if not {LABELS, CARD} <= set(inside.namelist()):
            return None
        try:
            labels = Labels(tuple(_read_text(inside, LABELS).splitlines()))
            card = parse_json(_read_text(inside, CARD), path)
        except DAMAGE:
            card = None
    if not is_card(card) or not len(labels):
        raise UserError(f"{path} holds damaged labels or a damaged card; fetch or export it again.")
    require_known_schema(card, path)
    return labels, card


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None


def _ends_in_archive(content: bytes) -> bool:
    """Return whether a file ends in the record that ends a zip archive, without a comment; weights may resemble one."""
    return content[-END_RECORD:].startswith(b"PK\x05\x06")


def _open(content: bytes, path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except DAMAGE:
        archive = None
    if archive is None or not archive.infolist():
        raise _damaged_archive(path)
    return archive


def _read_text(archive: zipfile.ZipFile, name: str) -> str:
    """Return a text of an archive behind a model, where nothing is compressed.

    Raises:
        ValueError and what else damage raises: it is compressed, too long, or no UTF-8.
    """
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > LARGEST_TEXT:
        raise ValueError(name)
    return archive.read(entry).decode()


def _damaged_archive(path: Path) -> UserError:
    return UserError(f"{path} holds a damaged archive behind the model; fetch or export it again.")
