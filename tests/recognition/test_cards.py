"""Labels and card inside a `.tflite` file: found by `zipfile`, harmless to the model, the same bytes every time."""

import hashlib
import io
import json
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.recognition import cards
from kuzushiji_tf.recognition.predictors import load_predictor

pytest_plugins = ["tests.exported"]

SHIPPED = Path(__file__).parents[2] / "saved_models" / "kana"
LABELS = Labels.read(SHIPPED / "labels.txt")
CARD = json.loads((SHIPPED / "model.json").read_text(encoding="utf-8"))


@pytest.fixture
def bare(tmp_path) -> Path:
    """A `.tflite` file alone in a folder, with nothing behind its model."""
    path = tmp_path / "downloaded.tflite"
    path.write_bytes(cards.model_bytes(SHIPPED / "model-int8.tflite"))
    return path


def _run(content: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_the_models_own_bytes_stay_and_answer_as_before(bare):
    before = bare.read_bytes()
    cards.embed(bare, LABELS, CARD)
    after = bare.read_bytes()
    assert after.startswith(before)
    assert 0 < len(after) - len(before) < 10_000
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 1)).astype(np.float32)
    assert np.array_equal(_run(after, image), _run(before, image))
    assert cards.model_bytes(bare) == before


def test_zipfile_alone_reads_both_and_nothing_is_compressed(bare):
    cards.embed(bare, LABELS, CARD)
    with zipfile.ZipFile(bare) as inside:
        assert inside.namelist() == ["labels.txt", "model.json"]
        assert {entry.compress_type for entry in inside.infolist()} == {zipfile.ZIP_STORED}
        assert inside.read("labels.txt").decode() == (SHIPPED / "labels.txt").read_text(encoding="utf-8")
        assert json.loads(inside.read("model.json"))["training"]["credit"] == CARD["training"]["credit"]


def test_what_is_read_is_what_was_put_there_but_sizes_and_hashes(bare):
    cards.embed(bare, LABELS, CARD)
    labels, card = cards.find_embedded(bare)
    assert labels == LABELS
    assert {**card, "files": None} == {**CARD, "files": None}
    assert card["files"].keys() == CARD["files"].keys()
    for name, figures in card["files"].items():
        assert not {"bytes", "sha256"} & figures.keys()
        assert figures["real_pen_accuracy"] == CARD["files"][name]["real_pen_accuracy"]


def test_the_bytes_depend_on_nothing_but_the_inputs_and_a_second_card_takes_the_place_of_the_first(bare):
    cards.embed(bare, LABELS, {**CARD, "name": "another"})
    cards.embed(bare, LABELS, CARD)
    once = bare.read_bytes()
    cards.embed(bare, LABELS, CARD)
    assert bare.read_bytes() == once
    assert b"another" not in once
    dates = {entry.date_time for entry in zipfile.ZipFile(io.BytesIO(once)).infolist()}
    assert dates == {(1980, 1, 1, 0, 0, 0)}


def test_a_lone_file_reads_its_own_labels_and_normalization(bare):
    cards.embed(bare, LABELS, CARD)
    predictor = load_predictor(bare)
    assert predictor.labels == LABELS
    assert predictor.normalization == "ink-box"
    others = Labels(tuple(chr(0x4E00 + index) for index in range(len(LABELS))))
    others.write(bare.parent / "labels.txt")
    assert load_predictor(bare).labels == others


def test_a_file_without_a_card_says_so(bare, tmp_path):
    assert cards.find_embedded(bare) is None
    assert cards.card_of(bare) == {}
    with pytest.raises(UserError, match=r"labels\.txt"):
        load_predictor(bare)
    with pytest.raises(MissingFileError, match="absent"):
        cards.find_embedded(tmp_path / "absent.tflite")


def test_an_archive_of_something_else_is_no_card(bare):
    with zipfile.ZipFile(bare, "a") as inside:
        inside.writestr("notes.txt", "hello")
    assert cards.find_embedded(bare) is None


@pytest.mark.parametrize(
    "old, new", [(b'"files"', b'"fools"'), ("あ\n".encode(), b"\xff\xff\xff\n"), (b"PK\x01\x02", b"PK\x00\x00")]
)
def test_damaged_bytes_are_told_from_missing_ones(bare, old, new):
    cards.embed(bare, LABELS, CARD)
    content = bare.read_bytes()
    start = content.rindex(old)
    bare.write_bytes(content[:start] + new + content[start + len(old) :])
    with pytest.raises(UserError, match="damaged"):
        cards.find_embedded(bare)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in SHIPPED.parent.glob("*/model.json")), ids=lambda path: path.name
)
def test_what_a_shipped_file_holds_agrees_with_what_lies_beside_it(folder, tmp_path):
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for path in folder.glob("*.tflite"):
        assert card["files"][path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        found = cards.find_embedded(path)
        if found is None:
            continue
        labels, inside = found
        assert labels == Labels.read(folder / "labels.txt")
        assert {**inside, "files": None} == {**card, "files": None}
        shutil.copy(path, tmp_path)
        assert load_predictor(tmp_path / path.name).labels == labels


def test_an_export_puts_labels_and_card_into_each_tflite_file(exported):
    card = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    paths = list(exported.glob("*.tflite"))
    assert len(paths) == 4
    for path in paths:
        labels, inside = cards.find_embedded(path)
        assert labels == Labels.read(exported / "labels.txt")
        assert inside["files"][path.name]["accuracy"] == card["files"][path.name]["accuracy"]
        assert inside["output"] == card["output"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_what_is_compressed_inside_a_file_is_not_unpacked(bare, method):
    """Half a megabyte that would unpack to 500."""
    with zipfile.ZipFile(bare, "a", method) as inside:
        inside.writestr("labels.txt", b"a" * (8 << 20))
        inside.writestr("model.json", json.dumps(CARD))
    with pytest.raises(UserError, match="damaged"):
        cards.find_embedded(bare)


@pytest.mark.parametrize("place, value", [(10, 99), (8, 1), (16, 0xFF), (42, 0xFF)])
def test_a_directory_that_lies_is_damage(bare, place, value):
    """Its method, its flag of encryption, its checksum, and where the member begins."""
    cards.embed(bare, LABELS, CARD)
    content = bytearray(bare.read_bytes())
    content[content.index(b"PK\x01\x02") + place] = value
    bare.write_bytes(content)
    for read in (cards.find_embedded, cards.model_bytes):
        with suppress(UserError):
            read(bare)
    with pytest.raises(UserError, match="damaged"):
        cards.find_embedded(bare)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"normalization": "none"}},
        {"input": {"normalization": "none", "shape": [1, "64", 64, 1]}},
        {"training": []},
        {"training": {"licence": 7}},
        {"title": {}},
        {"files": {"model-int8.tflite": "small"}},
        {"files": []},
    ],
)
def test_a_card_that_its_readers_cannot_use_is_refused(tmp_path, changes):
    (tmp_path / "model.json").write_text(json.dumps(CARD | changes), encoding="utf-8")
    with pytest.raises(UserError, match="not the card"):
        cards.read_card(tmp_path)
