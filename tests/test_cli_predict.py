"""The command `predict`: what it prints, which recogniser it takes, and that one bad picture stops no other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.cli import main, predict
from kuzushiji_tf.files import write_json

pytest_plugins = ["tests.exported"]


@pytest.fixture
def pictures(tmp_path, learned) -> list[str]:
    names = []
    for number in range(3):
        names.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(learned[0].images[number]).save(names[-1])
    return names


def test_each_picture_gets_its_ranked_characters(exported, learned, pictures, capsys):
    assert main(["predict", *pictures, "--model", str(exported), "--top-k", "2", "--polarity", "light"]) == 0
    lines = capsys.readouterr().out.splitlines()
    dataset = learned[0]
    assert [lines[0], lines[3], lines[6]] == pictures
    for number, line in enumerate(lines[1::3]):
        character = dataset.classes[int(dataset.labels[number])]
        assert line.split()[:3] == ["1.", character, f"U+{ord(character):04X}"]
        assert line.endswith("%")


def test_json_is_one_line_with_plain_numbers(exported, learned, pictures, capsys):
    assert main(["predict", *pictures, "--model", str(exported), "--file", "int8", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    printed = json.loads(line)
    assert printed["model"] == str(exported / "model-int8.tflite")
    assert [result["image"] for result in printed["results"]] == pictures
    best = printed["results"][0]["candidates"][0]
    assert best.keys() == {"character", "code_point", "probability"}
    assert len(printed["results"][0]["candidates"]) == 5


def test_one_bad_picture_is_reported_and_the_others_are_read(exported, pictures, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    images = [pictures[0], str(tmp_path / "text.png"), str(tmp_path / "absent.png"), pictures[1]]
    assert main(["predict", *images, "--model", str(exported), "--json"]) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert "text.png is not an image" in errors[0]
    assert "There is no image" in errors[1]
    assert errors[2] == "error: 2 of the 4 pictures could not be read, as said above."
    results = json.loads(printed.out.splitlines()[-1])["results"]
    assert ["error" in result for result in results] == [False, True, True, False]


def test_a_single_bad_picture_gives_one_sentence(exported, tmp_path, capsys):
    assert main(["predict", str(tmp_path / "absent.png"), "--model", str(exported)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line for line in printed.err.splitlines() if line.startswith("error:")] == [
        f"error: There is no image {tmp_path / 'absent.png'}."
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "absent"], "There is no recogniser at absent."),
        (["--top-k", "0"], "--top-k is 0; it must be at least 1."),
        (["--file", "int7"], "did you mean 'int8'?"),
    ],
)
def test_wrong_flags_give_one_sentence(exported, pictures, flags, message, capsys):
    model = [] if "--model" in flags else ["--model", str(exported)]
    assert main(["predict", *pictures, *model, *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert line.endswith(message)


def test_no_picture_is_an_error(capsys):
    assert main(["predict"]) == 2
    assert "Name at least one picture" in capsys.readouterr().err


def test_the_last_runs_export_is_the_default_then_the_shipped_one(exported, pictures, tmp_path, monkeypatch, capsys):
    def used(*more: str) -> Path:
        assert main(["predict", pictures[0], "--json", *more]) == 0
        return Path(json.loads(capsys.readouterr().out.splitlines()[-1])["model"]).parent

    shipped = shutil.copytree(exported, tmp_path / "saved_models" / "kana")
    monkeypatch.setattr(predict, "SHIPPED_MODEL", shipped)
    monkeypatch.chdir(tmp_path)
    assert used() == shipped
    write_json(tmp_path / "runs" / "one" / "config.json", {})
    assert used() == shipped
    shutil.copytree(exported, tmp_path / "runs" / "one" / "export")
    assert used() == Path("runs/one/export")
    assert used("--model", str(exported)) == exported
    shutil.rmtree(shipped)
    shutil.rmtree(tmp_path / "runs")
    assert main(["predict", pictures[0]]) == 2
    assert "There is no exported recogniser yet: run python export.py" in capsys.readouterr().err
    assert np.asarray(Image.open(pictures[0])).any()
