"""The last run is found, numbers are never used twice, damaged folders are refused in one sentence."""

import os

import pytest

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.workdirs import WorkDirectory, claimed, find_last, next_path

CONFIG = TrainingConfig(epochs=7)


def make_run(path, at):
    write_json(path / "config.json", {"config": CONFIG.to_dict(), "versions": {}, "data": {}})
    os.utime(path / "config.json", (at, at))


def test_the_last_run_is_the_one_written_last(tmp_path):
    for name, at in (("a", 100), ("b", 300), ("c", 200)):
        make_run(tmp_path / name, at)
    assert find_last(tmp_path).path == tmp_path / "b"
    assert find_last(tmp_path).config == CONFIG


def test_without_a_run_the_sentence_says_how_to_start_one(tmp_path):
    with pytest.raises(MissingFileError, match=r"python train\.py"):
        find_last(tmp_path)


def test_each_run_gets_a_number_of_its_own(tmp_path):
    first = next_path(CONFIG, tmp_path)
    first.mkdir()
    second = next_path(CONFIG, tmp_path)
    assert (first.name, second.name) == ("kana-preact_resnet20-1", "kana-preact_resnet20-2")


@pytest.mark.parametrize("text", ["not JSON", "[]", "{}", '{"config": {}}'])
def test_a_damaged_config_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        _ = WorkDirectory(tmp_path).config


def test_an_unknown_knob_in_a_config_is_named(tmp_path):
    write_json(tmp_path / "config.json", {"config": {"epochz": 3}, "versions": {}, "data": {}})
    with pytest.raises(UserError, match="'epochs'"):
        _ = WorkDirectory(tmp_path).config


def test_a_claim_ends_with_its_block(tmp_path):
    for _ in range(2):
        with claimed(tmp_path / "run", CONFIG, overwrite=False, resume=False) as workdir:
            assert workdir.path.is_dir()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    claim = claimed(tmp_path / "run", CONFIG, overwrite=True, resume=False)
    with pytest.raises(UserError, match="is a file"), claim:
        pass
