"""The command `predict`: what it prints, which recognizer it takes, and that one bad picture stops no other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.cli import main, predict
from kuzushiji_tf.files import write_json
from kuzushiji_tf.recognition.recognizer import Recognizer

pytest_plugins = ["tests.exported"]


@pytest.fixture
def pictures(tmp_path, learned) -> list[str]:
    names = []
    for number in range(3):
        names.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(learned[0].images[number]).save(names[-1])
    return names


def test_each_picture_gets_its_ranked_characters(exported, pictures, capsys):
    assert main(["predict", *pictures, "--model", str(exported), "--top-k", "2", "--polarity", "light"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[3], lines[6]] == pictures
    for picture, line in zip(pictures, lines[1::3], strict=True):
        best = Recognizer(exported).recognize(picture, polarity="light")[0]
        assert line.split()[:3] == ["1.", best.character, best.code_point]
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
    assert "text.png" in errors[0]
    assert "absent.png" in errors[1]
    assert "2 of the 4 pictures" in errors[2]
    results = json.loads(printed.out)["results"]
    assert ["error" in result for result in results] == [False, True, True, False]


@pytest.fixture
def ink(tmp_path) -> Path:
    write_json(tmp_path / "ink.json", [[[10, 20], [50, 20]], [[30, 0, 16], [30, 60, 24]]])
    return tmp_path / "ink.json"


def test_strokes_are_read_from_json_files_beside_pictures(exported, pictures, ink, capsys):
    flags = ["predict", pictures[0], "--strokes", str(ink), str(ink), "--model", str(exported), "--top-k", "3"]
    assert main([*flags, "--json"]) == 0
    picture, *others = json.loads(capsys.readouterr().out)["results"]
    assert picture["image"] == pictures[0] and [other["strokes"] for other in others] == [str(ink)] * 2
    assert all(result["is_character"] is True and len(result["candidates"]) == 3 for result in (picture, *others))
    assert main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == pictures[0] and lines[4] == str(ink) and lines[5].split()[0] == "1."


def test_a_file_whose_name_is_not_utf8_is_read_and_its_name_printed_escaped(exported, pictures, tmp_path, capsys):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\x82\xa0.png")  # what Windows once called it
    os.rename(pictures[0], name)
    assert main(["predict", name, "--model", str(exported), "--top-k", "1"]) == 0
    assert r"\udc82\udca0.png" in capsys.readouterr().out
    assert main(["predict", name, name + "x", "--model", str(exported), "--json"]) == 2
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["image"] for result in results] == [name, name + "x"]


def test_the_script_restricts_the_answers(exported, ink, capsys):
    flags = ["predict", "--strokes", str(ink), "--model", str(exported), "--json"]
    assert main([*flags, "--script", "hiragana"]) == 0
    candidates = json.loads(capsys.readouterr().out)["results"][0]["candidates"]
    assert candidates and all("ぁ" <= candidate["character"] <= "ん" for candidate in candidates)
    assert main([*flags, "--script", "kanji"]) == 2
    assert "no kanji" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*flags, "--script", "kana"])


def test_the_pad_tells_small_kana_from_large_ones(tmp_path, capsys):
    tsu = np.array([[10, 30], [60, 20], [90, 45], [70, 75], [40, 85]])

    def read(name, points, *more):
        write_json(tmp_path / name, [points.tolist()])
        flags = ["predict", "--strokes", str(tmp_path / name), "--model", "kana", "--file", "int8", "--json"]
        assert main([*flags, *more]) == 0
        return [each["character"] for each in json.loads(capsys.readouterr().out)["results"][0]["candidates"]]

    pad = ["--canvas", "100", "100"]
    assert read("large.json", tsu, *pad)[:2] == ["つ", "っ"]
    assert read("small.json", tsu * 0.4 + [10, 50], *pad)[:2] == ["っ", "つ"]
    plain = read("small.json", tsu * 0.4 + [10, 50])
    assert plain[0] == "つ" and "っ" not in plain


def test_what_is_no_character_is_said(exported, ink, tmp_path, capsys):
    folder = shutil.copytree(exported, tmp_path / "model")
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    write_json(folder / "model.json", card | {"unknown": {"character": "お", "threshold": 0.0}})
    assert main(["predict", "--strokes", str(ink), "--model", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{ink}: not a character"


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (None, ""),
        ("no JSON", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "no point"),
        ("[[[NaN, 1]]]", "[x, y, t]"),
        ('{"strokes": [[[1, 2]]]}', "[x, y, t]"),
        ("[[1, 2]]", "[x, y, t]"),
    ],
)
def test_files_without_strokes_give_one_sentence(exported, ink, content, fact, capsys):
    ink.unlink() if content is None else ink.write_text(content)
    assert main(["predict", "--strokes", str(ink), "--model", str(exported)]) == 2
    printed = capsys.readouterr()
    (error,) = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert str(ink) in error and fact in error and printed.out == ""


def test_a_single_bad_picture_gives_one_sentence(exported, tmp_path, capsys):
    assert main(["predict", str(tmp_path / "absent.png"), "--model", str(exported)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (error,) = [line for line in printed.err.splitlines() if line.startswith("error:")]
    assert str(tmp_path / "absent.png") in error


@pytest.mark.parametrize(
    ("flags", "fact"),
    [
        (["--model", "absent"], "absent"),
        (["--top-k", "0"], "--top-k is 0"),
        (["--file", "int7"], "'int8'"),
        (["--canvas", "9", "9"], "--strokes"),
    ],
)
def test_wrong_flags_give_one_sentence(exported, pictures, flags, fact, capsys):
    model = [] if "--model" in flags else ["--model", str(exported)]
    assert main(["predict", *pictures, *model, *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert fact in line


@pytest.mark.parametrize("sides", ["0", "0 9", "1 2 3", "9 inf"])
def test_a_canvas_that_is_no_pad_is_one_sentence(ink, sides, capsys):
    assert main(["predict", "--strokes", str(ink), "--canvas", *sides.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--canvas is {sides};" in line


def test_no_picture_is_an_error(capsys):
    assert main(["predict"]) == 2
    assert "predict" in capsys.readouterr().err


def test_the_last_runs_export_is_the_default_then_the_shipped_one(exported, pictures, tmp_path, monkeypatch, capsys):
    def used(*more: str) -> Path:
        assert main(["predict", pictures[0], "--json", *more]) == 0
        return Path(json.loads(capsys.readouterr().out)["model"]).parent

    shipped = shutil.copytree(exported, tmp_path / "saved_models" / "kana")
    monkeypatch.setattr(predict, "PRETRAINED", shipped.parent)
    monkeypatch.chdir(tmp_path)
    assert used() == shipped
    write_json(tmp_path / "runs" / "one" / "config.json", {})
    assert used() == shipped
    shutil.copytree(exported, tmp_path / "runs" / "one" / "export")
    assert used() == Path("runs/one/export")
    assert used("--model", str(exported)) == exported


def test_a_pretrained_recognizer_is_asked_for_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    strokes = Path("ink.json")
    strokes.write_text(json.dumps([[[20, 20], [50, 14], [80, 22]], [[18, 70], [50, 84], [88, 76]]]), encoding="utf-8")
    assert main(["predict", "--strokes", str(strokes), "--model", "touch-kana", "--file", "int8", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "touch-kana" in answer["model"] and len(answer["results"][0]["candidates"]) == 5


@pytest.mark.slow
def test_a_keras_file_is_read_without_a_note_of_tensorflows(exported, pictures):
    command = [sys.executable, "-m", "kuzushiji_tf", "predict", pictures[0], "--model", str(exported / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
