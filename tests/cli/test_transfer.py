"""The command `transfer train`: where a chain goes, what is refused in one sentence, and how to go on."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kuzushiji_tf.cli import main
from kuzushiji_tf.cli.transfer import TrainFlags
from kuzushiji_tf.cli.transfer import _chain_of as chain_of
from kuzushiji_tf.config import load_recipe
from kuzushiji_tf.transfer.config import STAGES, TransferConfig
from kuzushiji_tf.transfer.workdirs import ChainFolder, find_last_chain
from tests.transfer_data import PUBLISHED_DECODER, QUICK, use_small_data

ROOT = Path(__file__).parents[2]
ONCE = replace(PUBLISHED_DECODER, vae=replace(QUICK.vae, epochs_new=1))
RECIPE = """
latent = 4
[vae]
width = 0.0625
batch_size = 20
learning_rate = 0.01
epochs_old = 3
epochs_new = 1
[mdn]
components = 2
hidden = 16
dropout = 0.1
weight_decay = 1e-3
batch_size = 20
learning_rate = 0.01
epochs = 3
[sketch]
epsilon = 3
longest = 40
units = 16
mixtures = 2
batch_size = 10
learning_rate = 0.01
epochs = 3
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No command may see or leave files in the checkout."""
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(RECIPE)


def refusal(capsys, *arguments):
    assert main(["transfer", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def written(name, config=ONCE, at=None):
    """Write a chain of which no stage is trained."""
    chain = ChainFolder(Path("runs", name))
    chain.describe(config, {})
    if at:
        os.utime(chain.config_file, (at, at))
    return chain


def test_help_shows_every_stage_and_needs_no_tensorflow():
    code = (
        "import sys\nfrom kuzushiji_tf.cli import run_command\n"
        "try: run_command('transfer', ['train', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    assert all(name in finished.stdout for name in (*STAGES, "all", "--recipe", "--resume", "--overwrite"))


@pytest.mark.parametrize(
    "arguments, fact",
    [
        (["trian"], "'train'"),
        (["train", "--recipe", "nothing.toml"], "nothing.toml"),
        (["train", "--resume"], "python -m kuzushiji_tf transfer train"),
        (["train", "--resume", "--workdir", "nowhere"], "nowhere"),
        (["train", "--resume", "auto"], "--workdir"),
        (["train", "--resume", "--recipe", "quick.toml"], "--recipe"),
        (["train", "--overwrite"], "--workdir"),
        (["train", "--overwrite", "--resume", "--workdir", "x"], "--resume"),
        (["train", "--data-dir", "nowhere"], "nowhere"),
        (["train", "--stage", "mdn", "--workdir", "x"], "transfer train --stage vae-old --workdir x"),
        (["train", "--stage", "sketch"], "transfer train --stage vae-old --workdir runs/transfer-1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_person_can_mend_is_one_sentence(capsys, arguments, fact):
    assert fact in refusal(capsys, *arguments)
    assert sorted(Path().iterdir()) == [Path("quick.toml")]


def test_a_wrong_setting_of_a_recipe_is_named(capsys):
    Path("quick.toml").write_text("[vae]\nepochs_odl = 3")
    assert "'vae.epochs_old'" in refusal(capsys, "train", "--recipe", "quick.toml")


def test_missing_data_says_where_it_was_looked_for(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refusal(capsys, "train", "--workdir", "x", "--data-dir", str(tmp_path / "empty"))
    assert not list(Path("x").glob("vae-*"))


def test_all_stages_begin_a_new_chain_and_one_goes_to_the_last():
    assert chain_of(TrainFlags()).path == chain_of(TrainFlags(stage="mdn")).path == Path("runs/transfer-1")
    written("transfer-1", at=200)
    written("transfer-2", at=100)
    assert find_last_chain().path == Path("runs/transfer-1")
    assert chain_of(TrainFlags()).path == Path("runs/transfer-3")
    assert chain_of(TrainFlags(stage="mdn")).path == chain_of(TrainFlags(resume=True)).path == Path("runs/transfer-1")
    assert chain_of(TrainFlags(workdir=Path("mine"))).path == Path("mine")


def test_a_stage_is_trained_with_the_recipes_settings_and_then_with_those_of_the_chain(capsys, monkeypatch):
    use_small_data(monkeypatch)
    assert load_recipe("quick.toml", TransferConfig) == ONCE
    assert main(["transfer", "train", "--stage", "vae-new", "--recipe", "quick.toml"]) == 0
    printed = capsys.readouterr().out
    chain = find_last_chain()
    assert chain.stage("vae-new").is_finished and chain.config == ONCE
    assert "vae-new 1/1  loss" in printed and "validation: loss" in printed and "images/s" in printed
    assert f"  {chain.command('vae-old')}\n" in printed
    sentence = refusal(capsys, "train", "--stage", "vae-new")
    assert "vae-new and mdn and sketch with --overwrite" in sentence
    assert "--stage vae-old" in refusal(capsys, "train", "--stage", "mdn")


def test_control_c_says_how_to_go_on(capsys, monkeypatch):
    from kuzushiji_tf.transfer import stages

    def stop(*_):
        raise KeyboardInterrupt

    use_small_data(monkeypatch)
    monkeypatch.setattr(stages, "_fit", stop)
    assert main(["transfer", "train", "--recipe", "quick.toml"]) == 130
    command = "python -m kuzushiji_tf transfer train --stage all --workdir runs/transfer-1 --resume"
    assert capsys.readouterr().err.strip().endswith(command)


@pytest.mark.slow
def test_one_command_trains_a_whole_chain(capsys, monkeypatch):
    use_small_data(monkeypatch)
    assert main(["transfer", "train", "--recipe", "quick.toml"]) == 0
    printed = capsys.readouterr().out
    chain = find_last_chain()
    chain.require_finished()
    assert f"python -m kuzushiji_tf transfer evaluate {chain.path}" in printed
