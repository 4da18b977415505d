"""The command `data`: each action's files and words, and one sentence for what a person can mend."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.batches import materializing
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.cli import data as command
from kuzushiji_tf.cli import main
from kuzushiji_tf.datasets import CharacterDataset, download, load_dataset, registry
from kuzushiji_tf.datasets.decoded import open_decoded
from kuzushiji_tf.datasets.kmnist import MD5
from kuzushiji_tf.errors import UserError

LABELS = Labels(tuple("あいう"))
ROOT = Path(__file__).parents[2]
KMNIST_FILES = [name for name in MD5 if name.startswith("kmnist")]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, an empty cache, and no data or network."""

    def refuse(*arguments, **more):
        raise AssertionError("a download was tried")

    monkeypatch.setattr(download.pooch, "retrieve", refuse)
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def toy(monkeypatch) -> list:
    """Let every registered data set be a few small images; lists each one asked for."""
    asked = []

    def load_dataset(name, split, options):
        asked.append((name, split, options))
        values = np.arange(1, 7) if split == "train" else np.arange(6, 8)
        images = np.repeat(values.astype(np.uint8), 64).reshape(-1, 8, 8)
        labels = np.array([0, 0, 0, 2, 2, 0][: len(values)], np.int32)
        return CharacterDataset(name, split, images, labels, LABELS, "CC0", "nobody")

    monkeypatch.setattr(command, "load_dataset", load_dataset)
    return asked


def refusal(capsys, *arguments: str) -> str:
    assert main(["data", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_the_list_has_a_line_for_every_data_set(capsys):
    assert main(["data", "list", "--json"]) == 0
    printed = capsys.readouterr()
    table, listed = printed.err.splitlines(), json.loads(printed.out)
    assert list(listed) == list(registry.dataset_entries())
    for name, entry in registry.dataset_entries().items():
        (line,) = [line for line in table if line.split()[:1] == [name]]
        assert f"{entry.classes:,}" in line
        assert entry.licence in line
        assert listed[name]["present"] == (entry.finder is None)


def test_the_list_says_which_files_are_there_without_reading_them(elsewhere, capsys):
    (elsewhere / "files" / "kmnist").mkdir(parents=True)
    for name in KMNIST_FILES:
        (elsewhere / "files" / "kmnist" / name).touch()
    assert main(["data", "list", "--data-dir", "files", "--json"]) == 0
    listed = _json(capsys)
    assert listed["kmnist"]["present"]
    assert listed["kmnist"]["path"] == "files/kmnist"
    assert not listed["k49"]["present"]


def test_what_needs_no_download_is_said(capsys):
    assert main(["data", "download", "kana"]) == 0
    assert {"kana", "kanjivg"} <= set(capsys.readouterr().out.strip(".\n").split())


@pytest.mark.parametrize(
    "name", [name for name, entry in registry.dataset_entries().items() if entry.finder and not entry.downloader]
)
def test_what_cannot_be_downloaded_says_what_to_do(capsys, name):
    sentence = refusal(capsys, "download", name)
    assert name in sentence
    assert "--data-dir or KUZUSHIJI_DATA" in sentence


def test_a_download_says_where_the_files_lie(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(command, "resolve", lambda reference: lambda: Path("fetched by", reference))
    assert main(["data", "download", "kmnist+k49+kana"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert "fetched by/kmnist:download_kmnist" in first
    assert "fetched by/kmnist:download_k49" in second
    assert third.startswith("kana ")


def test_files_of_ones_own_are_not_downloaded_again_but_those_in_the_cache_are_verified(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(command, "resolve", lambda reference: lambda: "the verified cache")
    for place in ("files", "cache"):
        (elsewhere / place / "kmnist").mkdir(parents=True)
        for name in KMNIST_FILES:
            (elsewhere / place / "kmnist" / name).touch()
    assert main(["data", "download", "kmnist", "--data-dir", "files"]) == 0
    assert "files/kmnist" in capsys.readouterr().out
    assert main(["data", "download", "kmnist"]) == 0
    assert "the verified cache" in capsys.readouterr().out


def test_an_inspection_writes_tables_and_pictures(toy, elsewhere, capsys):
    assert main(["data", "inspect", "kmnist", "--classes", "kanji", "--image-size", "16", "--json"]) == 0
    summary = _json(capsys)
    folder = elsewhere / "inspection" / "kmnist-train"
    assert {path.name for path in folder.iterdir()} == {
        "summary.json",
        "classes.csv",
        "imbalance.png",
        "contact_sheet.png",
    }
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == summary
    assert (summary["images"], summary["classes"], summary["empty_classes"]) == (6, 3, 1)
    (_, _, options) = toy[0]
    assert (options.classes, options.image_size) == ("kanji", 16)


def test_an_inspection_tells_a_person_its_figures(toy, capsys):
    assert main(["data", "inspect", "kmnist", "--split", "test"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("kmnist, test split: 2 images of 8 x 8 pixels\n3 classes, 2 of them without images\n")
    assert "tables and pictures: inspection/kmnist-test" in printed


def test_an_inspection_takes_the_place_of_an_earlier_one_and_of_nothing_else(toy, elsewhere, capsys):
    assert main(["data", "inspect", "kmnist", "--output", "seen"]) == 0
    (elsewhere / "seen" / "stray.txt").touch()
    assert main(["data", "inspect", "k49", "--output", "seen"]) == 0
    assert not (elsewhere / "seen" / "stray.txt").exists()
    (elsewhere / "letters").mkdir()
    (elsewhere / "letters" / "to_mother.txt").touch()
    assert "letters" in refusal(capsys, "inspect", "kmnist", "--output", "letters")
    assert (elsewhere / "letters" / "to_mother.txt").exists()


def test_an_interrupted_inspection_leaves_nothing(toy, elsewhere, monkeypatch, capsys):
    def interrupt(dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr("kuzushiji_tf.evaluation.contact_sheets.contact_sheet", interrupt)
    assert main(["data", "inspect", "kmnist", "--output", "seen"]) == 130
    assert list(elsewhere.iterdir()) == []
    assert capsys.readouterr().err == "\nstopped\n"


def test_a_split_file_holds_every_image_of_every_split(toy, elsewhere, capsys):
    assert main(["data", "split", "kmnist", "--output", "split.csv"]) == 0
    note, last = capsys.readouterr().out.splitlines()
    content = (elsewhere / "split.csv").read_bytes()
    assert last == f"split.csv: 6 train, 2 test; sha256 {hashlib.sha256(content).hexdigest()}"
    assert note.startswith("note: 1 images stand in more than one split")
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert [row["split"] for row in rows] == ["train"] * 6 + ["test"] * 2
    first_pixels = bytes([8, 0, 0, 0, 8, 0, 0, 0]) + bytes([1] * 64)
    assert hashlib.sha256(first_pixels).hexdigest() in [row["key"] for row in rows if row["character"] == "あ"]
    assert main(["data", "split", "kmnist", "--output", "again.csv"]) == 0
    assert (elsewhere / "again.csv").read_bytes() == content


def test_a_split_file_of_a_mixture_has_the_splits_that_all_parts_have(toy, elsewhere):
    assert main(["data", "split", "kkanji-low-shot+kmnist", "--output", "split.csv"]) == 0
    assert [split for _, split, _ in toy] == ["train", "test"]
    toy.clear()
    assert main(["data", "split", "kkanji-low-shot", "--output", "split.csv"]) == 0
    assert [split for _, split, _ in toy] == ["train", "support", "test"]


def test_a_data_set_is_written_as_arrays_checked_and_looked_at(elsewhere, capsys):
    flags = ["--classes", "あい", "--per-class", "3", "--image-size", "16", "--output", "arrays"]
    assert main(["data", "materialize", "kana", *flags]) == 0
    assert "python train.py --dataset" in capsys.readouterr().out
    assert main(["data", "verify", "arrays", "--json"]) == 0
    found = _json(capsys)
    assert (found["images"], found["counts"]) == (6, {"あ": 3, "い": 3})
    assert main(["data", "inspect", "arrays", "--json"]) == 0
    assert _json(capsys)["images"] == 6
    assert (elsewhere / "inspection" / "arrays-train" / "contact_sheet.png").exists()
    with open(elsewhere / "arrays" / "images.npy", "r+b") as images:
        images.seek(-1, os.SEEK_END)
        images.write(b"\x77")
    assert "arrays" in refusal(capsys, "verify", "arrays")


def test_the_flags_of_materialize_reach_it(toy, monkeypatch, capsys):
    calls = []

    def materialize(dataset, folder, balance, **more):
        calls.append((dataset.name, dataset.split, folder, balance, more))
        return folder

    monkeypatch.setattr(materializing, "materialize", materialize)
    monkeypatch.setattr("kuzushiji_tf.batches.startup.start_tensorflow", lambda: None)
    flags = ["--balance", "9", "--seed", "4", "--format", "tfrecord", "--overwrite", "--skip-damaged"]
    assert main(["data", "materialize", "kmnist", "--output", "made", *flags]) == 0
    assert calls == [
        ("kmnist", "train", Path("made"), materializing.Balance(9, 4), {"form": "tfrecord", "overwrite": True})
    ]
    assert toy[0][2].skip_damaged
    assert "TFRecord" in capsys.readouterr().out


def test_what_is_made_of_ones_own_images_says_where_they_are(elsewhere, capsys):
    (elsewhere / "mine").mkdir()
    images = np.zeros((14, 8, 8), np.uint8)
    images[:, 2:6, 3] = 255
    images[np.arange(14), 1, np.arange(14) % 8] = 100 + np.arange(14)
    np.savez(elsewhere / "mine" / "kana.npz", images=images, labels=np.array(["あ"] * 14))
    assert main(["data", "materialize", "mine/kana.npz", "--output", "made"]) == 0
    source = str(elsewhere / "mine" / "kana.npz")
    assert json.loads((elsewhere / "made" / "origin.json").read_text(encoding="utf-8"))["dataset"] == source
    assert f"--dataset {source}" in capsys.readouterr().out
    made = load_dataset("made/", "train")
    assert (made.name, made.ink, made.normalization) == ("made", "scanned", "none")
    with pytest.raises(UserError, match=f"--dataset {source}"):
        load_dataset("made/", "test")


def test_an_interrupted_materialize_says_how_to_go_on(toy, monkeypatch, capsys):
    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(materializing, "materialize", interrupt)
    assert main(["data", "materialize", "kmnist", "--output", "made"]) == 130
    assert "same command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["inspct"], "'inspect'"),
        (["inspect", "kmnst"], "'kmnist'"),
        (["inspect", "kmnist+k94"], "'k49'"),
        (["inspect", "kmnist", "--split", "tset"], "train, test"),
        (["inspect", "kmnist", "--image-size", "3"], "image_size is 3"),
        (["inspect", "kmnist", "--image-size", "100000000"], "image_size is 100000000"),
        (["inspect", "kana", "--per-class", "0"], "per_class is 0"),
        (["inspect", "absent/folder"], "absent/folder"),
        (["download", "kmnst"], "'kmnist'"),
        (["download", "my/folder"], "my/folder"),
        (["split", "kmnst", "--output", "split.csv"], "'kmnist'"),
        (["split", "kana", "--output", "."], "--output"),
        (["materialize", "kmnst", "--output", "made"], "'kmnist'"),
        (["verify", "absent"], "absent/images.npy"),
        (["list", "--data-dir", "absent"], "--data-dir absent"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_answered_in_one_sentence(elsewhere, capsys, arguments, fact):
    assert fact in refusal(capsys, *arguments)
    assert list(elsewhere.iterdir()) == []


def test_a_sentence_of_the_library_is_passed_on(monkeypatch, capsys):
    def load_dataset(name, split, options):
        raise UserError("the file is damaged.")

    monkeypatch.setattr(command, "load_dataset", load_dataset)
    assert "the file is damaged" in refusal(capsys, "inspect", "kmnist")


@pytest.mark.parametrize("action", ["list", "download", "inspect", "split", "materialize", "verify"])
def test_every_flag_of_every_action_is_explained(action, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", action, "--help"])
    assert stop.value.code == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    words = ("NAME", "DIR", "PATH", "INT", "STR", "json", "overwrite", "damaged")
    assert not any(f"{word} ({kind}" in printed for word in words for kind in ("default", "required"))


def test_the_split_of_real_images_is_reproduced(data_dir, elsewhere, capsys):
    assert main(["data", "split", "kmnist", "--data-dir", str(data_dir), "--output", "split.csv"]) == 0
    assert capsys.readouterr().out == (
        "split.csv: 60,000 train, 10,000 test; "
        "sha256 6a12ca45936b5a09215d166f2f7cedb577b877564220692ce50056257c00849e\n"
    )


@pytest.mark.parametrize(
    "arguments", [["train.py", "--help"], ["-m", "kuzushiji_tf"], ["-m", "kuzushiji_tf", "data", "list"]]
)
def test_a_reader_who_leaves_early_sees_no_traceback(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        finished = subprocess.run([sys.executable, *arguments], stdout=writing, stderr=subprocess.PIPE, cwd=ROOT)
    finally:
        os.close(writing)
    assert finished.stderr == b""
    assert finished.returncode == 141


def test_the_cache_is_listed_and_what_is_stale_removed(elsewhere, capsys):
    def write(folder):
        (folder / "images.bin").write_bytes(bytes(3_000_000))

    assert main(["data", "cache"]) == 0
    assert "Nothing" in capsys.readouterr().out
    for name in ("here", "gone"):
        (elsewhere / name).touch()
        open_decoded(name, elsewhere / name, {}, write)
    (elsewhere / "gone").unlink()
    assert main(["data", "cache", "--json"]) == 0
    listed = {entry["name"].partition("-")[0]: entry for entry in _json(capsys)["decoded"]}
    assert {name: entry["stale"] for name, entry in listed.items()} == {"here": False, "gone": True}
    assert listed["here"]["bytes"] > 3_000_000
    assert main(["data", "cache", "--remove", "stale", "--json"]) == 0
    assert [entry["name"] for entry in _json(capsys)["decoded"]] == [listed["here"]["name"]]
    assert main(["data", "cache", "--remove", "all"]) == 0
    assert "Nothing" in capsys.readouterr().out


def test_a_set_is_written_as_class_folders(toy, capsys):
    assert main(["data", "materialize", "kmnist", "--output", "made", "--format", "folders"]) == 0
    assert "train.py --dataset" in capsys.readouterr().out
    assert len(list(Path("made").glob("U+3042/*.png"))) == 4
