"""What a run is trained on: named so that it is found again, and refused where nothing could come of it."""

from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.batches.loading import (
    hash_of_test,
    note_on_few_steps,
    options_of_run,
    require_square,
    with_absolute_paths,
)
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.errors import UserError
from tests.making import random_dataset


def write_npz(path, count: int) -> None:
    images = np.zeros((count, 10, 10), np.uint8)
    images[:, 2:8, 4] = 255
    images[np.arange(count), 1, np.arange(count) % 10] = 200 - np.arange(count)
    np.savez(path, images=images, labels=np.array(list("あい") * (count // 2)))


def test_a_run_keeps_the_whole_paths_of_its_data_and_of_its_file_of_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "some.txt").write_text("あ", encoding="utf-8")
    for dataset in ("own", "./own", "own/../own"):
        config = with_absolute_paths(TrainingConfig(dataset=dataset, classes="some.txt"))
        assert (config.dataset, config.classes) == (str(tmp_path / "own"), str(tmp_path / "some.txt"))
        assert with_absolute_paths(config) == config


@pytest.mark.parametrize("classes", [None, "joyo", "あい", "あ" * 3000])
def test_what_is_no_path_stays_as_it_is(classes):
    config = TrainingConfig(dataset="kmnist+kkanji", classes=classes)
    assert with_absolute_paths(config) == config


def test_the_test_images_of_ones_own_data_are_known_by_their_content(tmp_path):
    write_npz(tmp_path / "own.npz", 28)
    config = TrainingConfig(dataset=str(tmp_path / "own.npz"), image_size=16)
    first = hash_of_test(config, options_of_run(config))
    assert first == load_dataset(config.dataset, "test", image_size=16).content_hash
    write_npz(tmp_path / "own.npz", 56)
    assert hash_of_test(config, options_of_run(config)) != first


def test_what_has_no_test_images_and_what_is_the_same_everywhere_have_no_such_hash(tmp_path):
    write_npz(tmp_path / "few.npz", 2)
    for name in (str(tmp_path / "few.npz"), "kmnist"):
        config = TrainingConfig(dataset=name)
        assert hash_of_test(config, options_of_run(config, tmp_path)) is None


def test_images_that_could_not_be_exported_are_refused_with_the_way_out():
    dataset = random_dataset(4, size=12)
    require_square(dataset)
    with pytest.raises(UserError, match=r"12 x 10 pixels.* --image-size 12"):
        require_square(replace(dataset, images=dataset.images[:, :, :10]))


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({}, True),
        ({"batch_size": 32, "epochs": 25, "learning_rate": 0.05}, False),
        ({"initial_weights": "saved_models/kana"}, False),
        ({"balance": 1000}, False),
        ({"epoch_images": 100_000}, False),
    ],
)
def test_who_trains_on_a_few_hundred_images_with_the_defaults_is_told_what_suits_them(settings, is_told):
    note = note_on_few_steps(TrainingConfig(**settings), random_dataset(300))
    assert (note is not None) == is_told
    if note:
        assert "9 steps" in note and "--batch-size 32 --epochs 25 --learning-rate 0.05" in note


def test_who_trains_on_thousands_of_images_is_told_nothing():
    assert note_on_few_steps(TrainingConfig(batch_size=1), random_dataset(300)) is None
