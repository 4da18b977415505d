import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets import load_dataset, tomoe
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.tomoe import load_tomoe, load_tomoe_strokes
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.normalization import draw_ink

ENTRIES = [
    {"char": "十", "strokes": [[[10, 150], [290, 150]], [[150, 10], [150, 290]]], "writer": "b"},
    {"char": "い", "strokes": [[[50, 60], [60, 250]], [[210, 60], [230, 200]]], "writer": "a"},
    {"char": "十", "strokes": [[[0, 15], [30, 15]], [[15, 0], [15, 30]]], "writer": "a"},
    {"char": "旧「ね」", "strokes": [[[0, 0], [1, 1]]], "writer": "a"},
]


def write(folder: Path, lines: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tomoe.jsonl.gz"
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return path


def as_lines(entries):
    return [json.dumps(entry, ensure_ascii=False) for entry in entries]


@pytest.mark.parametrize("layout", ["", "tomoe"])
def test_drawings_become_images_with_classes_by_code_point(tmp_path, layout):
    write(tmp_path / layout, as_lines(ENTRIES))
    dataset = load_dataset("tomoe", "test", LoadOptions(data_dir=tmp_path))
    assert tuple(dataset.classes) == ("い", "十")
    assert dataset.labels.tolist() == [1, 0, 1] and dataset.groups.tolist() == [1, 0, 0]
    assert dataset.image_size == (32, 32) and dataset.licence == "Apache-2.0 or CC BY 4.0"
    cross = dataset.images[0].astype(int)
    assert (cross[2:30, 15:17] > 200).all() and (cross[15:17, 2:30] > 200).all() and not cross[:12, :12].any()
    np.testing.assert_array_equal(dataset.images[2], dataset.images[0], err_msg="size is normalized away")


def test_images_are_drawn_at_the_wanted_size(tmp_path):
    write(tmp_path, as_lines(ENTRIES))
    assert load_tomoe("test", LoadOptions(data_dir=tmp_path, image_size=48)).images.shape == (3, 48, 48)
    drawn = load_tomoe("test", LoadOptions(data_dir=tmp_path, stroke_size=40))
    assert (drawn.image_size, drawn.ink, drawn.normalization) == ((40, 40), "pen", "ink-box")


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    write(tmp_path, as_lines(ENTRIES))
    monkeypatch.setenv("KUZUSHIJI_DATA", str(tmp_path))
    assert [drawing.character for drawing in load_tomoe_strokes()] == ["十", "い", "十"]
    monkeypatch.delenv("KUZUSHIJI_DATA")
    with pytest.raises(MissingFileError, match="--data-dir or KUZUSHIJI_DATA"):
        load_tomoe_strokes()


def test_a_missing_file_is_refused_with_the_places_looked_at(tmp_path):
    with pytest.raises(MissingFileError, match=r"tomoe\.jsonl\.gz"):
        load_tomoe_strokes(tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[1, 2]",
        '{"char": "い", "writer": "a"}',
        '{"char": "", "strokes": [[[0, 0]]], "writer": "a"}',
        '{"char": "い", "strokes": [], "writer": "a"}',
        '{"char": "い", "strokes": [[[0, null]]], "writer": "a"}',
        '{"char": "い", "strokes": 3, "writer": "a"}',
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path, bad):
    lines = as_lines(ENTRIES)
    write(tmp_path, [*lines[:2], bad, *lines[2:]])
    with pytest.raises(UserError, match=r"tomoe\.jsonl\.gz, line 3: "):
        load_tomoe_strokes(tmp_path)


def test_a_truncated_or_foreign_file_is_refused(tmp_path):
    path = write(tmp_path, as_lines(ENTRIES * 200))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-4], b"PK\x03\x04 no gzip", gzip.compress(b"\xff\xfe\n")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"tomoe\.jsonl\.gz.*damaged"):
            load_tomoe_strokes(tmp_path)


def test_a_file_without_drawings_is_refused(tmp_path):
    write(tmp_path, as_lines(ENTRIES[3:]))
    with pytest.raises(UserError, match="no drawing"):
        load_tomoe_strokes(tmp_path)


def test_it_is_for_tests_only():
    with pytest.raises(UserError, match="'train' split"):
        load_dataset("tomoe", "train")


def test_the_real_drawings_load(data_dir):
    drawings = load_tomoe_strokes(data_dir)
    characters = {drawing.character for drawing in drawings}
    assert len(drawings) == 3045 and len(characters) == 3009 and {"あ", "ん", "日", "鵬"} <= characters
    amount = np.stack([draw_ink(drawing.strokes, 32) for drawing in drawings[::20]]).mean(axis=(1, 2))
    assert amount.min() > 5 and amount.max() < 150


def test_neither_a_line_nor_the_file_is_endless(tmp_path, monkeypatch):
    monkeypatch.setattr(tomoe, "LONGEST_LINE", 2000)
    monkeypatch.setattr(tomoe, "LONGEST_FILE", 20_000)
    write(tmp_path, as_lines(ENTRIES) * 100)
    with pytest.raises(UserError, match="unpacks to more"):
        load_tomoe_strokes(tmp_path)
    write(tmp_path, [*as_lines(ENTRIES), " " * 5000])
    with pytest.raises(UserError, match="line 5"):
        load_tomoe_strokes(tmp_path)


def test_a_line_nested_without_end_is_refused_by_its_number(tmp_path):
    write(tmp_path, [*as_lines(ENTRIES), '{"char": "あ", "writer": "a", "strokes": ' + "[" * 100_000])
    with pytest.raises(UserError, match="line 5"):
        load_tomoe_strokes(tmp_path)
