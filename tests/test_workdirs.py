"""The last run is found, numbers are never used twice, damaged folders are refused, and one run has a folder alone."""

import os

import pytest

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.workdirs import WorkDirectory, find_last, require_usable, reserved, run_folders, unused_path

CONFIG = TrainingConfig(epochs=7)


def make_run(path, at=0, config=CONFIG, **data):
    write_json(path / "config.json", {"config": config.to_dict(), "versions": {}, "data": data})
    os.utime(path / "config.json", (at, at))


def test_the_last_run_is_the_one_written_last(tmp_path):
    for name, at in (("a", 100), ("b", 300), ("c", 200)):
        make_run(tmp_path / name, at)
    assert find_last(tmp_path).path == tmp_path / "b"
    assert find_last(tmp_path).config == CONFIG


def test_without_a_run_the_sentence_says_how_to_start_one(tmp_path):
    with pytest.raises(MissingFileError, match=r"python train\.py"):
        find_last(tmp_path)


def test_each_run_gets_a_number_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        with reserved(None, CONFIG, overwrite=False, resume=False) as workdir:
            assert workdir.path.name == f"kana-preact_resnet20-{number}"
            make_run(workdir.path)


@pytest.mark.parametrize("text", ["not JSON", "[]", "{}", '{"config": {}}'])
def test_a_damaged_config_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        _ = WorkDirectory(tmp_path).config


def test_an_unknown_setting_in_a_config_is_named(tmp_path):
    write_json(tmp_path / "config.json", {"config": {"epochz": 3}, "versions": {}, "data": {}})
    with pytest.raises(UserError, match="'epochs'"):
        _ = WorkDirectory(tmp_path).config


def test_a_folder_is_free_again_when_its_run_has_ended(tmp_path):
    for _ in range(2):
        with reserved(tmp_path / "run", CONFIG, overwrite=False, resume=False) as workdir:
            assert workdir.path.is_dir()


def test_a_folder_that_was_taken_by_another_meanwhile_is_not_taken_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    free = unused_path("kana-preact_resnet20")

    def slow(name):
        path = unused_path(name)
        if path == free:
            path.mkdir(parents=True)  # another was faster
        return path

    monkeypatch.setattr("kuzushiji_tf.workdirs.unused_path", slow)
    with reserved(None, CONFIG, overwrite=False, resume=False) as workdir:
        assert workdir.path.name.endswith("-2")


@pytest.mark.parametrize("path", [None, "mine"])
def test_a_run_that_writes_nothing_leaves_no_folder(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError), reserved(path and tmp_path / path, CONFIG, overwrite=False, resume=False) as workdir:
        raise UserError(workdir.path)
    assert not workdir.path.exists()


def test_an_earlier_run_stays_until_the_new_one_clears_it(tmp_path):
    make_run(tmp_path)
    with reserved(tmp_path, CONFIG, overwrite=True, resume=False) as workdir:
        assert workdir.config == CONFIG
        workdir.clear()
        assert not workdir.parts


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file"):
        require_usable(tmp_path / "run", CONFIG, overwrite=True, resume=False)


def test_a_folder_that_a_run_cannot_have_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(MissingFileError), reserved(tmp_path / "run", CONFIG, overwrite=False, resume=True):
        pass
    assert not (tmp_path / "run").exists()


def test_a_run_that_does_not_say_what_its_images_are_is_to_be_trained_again(tmp_path):
    make_run(tmp_path)
    with pytest.raises(UserError, match=rf"{tmp_path}.*0\.2\.0"):
        _ = WorkDirectory(tmp_path).data


def test_what_a_run_says_of_its_data_counts(tmp_path):
    make_run(tmp_path, ink="pen", normalization="none")
    assert WorkDirectory(tmp_path).data == {"ink": "pen", "normalization": "none"}


@pytest.mark.parametrize("text", ['{"config": ' + "[" * 100_000, '{"config": {}, "versions": {}, "data": []}'])
def test_a_config_that_would_crash_its_readers_is_refused_and_listed_nowhere(tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        _ = WorkDirectory(tmp_path / "run").data
    assert run_folders("transfer", tmp_path) == []
