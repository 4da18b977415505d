"""Checkpoints: every variable comes back, damage and a full disk cost one epoch at most."""

import errno
import hashlib
import io
import os
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.training.checkpoints import Place, Restored, last_checkpoint, load_checkpoint, save_checkpoint
from kuzushiji_tf.training.compiling import compiled_models

CONFIG = TrainingConfig(model="simple_cnn", optimizer="adamw", ema_decay=0.9)


def compiled(**settings):
    return compiled_models(replace(CONFIG, **settings), (12, 12), 10, EpochPlan(20, 10, seed=0))[1]


def arrays(model):
    return [keras.ops.convert_to_numpy(variable) for variable in (*model.variables, *model.optimizer.variables)]


def same(some, others):
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_weights_optimizer_averages_and_seeds_are_restored_in_every_precision(tmp_path, precision):
    trained, other = compiled(precision=precision), compiled(precision=precision, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1)).astype(np.float32)
    for _ in range(2):
        trained.train_on_batch(images, np.eye(10, dtype=np.float32)[:8])
    save_checkpoint(trained, tmp_path, Place(1), [])
    assert load_checkpoint(tmp_path, other) == Restored(Place(1), [], [])
    assert same(arrays(other), arrays(trained)) and not same(arrays(other), arrays(compiled(precision=precision)))


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of two epochs, and what the model was in each."""
    models = [compiled(seed=seed) for seed in (1, 2, 3)]
    for epoch, model in enumerate(models, start=9):
        save_checkpoint(model, tmp_path, Place(epoch), [])
    return [arrays(model) for model in models]


def test_the_last_two_epochs_are_kept(tmp_path, saved):
    assert sorted(file.name for file in tmp_path.iterdir()) == ["epoch-10.state", "epoch-11.state"]
    assert last_checkpoint(tmp_path).endswith("of epoch 11, is " + str(tmp_path / "epoch-11.state"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:1000],
        lambda content: content[:-1000],
        lambda content: content.replace(b'"epoch": 11', b'"epoch": 12'),
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
        lambda content: b"{}",
    ],
    ids=["empty", "head alone", "cut off", "another epoch", "one bit", "something else"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, saved, damage):
    last, model, said = tmp_path / "epoch-11.state", compiled(), []
    last.write_bytes(damage(last.read_bytes()))
    assert load_checkpoint(tmp_path, model, said.append).place == Place(10)
    assert same(arrays(model), saved[1])
    assert len(said) == 1 and "epoch-11.state is damaged" in said[0] and "epoch-10.state" in said[0]
    before = tmp_path / "epoch-10.state"
    before.write_bytes(damage(before.read_bytes()).replace(b'"epoch": 10', b'"epoch": 1'))
    with pytest.raises(UserError, match=r"epoch-11\.state and .*epoch-10\.state .*--overwrite"):
        load_checkpoint(tmp_path, model)


def test_the_middle_of_an_epoch_comes_after_its_beginning_and_before_its_end(tmp_path, saved):
    model, metrics = compiled(), [[np.float32([1.5])], [np.zeros(2), np.ones(2)]]
    save_checkpoint(model, tmp_path, Place(11, 7), [], metrics)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["epoch-11-step-7.state", "epoch-11.state"]
    assert "of step 7 of epoch 12" in last_checkpoint(tmp_path)
    restored = load_checkpoint(tmp_path, model)
    assert (restored.place, restored.first_step(100)) == (Place(11, 7), 1107)
    assert all(same(some, others) for some, others in zip(restored.metrics, metrics, strict=True))
    save_checkpoint(model, tmp_path, Place(12), [])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["epoch-11-step-7.state", "epoch-12.state"]


def test_a_model_with_other_variables_is_refused_by_name(tmp_path, saved):
    with pytest.raises(UserError, match=r"epoch-11\.state .*_average"):
        load_checkpoint(tmp_path, compiled(ema_decay=0.0))


def test_after_a_damaged_checkpoint_the_same_epoch_is_saved_again(tmp_path, saved):
    (tmp_path / "epoch-11.state").write_bytes(b"")
    save_checkpoint(compiled(), tmp_path, Place(10), [])
    assert [file.name for file in tmp_path.iterdir()] == ["epoch-10.state"]


def test_a_full_disk_leaves_the_earlier_checkpoints_as_they_were(tmp_path, saved, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with monkeypatch.context() as patched, pytest.raises(OSError) as refused:
        patched.setattr(os, "fsync", full)
        save_checkpoint(compiled(), tmp_path, Place(12), [])
    assert refused.value.filename == str(tmp_path / "epoch-12.state")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def _npy_claiming(shape) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _npy(array) -> bytes:
    np.save(stream := io.BytesIO(), array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "head, arrays",
    [
        (b'{"epoch": 11, "callbacks": []}', {"a.npy": _npy_claiming((10**9, 10**6))}),
        (b'{"epoch": 11, "callbacks": []}', {"a.npy": b"\x93NUMPY\x01\x00\x04\x00{'a\n"}),
        (b'{"epoch": 11, "callbacks": []}', {"a.npy": b"nothing"}),
        (b'{"epoch": 11, "callbacks": []}', {"a.npy": _npy(np.array(["text"]))}),
        (b'{"epoch": 11, "callbacks": []}', {"a.npy": _npy(np.array([1], "m8[s]"))}),
        (b"[" * 100_000, {}),
        (b'{"epoch": "11", "callbacks": []}', {}),
        (b"[]", {}),
    ],
    ids=["petabytes", "half a header", "no array", "text", "times", "nested", "no number", "no table"],
)
def test_a_checkpoint_that_was_forged_and_signed_is_damage_as_any(tmp_path, saved, head, arrays):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(name, array)
    content = head + b"\n" + packed.getvalue()
    signed = hashlib.sha256(content).hexdigest().encode() + b"\n" + content
    (tmp_path / "epoch-11.state").write_bytes(signed)
    said = []
    load_checkpoint(tmp_path, compiled(), said.append)
    assert len(said) == 1 and "epoch-11.state is damaged" in said[0]
