"""Data sets written out: as others read them, whole or not at all, and the same after any interruption."""

import errno
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.batches import forms, materializing
from kuzushiji_tf.batches.materializing import Balance, materialize
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import ImageAugmentation
from kuzushiji_tf.datasets import CharacterDataset, decoded, load_dataset
from kuzushiji_tf.errors import UserError
from tests.making import random_dataset

PROJECT = Path(__file__).parents[2]
TURNED = ImageAugmentation(rotation_range=20, brightness_range=(0.7, 1.2))


@pytest.fixture
def dataset():
    return random_dataset(200)


@pytest.fixture
def small_steps(monkeypatch):
    """Progress is noted every 64 images."""
    monkeypatch.setattr(materializing, "LOT", 32)
    monkeypatch.setattr(forms, "WINDOW", 64)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stopping(monkeypatch, lots):
    """Make the first call end as by Ctrl-C after that many lots."""
    plain, balanced = materializing._plain_lots, materializing._balanced_lots

    def interrupted(source):
        for number, lot in enumerate(source):
            if number == lots:
                raise KeyboardInterrupt
            yield lot

    monkeypatch.setattr(materializing, "_plain_lots", lambda *arguments: interrupted(plain(*arguments)))
    monkeypatch.setattr(materializing, "_balanced_lots", lambda *arguments: interrupted(balanced(*arguments)))


def test_plain_set_is_written_as_it_is(tmp_path, dataset):
    folder = materialize(dataset, tmp_path / "set")
    assert sorted(contents(folder)) == ["images.npy", "index.json", "labels.npy", "origin.json", "originals.npy"]
    np.testing.assert_array_equal(np.load(folder / "images.npy"), dataset.images)
    np.testing.assert_array_equal(np.load(folder / "originals.npy"), np.arange(200))
    labels = np.load(folder / "labels.npy")
    assert labels.dtype == np.int32
    written = Labels.read_index_json(folder / "index.json")
    assert [written[label] for label in labels] == [dataset.classes[label] for label in dataset.labels]
    for name in ("images", "labels"):
        stream = io.BytesIO()
        np.save(stream, np.load(folder / f"{name}.npy"))
        assert (folder / f"{name}.npy").read_bytes() == stream.getvalue()


def test_classes_stand_in_the_order_of_their_folders_names(tmp_path):
    """As text, U+2000B comes before U+3042."""
    images = np.arange(1, 4, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    labels = np.array([2, 0, 1], np.int32)
    dataset = CharacterDataset("mine", "train", images, labels, Labels(("う", "𠀋", "あ")), "", "")
    folder = materialize(dataset, tmp_path / "set")
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["codepoint_to_id"]
    assert list(index.items()) == [("𠀋 (U+2000B)", 0), ("あ (U+3042)", 1), ("う (U+3046)", 2)]
    np.testing.assert_array_equal(np.load(folder / "labels.npy"), [1, 2, 0])


def test_origin_says_what_the_files_were_made_from(tmp_path, dataset):
    folder = materialize(dataset, tmp_path / "set")
    origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    assert (origin["dataset"], origin["split"], origin["balance"]) == ("kmnist", "train", 0)
    assert (origin["licence"], origin["credit"]) == ("a licence", "a credit")
    assert origin["source_hash"] == dataset.content_hash
    images, labels = (np.load(folder / f"{name}.npy") for name in ("images", "labels"))
    written = replace(dataset, images=images, labels=labels, classes=Labels.read_index_json(folder / "index.json"))
    assert origin["content_hash"] == written.content_hash


@pytest.mark.parametrize("augmentation", [ImageAugmentation(), TURNED], ids=["source's", "user's"])
def test_balanced_set_is_the_virtual_one(tmp_path, dataset, augmentation):
    import tensorflow as tf

    from kuzushiji_tf.batches.balancing import balanced_maker
    from kuzushiji_tf.batches.sampling import BalancedPlan

    folder = materialize(dataset, tmp_path / "set", Balance(45, 3, augmentation))
    plan = BalancedPlan(dataset.labels, np.arange(200), 45, 3)
    maker = balanced_maker(dataset, plan, augmentation)
    images, labels, rows = maker(tf.range(450, dtype=tf.int64))
    np.testing.assert_array_equal(np.load(folder / "images.npy"), images)
    np.testing.assert_array_equal(np.load(folder / "labels.npy"), labels)
    np.testing.assert_array_equal(np.load(folder / "originals.npy"), rows)


def test_balanced_set_goes_on_where_it_was_interrupted(tmp_path, dataset, monkeypatch, small_steps):
    whole = materialize(dataset, tmp_path / "whole", Balance(45, 3, TURNED))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, lots=7)
        materialize(dataset, tmp_path / "set", Balance(45, 3, TURNED))
    assert not (tmp_path / "set").exists()
    started = []
    lots = materializing._balanced_lots
    monkeypatch.setattr(materializing, "_balanced_lots", lambda *rest: started.append(rest[2]) or lots(*rest))
    resumed = materialize(dataset, tmp_path / "set", Balance(45, 3, TURNED))
    assert started == [192]  # 6 lots of 32 were noted
    assert contents(resumed) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "whole"]


def test_set_goes_on_after_a_kill(tmp_path, dataset, small_steps):
    whole = materialize(dataset, tmp_path / "whole")
    child = f"""
import os
from kuzushiji_tf.batches import forms, materializing
from tests.making import random_dataset
lots = materializing._plain_lots
def killed(*arguments):
    for number, lot in enumerate(lots(*arguments)):
        if number == 5:
            os.kill(os.getpid(), {signal.SIGKILL})
        yield lot
materializing.LOT, forms.WINDOW, materializing._plain_lots = 32, 64, killed
materializing.materialize(random_dataset(200), {str(tmp_path / "set")!r})
"""
    assert subprocess.run([sys.executable, "-c", child], cwd=PROJECT).returncode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    assert json.loads((tmp_path / ".set.partial" / "progress.json").read_text()) == {"images": 128}
    assert contents(materialize(dataset, tmp_path / "set")) == contents(whole)


def test_unfinished_set_with_other_arguments_is_refused_or_started_anew(tmp_path, dataset, monkeypatch, small_steps):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, lots=5)
        materialize(dataset, tmp_path / "set")
    with pytest.raises(UserError, match="unfinished set with split = train, not test"):
        materialize(replace(dataset, split="test"), tmp_path / "set")
    folder = materialize(replace(dataset, split="test"), tmp_path / "set", overwrite=True)
    np.testing.assert_array_equal(np.load(folder / "images.npy"), dataset.images)


def test_interruption_before_the_first_note_leaves_nothing(tmp_path, dataset, monkeypatch):
    stopping(monkeypatch, lots=0)
    with pytest.raises(KeyboardInterrupt):
        materialize(dataset, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_existing_set_is_replaced_only_on_request(tmp_path, dataset):
    materialize(dataset, tmp_path / "set")
    other = random_dataset(50, seed=1)
    with pytest.raises(UserError, match="--overwrite"):
        materialize(other, tmp_path / "set")
    materialize(other, tmp_path / "set", overwrite=True)
    assert len(np.load(tmp_path / "set" / "images.npy")) == 50
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_foreign_files_are_never_replaced(tmp_path, dataset):
    folder = materialize(dataset, tmp_path / "set")
    (folder / "thesis.txt").write_text("three years of work")
    (tmp_path / "file").write_text("another")
    with pytest.raises(UserError, match=r"other files \(thesis.txt\)"):
        materialize(dataset, folder, overwrite=True)
    with pytest.raises(UserError, match="other files"):
        materialize(dataset, tmp_path, overwrite=True)
    with pytest.raises(UserError, match="is a file"):
        materialize(dataset, tmp_path / "file", overwrite=True)
    with pytest.raises(UserError, match="cannot be written"):
        materialize(dataset, tmp_path / "file" / "set")
    assert (folder / "thesis.txt").exists() and (tmp_path / "file").read_text() == "another"


def test_two_processes_do_not_write_the_same_set(tmp_path, dataset):
    hidden = tmp_path / ".set.partial"
    hidden.mkdir()
    handle = os.open(hidden, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process"):
        materialize(dataset, tmp_path / "set")
    os.close(handle)
    materialize(dataset, tmp_path / "set")


def test_a_disk_too_small_is_told_before_anything_is_written(tmp_path, dataset, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 0, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"1\.1 MB .*1\.0 MB"):
        materialize(dataset, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_checked, sentence", [(True, "are free: free some space"), (False, "disk of .* is full")])
def test_a_full_disk_gives_a_sentence_and_leaves_nothing(tmp_path, is_checked, sentence):
    """On a real disk of 1 MiB; without the check beforehand, reserving the space fails."""
    lie = "" if is_checked else "shutil.disk_usage = lambda path: type('usage', (), {'free': 10**12})"
    child = f"""
import os, re, shutil
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.batches.materializing import Balance, materialize
from tests.making import random_dataset
{lie}
try:
    materialize(random_dataset(2000, size=32), {str(tmp_path / "disk" / "set")!r})
except UserError as error:
    assert re.search({sentence!r}, str(error)), error
    assert os.listdir({str(tmp_path / "disk")!r}) == []
    print("told")
"""
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path / 'disk'}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "sh", "-c", mount]).returncode:
        pytest.skip("a small disk of its own needs user namespaces")
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, child]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout == "told\n"


def test_a_disk_that_fills_up_keeps_what_is_finished(tmp_path, dataset, monkeypatch, small_steps):
    write_json = forms.write_json
    notes = []

    def failing(path, value):
        if len(notes) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        notes.append(value)
        write_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(forms, "write_json", failing)
        with pytest.raises(UserError, match="is full"):
            materialize(dataset, tmp_path / "set")
    assert notes == [{"images": 64}, {"images": 128}]
    assert [path.name for path in tmp_path.iterdir()] == [".set.partial"]
    np.testing.assert_array_equal(np.load(materialize(dataset, tmp_path / "set") / "images.npy"), dataset.images)


def test_class_folders_of_pictures_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded, "cache_folder", lambda: tmp_path / "cache")
    dataset = replace(random_dataset(100, size=16), ink="pen", normalization="ink-box")
    folder = materialize(dataset, tmp_path / "set", form="folders")
    arrays = load_dataset(materialize(dataset, tmp_path / "arrays"), "train")
    pictures = load_dataset(folder, "train")
    assert int(min(folder.glob("U+304A/*.png")).stem.split("-")[1]) == pictures.groups[0]
    assert (pictures.ink, pictures.normalization, pictures.licence) == ("pen", "ink-box", "a licence")
    order = np.argsort(arrays.labels, kind="stable")
    np.testing.assert_array_equal(pictures.images, arrays.images[order])
    np.testing.assert_array_equal(pictures.groups, arrays.groups[order])
    assert pictures.classes == arrays.classes
    np.testing.assert_array_equal(pictures.labels, arrays.labels[order])
    with pytest.raises(UserError, match="--dataset kmnist"):
        load_dataset(folder, "test")


def test_class_folders_go_on_where_they_were_interrupted(tmp_path, dataset, monkeypatch, small_steps):
    whole = materialize(dataset, tmp_path / "whole", form="folders")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, lots=5)
        materialize(dataset, tmp_path / "set", form="folders")
    written = materialize(dataset, tmp_path / "set", form="folders")
    pictures = {path.relative_to(written): path.read_bytes() for path in written.glob("*/*.png")}
    assert pictures == {path.relative_to(whole): path.read_bytes() for path in whole.glob("*/*.png")}
    assert len(pictures) == 200 and not (written / "progress.json").exists()
    assert (written / "licence.txt").read_text() == "a licence\na credit\n"


def test_records_are_read_by_plain_tf_data(tmp_path, dataset, monkeypatch):
    import tensorflow as tf

    from kuzushiji_tf.batches import records

    monkeypatch.setattr(records, "SHARD", 128)
    monkeypatch.setattr(materializing, "LOT", 32)
    folder = materialize(dataset, tmp_path / "set", form="tfrecord")
    shards = sorted(map(str, folder.glob("*.tfrecord")))
    assert [path.rsplit("/")[-1] for path in shards] == [f"images-0000{k}-of-00002.tfrecord" for k in (0, 1)]
    features = {name: tf.io.FixedLenFeature([], tf.int64) for name in ("label", "original")}
    features |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "character")}
    read = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(shards)]
    assert sorted(int(record["original"]) for record in read) == list(range(200))
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["codepoint_to_id"]
    for record in read:
        row, character = int(record["original"]), record["character"].numpy().decode()
        np.testing.assert_array_equal(tf.io.decode_png(record["image"])[..., 0], dataset.images[row])
        assert character == dataset.classes[dataset.labels[row]]
        assert index[f"{character} (U+{ord(character):04X})"] == int(record["label"])


def test_records_go_on_where_they_were_interrupted_with_the_classes_mixed(tmp_path, dataset, monkeypatch):
    from kuzushiji_tf.batches import records

    monkeypatch.setattr(records, "SHARD", 64)
    monkeypatch.setattr(materializing, "LOT", 32)
    whole = contents(materialize(dataset, tmp_path / "whole", form="tfrecord"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, lots=5)
        materialize(dataset, tmp_path / "set", form="tfrecord")
    assert sorted(path.name for path in (tmp_path / ".set.partial").glob("*.tfrecord"))[1:] == [
        "images-00001-of-00004.tfrecord"
    ]
    assert contents(materialize(dataset, tmp_path / "set", form="tfrecord")) == whole
    order = np.arange(200) * records.mixing_stride(200) % 200
    assert sorted(order) == list(range(200)) and np.abs(np.diff(order)).min() > 50


@pytest.mark.parametrize("wrong", [{"form": "zip"}, {"balance": Balance(-1)}, {"balance": Balance(1, seed=-1)}])
def test_impossible_arguments_are_refused(tmp_path, dataset, wrong):
    with pytest.raises(UserError):
        materialize(dataset, tmp_path / "set", **wrong)
    with pytest.raises(UserError, match="no image"):
        materialize(dataset.select(np.zeros(0, np.int64)), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
