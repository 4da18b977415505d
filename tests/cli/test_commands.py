"""The commands: one sentence and exit code 2 for what a person can mend, and recipes that flags override."""

import errno
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

import kuzushiji_tf
from kuzushiji_tf.cli import COMMANDS, main, run_command
from kuzushiji_tf.cli import train as train_command
from kuzushiji_tf.cli.data import DataFlags
from kuzushiji_tf.cli.train import default_flags
from kuzushiji_tf.cli.transfer import TransferFlags
from kuzushiji_tf.config import TrainingConfig, load_recipe
from kuzushiji_tf.models import model_names
from kuzushiji_tf.models.registry import NEIGHBOR_MODELS

ROOT = Path(__file__).parents[2]
ACTIONS = [
    (name, get_args(kind)[1].name)
    for name, kinds in (("data", DataFlags), ("transfer", TransferFlags))
    for kind in get_args(kinds)
]
EVERY_COMMAND = [*([name] for name in COMMANDS), *ACTIONS]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def refusal(capsys, *arguments):
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No command may see or leave files in the checkout."""
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_needs_no_tensorflow(name):
    code = (
        "import sys\nfrom kuzushiji_tf.cli import run_command\n"
        f"try: run_command({name!r}, ['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    assert "--data-dir" in finished.stdout or name in ("predict", "serve", "transfer")
    assert "{None}" not in finished.stdout


@pytest.fixture
def help_text(capsys, monkeypatch):
    """What `--help` says beside some arguments, in one line."""
    monkeypatch.setenv("COLUMNS", "80")  # one column of flags

    def read(*arguments):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        return " ".join(capsys.readouterr().out.replace("│", " ").split())

    return read


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_no_help_names_a_default_that_says_nothing(command, help_text):
    text = help_text(*command)
    assert "--help show this help" in text
    assert not re.findall(r"\(default: ?(?:None|False)?\)", text)
    assert "[[" not in text.partition("╭")[0]


def test_the_help_beside_a_recipe_names_its_defaults(help_text):
    Path("own.toml").write_text('classes = "joyo"\njit = true\n', encoding="utf-8")
    text = help_text("train", "--recipe", "own.toml")
    assert "(default: joyo)" in text and "(default: True)" in text
    assert "--jit, --no-jit" in text and "--random-split, " not in text


@pytest.mark.parametrize(
    ("recipe", "flags", "jit", "cutout"),
    [
        ("jit = true", [], True, 0),
        ("jit = true", ["--jit"], True, 0),
        ("jit = true", ["--no-jit"], False, 0),
        ("jit = false\n[augmentation]\ncutout = 4", ["--jit"], True, 4),
        ("[augmentation]\ncutout = 4", ["--cutout", "0"], False, 0),
    ],
)
def test_a_flag_beside_a_recipe_wins(monkeypatch, recipe, flags, jit, cutout):
    seen = []
    monkeypatch.setattr(train_command, "run", lambda flags: seen.append(flags.config))
    Path("own.toml").write_text(recipe, encoding="utf-8")
    assert main(["train", "--recipe", "own.toml", *flags]) == 0
    assert (seen[0].jit, seen[0].augmentation.cutout) == (jit, cutout)


def test_what_is_off_is_switched_on_by_its_name_alone(help_text):
    for command in (["train"], ["predict"], ["data", "materialize"], ["transfer", "train"]):
        assert "--no-" not in help_text(*command)


SOMETHING_NAMED = {  # what a command needs to be named before its flags are whole
    "ensemble": ["a", "b", "--output", "c"],
    "transfer generate": ["a.png", "--output", "c"],
    "data inspect": ["kana"],
    "data verify": ["a"],
}


def with_json():
    """The commands that have --json, by name, each with the module that runs it."""
    for command in EVERY_COMMAND:
        module = import_module(f"kuzushiji_tf.cli.{command[0]}")
        kinds = getattr(module, f"{command[0].capitalize()}Flags")
        if len(command) == 2:
            kinds = next(get_args(kind)[0] for kind in get_args(kinds) if get_args(kind)[1].name == command[1])
        if is_dataclass(kinds) and "json" in (setting.name for setting in fields(kinds)):
            yield pytest.param(command, module, id=" ".join(command))


@pytest.mark.parametrize(("command", "module"), [*with_json()])
def test_json_stands_alone_on_standard_output(command, module, monkeypatch, capsys):
    def run(flags):
        print("a table")
        return {"character": "あ"}

    monkeypatch.setattr(module, "run", run)
    arguments = [*command, *SOMETHING_NAMED.get(" ".join(command), [])]
    assert main([*arguments, "--json"]) == 0
    assert capsys.readouterr() == ('{"character": "あ"}\n', "a table\n")
    assert main(arguments) == 0
    assert capsys.readouterr() == ("a table\n", "")


def test_an_unknown_command_is_refused_with_the_nearest(capsys):
    assert "did you mean 'evaluate'" in refusal(capsys, "evaluat")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["train", "--dataset", "kmnst"], "did you mean 'kmnist'"),
        (["train", "--recipe", "nothing.toml"], "nothing.toml"),
        (["train", "--resume"], "runs/"),
        (["train", "--resume", "--workdir", "nowhere"], "nowhere"),
        (["train", "--resume", "auto"], "--workdir"),
        (["train", "--checkpoint-minutes", "-1"], "checkpoint_minutes is -1"),
        (["train", "--dataset", "kmnist", "--data-dir", "nowhere"], "nowhere"),
        (["evaluate"], "runs/"),
        (["evaluate", "nowhere"], "nowhere"),
        (["export"], "runs/"),
        (["predict"], "at least one picture"),
        (["ensemble", "--output", "x"], "two or more different runs"),
        (["predict", "nothing.png", "--model", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_person_can_mend_is_one_sentence(capsys, arguments, sentence):
    assert sentence in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--model", "preact_resnet"], "did you mean 'preact_resnet20'"),
        (["--model", "simple_cnn", "--width", "2"], "architecture.width"),
        (["--dataset", "kmnst"], "did you mean 'kmnist'"),
        (["--workdir", "taken"], "taken"),
        (["--dataset", "./missing.npz"], "missing.npz"),
        (["--dataset", ""], "dataset is empty"),
        (["--classes", " "], "classes is empty"),
        (["--workdir", "taken/notes.txt"], "notes.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_be_known_before_is_refused_before_a_training_is_announced(capsys, tmp_path, arguments, fact):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and fact in said.err
    assert not (tmp_path / "runs").exists()


def test_missing_data_says_where_it_was_looked_for(capsys, tmp_path):
    assert str(tmp_path) in refusal(capsys, "train", "--dataset", "kmnist", "--data-dir", str(tmp_path))


def test_an_unknown_flag_exits_with_2_and_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        run_command("train", ["--epoch", "3"])
    assert stop.value.code == 2
    assert "--epochs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, fact",
    [
        (["--epochs", "0"], "epochs is 0"),
        (["--learning-rate", "nan"], "learning_rate is nan"),
        (["--rotation-range", "-5"], "rotation_range is -5.0"),
    ],
)
def test_a_wrong_setting_is_one_sentence(capsys, arguments, fact):
    assert fact in refusal(capsys, "train", *arguments)


def test_a_recipe_gives_the_defaults_of_the_flags(tmp_path):
    recipe = tmp_path / "short.toml"
    recipe.write_text('dataset = "kmnist"\nepochs = 2\n\n[augmentation]\ncutout = 6\n')
    config = default_flags(["--recipe", str(recipe), "--epochs", "9"]).config
    assert (config.dataset, config.epochs, config.augmentation.cutout) == ("kmnist", 2, 6)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_opens_with_its_command(recipe):
    config = load_recipe(recipe)
    assert config != TrainingConfig()
    assert config.model in (*model_names(), *NEIGHBOR_MODELS)
    first = recipe.read_text(encoding="utf-8").splitlines()[0]
    assert first.split(" --initial-weights ")[0] == f"# python train.py --recipe recipes/{recipe.name}"


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "export.py"])
def test_scripts_hold_flags_only(script):
    assert len((ROOT / script).read_text().splitlines()) < 40


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{kuzushiji_tf.__version__}\n"


@pytest.mark.parametrize(
    "error, named",
    [
        (OSError(errno.ENOSPC, "No space left on device"), ""),
        (OSError(errno.ENOSPC, "No space left on device", "model.keras"), "model.keras"),
        (RuntimeError("ResourceExhausted: events.out; No space left on device"), ""),
    ],
    ids=["the system's", "of a file", "TensorFlow's"],
)
def test_a_full_disk_is_said_in_one_sentence(capsys, monkeypatch, error, named):
    def run(flags):
        raise error

    monkeypatch.setattr("kuzushiji_tf.cli.data.run", run)
    sentence = refusal(capsys, "data", "list")
    assert "disk is full" in sentence and named in sentence
