"""Class index, character and code point: labels.txt and index.json, and what is wrong with others."""

import json
from pathlib import Path

import pytest

from kuzushiji_tf.characters.labels import Labels, from_code_point, to_code_point
from kuzushiji_tf.errors import MissingFileError, UserError

# A kanji beyond the basic plane, a combining sequence, the iteration mark, and characters that files may trip over.
UNUSUAL = Labels(("あ", "𠮟", "か\u3099", "ゝ", "\u3000", '"', ",", " "))


@pytest.mark.parametrize(("write", "read"), [("write", "read"), ("write_index_json", "read_index_json")])
def test_files_come_back_as_they_were(tmp_path, write, read):
    getattr(UNUSUAL, write)(tmp_path / "labels")
    assert getattr(Labels, read)(tmp_path / "labels") == UNUSUAL


def test_labels_file_is_one_class_a_line(tmp_path):
    Labels(("あ", "い")).write(tmp_path / "labels.txt")
    assert (tmp_path / "labels.txt").read_bytes() == "あ\nい\n".encode()


def test_labels_file_of_a_windows_editor_is_read(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbf" + "あ\r\nい\r\n".encode())
    assert Labels.read(tmp_path / "labels.txt") == Labels(("あ", "い"))


def test_index_json_is_the_one_of_efficientnet_kuzushijikanji(tmp_path):
    Labels(("あ", "𠮟")).write_index_json(tmp_path / "index.json")
    expected = {"codepoint_to_id": {"あ (U+3042)": 0, "𠮟 (U+20B9F)": 1}}
    assert json.loads((tmp_path / "index.json").read_text(encoding="utf-8")) == expected
    (tmp_path / "index.json").write_text('{"codepoint_to_id": {"𠮟 (U+20B9F)": 1, "あ (U+3042)": 0}}', encoding="utf-8")
    assert Labels.read_index_json(tmp_path / "index.json") == Labels(("あ", "𠮟"))


def test_labels_answer_as_a_sequence():
    labels = Labels(("あ", "い"))
    assert list(labels) == ["あ", "い"]
    assert "い" in labels
    assert "う" not in labels
    with pytest.raises(UserError, match=r"'う'.* 2 classes"):
        labels.index_of("う")


@pytest.mark.parametrize(
    ("characters", "problem"),
    [
        (("あ", ""), "empty"),
        (("あ", "い", "あ"), "Class 2 .* twice"),
        (("あ\nい",), "line break"),
        (("\u2028",), "line"),
    ],
)
def test_class_that_is_empty_double_or_two_lines_is_refused(characters, problem):
    with pytest.raises(UserError, match=problem):
        Labels(characters)


@pytest.mark.parametrize("text", ["あ", "𠮟", "か\u3099"])
def test_code_points_come_back_as_they_were(text):
    assert from_code_point(to_code_point(text)) == text


@pytest.mark.parametrize(
    "text", ["", "3042", "U+", "U+30", "U+3042x", "U+D800", "U+110000", "U+1234567", "あ", "U+3042,U+3044"]
)
def test_what_is_no_code_point_is_refused(text):
    with pytest.raises(UserError, match="here: "):
        from_code_point(text, "here")


@pytest.mark.parametrize("read", [Labels.read, Labels.read_index_json])
def test_missing_file_is_a_missing_file_error(tmp_path, read):
    with pytest.raises(MissingFileError, match="absent"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("read", [Labels.read, Labels.read_index_json])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", None], ids=["empty", "no text", "folder"])
def test_unreadable_file_is_refused_in_one_sentence(tmp_path, read, content):
    path = tmp_path / "labels"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    read = {".json": Labels.read_index_json, ".txt": Labels.read}[path.suffix]
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "index.json"),
        ("[1]", "index.json"),
        ("[" * 100_000, "index.json"),
        ('{"codepoint_to_id": ["あ"]}', "index.json"),
        ('{"codepoint_to_id": {}}', "index.json"),
        ('{"codepoint_to_id": {"あ (U+3042)": 1}}', "from 0 on"),
        ('{"codepoint_to_id": {"あ (U+3042)": 0.5}}', "from 0 on"),
        ('{"codepoint_to_id": {"あ (U+3042)": Infinity}}', "from 0 on"),
        ('{"codepoint_to_id": {"あ (U+3042)": "0"}}', "from 0 on"),
        ('{"codepoint_to_id": {"あ (U+3042)": 0, "い (U+3044)": 0}}', "from 0 on"),
        ('{"codepoint_to_id": {"い (U+3042)": 0}}', "code point"),
        ('{"codepoint_to_id": {"あ": 0}}', "code point"),
        ('{"codepoint_to_id": {"あ (U+110000)": 0}}', "Unicode"),
    ],
)
def test_damaged_index_json_is_refused(tmp_path, text, problem):
    assert problem in refusal(tmp_path / "index.json", text)


def test_labels_file_with_a_gap_or_a_double_is_refused(tmp_path):
    assert "Class 1" in refusal(tmp_path / "labels.txt", "あ\n\nい\n")
    assert "twice" in refusal(tmp_path / "labels.txt", "あ\nあ\n")
