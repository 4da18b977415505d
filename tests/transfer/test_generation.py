"""Any picture of a character gives a folder of drawings, pixels and candidates; the same one each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.cli import main
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.transfer.chain import Chain
from kuzushiji_tf.transfer.generation import (
    check_replaceable,
    describe,
    draw_sample,
    folder_names,
    predict_pixels,
    read_kuzushiji,
    retrieve,
    transfer,
    write_transfer,
)
from kuzushiji_tf.transfer.modern import draw_modern, modern_strokes
from kuzushiji_tf.transfer.opening import load_chain
from kuzushiji_tf.transfer.pictures import from_svg
from kuzushiji_tf.transfer.sequences import simplify
from tests.toy_chains import CHARACTERS, knowing_chain
from tests.transfer_data import QUICK

pytest_plugins = ["tests.untrained_chain"]

ROOT = Path(__file__).parents[2]
FILES = ("sample-{}.svg", "sample-{}-animated.svg", "sample-{}.png")


@pytest.fixture(scope="module")
def chain(exported_chain) -> Chain:
    return load_chain(exported_chain)


@pytest.fixture
def toy(few_characters) -> Chain:
    return knowing_chain()


def image_of(characters: str) -> np.ndarray:
    return draw_modern(modern_strokes(characters))


def save(image: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_chain_that_knows_the_character_finds_draws_and_writes_it(toy):
    for character, made in zip("三中", transfer(toy, image_of("三中"), 2, 0.0, 0), strict=True):
        assert made.candidates[0].character == character and made.candidates[0].probability > 0.99
        assert made.candidates[0].code_point == f"U+{ord(character):04X}"
        (expected,) = modern_strokes(character)
        for strokes in made.drawings:
            for found, wanted in zip(strokes, simplify(expected, QUICK.sketch.epsilon), strict=True):
                np.testing.assert_allclose(found, wanted, atol=1e-4)
        np.testing.assert_array_equal(made.pixels, image_of(character)[0])


def test_candidates_come_by_density_and_share_one(toy):
    (found,) = retrieve(toy, toy.mixture(np.float32([[3, 0]])), count=len(CHARACTERS))
    assert {candidate.character for candidate in found} == set(CHARACTERS)
    assert sum(candidate.probability for candidate in found) == pytest.approx(1)
    densities = [candidate.log_density for candidate in found]
    assert densities == sorted(densities, reverse=True)
    assert found[0].character == CHARACTERS[3] and {found[1].character, found[2].character} == {*CHARACTERS[2:5:2]}


def test_the_pixel_prediction_is_blurred_where_samples_differ(toy):
    sure = toy.mixture(np.float32([[3, 0]]))
    unsure = sure.copy()
    unsure[0, 3:] = 0.5  # of its scales
    sharp, blurred = (predict_pixels(toy, parameters, 0) for parameters in (sure, unsure))
    np.testing.assert_allclose(sharp, image_of(CHARACTERS[3]) / 255, atol=1e-6)
    between = [np.mean((image > 0.1) & (image < 0.9)) for image in (sharp, blurred)]
    assert between[1] > 2 * between[0]


@pytest.mark.parametrize("temperature", [0, 0.3, 1, 5])
def test_generation_always_ends(chain, temperature):
    for made in transfer(chain, image_of("七万"), 3, temperature, 0):
        assert len(made.drawings) == 3
        for strokes in made.drawings:
            assert sum(map(len, strokes)) <= chain.settings.longest


def test_an_image_gives_the_same_whatever_stands_beside_it(chain):
    together, alone = transfer(chain, image_of("七万"), 3, 0.5, 4)[1], transfer(chain, image_of("万"), 3, 0.5, 4)[0]
    np.testing.assert_allclose(together.pixels, alone.pixels, atol=1)
    assert [found.character for found in together.candidates] == [found.character for found in alone.candidates]
    for one, other in zip(together.drawings, alone.drawings, strict=True):
        assert [len(stroke) for stroke in one] == [len(stroke) for stroke in other]
        for found, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_samples_differ_and_the_seed_decides_them(chain):
    (one,), (same,), (other,) = (transfer(chain, image_of("万"), 3, 1.0, seed) for seed in (1, 1, 2))
    points = [np.concatenate([np.zeros((1, 2)), *strokes]) for strokes in one.drawings + other.drawings]
    assert len({array.tobytes() for array in points}) == 6
    assert [stroke.tobytes() for stroke in one.drawings[0]] == [stroke.tobytes() for stroke in same.drawings[0]]
    # More samples leave the first ones as they are.
    (more,) = transfer(chain, image_of("万"), 5, 1.0, 1)
    assert [stroke.tobytes() for stroke in one.drawings[2]] == [stroke.tobytes() for stroke in more.drawings[2]]


@pytest.mark.parametrize(
    ("samples", "temperature", "seed"), [(0, 0.3, 0), (1, -1, 0), (1, float("nan"), 0), (1, 0.3, -1)]
)
def test_numbers_out_of_range_are_refused(toy, samples, temperature, seed):
    with pytest.raises(UserError, match=r"temperature is (-1|nan)|samples is"):
        transfer(toy, image_of("万"), samples, temperature, seed)


def test_pictures_are_read_as_kuzushiji_kanji_has_them(tmp_path):
    """Ink from edge to edge: in 99 of 100 of its images it fills at least 59 of the 64 pixels of the longer side."""
    paper = np.full((120, 60), 230, np.uint8)
    paper[30:90, 25:31] = 20
    image = read_kuzushiji(save(paper, tmp_path / "line.png"))
    assert image.shape == (64, 64) and image.dtype == np.uint8
    rows, columns = np.nonzero(image > 100)
    assert np.ptp(rows) + 1 >= 62 and 5 <= np.ptp(columns) + 1 <= 8
    assert abs(columns.mean() - 31.5) <= 1 and image.max() > 200


def test_an_image_without_margin_is_read_as_it_is(tmp_path):
    image = np.zeros((64, 64), np.uint8)
    image[:, 30:34] = image[20:25, 2:62] = image[40:46, 10:50] = 255
    np.testing.assert_array_equal(read_kuzushiji(save(image, tmp_path / "tight.png"), "light"), image)


def test_what_is_no_picture_of_ink_is_refused(tmp_path):
    with pytest.raises(UserError, match="no ink"):
        read_kuzushiji(save(np.full((64, 64), 255, np.uint8), tmp_path / "empty.png"))
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(UserError, match=r"text\.png"):
        read_kuzushiji(tmp_path / "text.png")
    with pytest.raises(MissingFileError, match="no image"):
        read_kuzushiji(tmp_path / "missing.png")


def test_pictures_of_one_name_get_folders_of_their_own():
    paths = [Path(name) for name in ("a/x.png", "b/x.png", "x.jpg", "x-2.png", "y.png")]
    assert folder_names(paths) == ["x", "x-2", "x-3", "x-2-2", "y"]


def test_files_are_written_and_read_again(toy, tmp_path):
    (made,) = transfer(toy, image_of("中"), 3, 0.0, 0)
    write_transfer(made, tmp_path / "中")
    assert names_in(tmp_path) == {"中"}
    samples = {name.format(number) for name in FILES for number in (1, 2, 3)}
    assert names_in(tmp_path / "中") == samples | {"pixels.png", "candidates.json"}
    text = (tmp_path / "中" / "sample-2.svg").read_text(encoding="utf-8")
    for found, expected in zip(from_svg(text), made.drawings[1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert "<animate" in (tmp_path / "中" / "sample-2-animated.svg").read_text(encoding="utf-8")
    np.testing.assert_array_equal(255 - np.asarray(Image.open(tmp_path / "中" / "pixels.png")), made.pixels)
    drawn = np.asarray(Image.open(tmp_path / "中" / "sample-1.png"))
    assert drawn.shape == (256, 256) and drawn[0, 0] == 255 and drawn.min() == 0
    candidates = json.loads((tmp_path / "中" / "candidates.json").read_text(encoding="utf-8"))
    assert candidates == describe(made) and candidates["candidates"][0]["character"] == "中"


def test_a_stroke_is_drawn_where_it_lies_however_far_it_goes():
    image = draw_sample([np.float32([[0.25, 0.5], [1e6, 0.5]]), np.float32([[-1e9, 1e9]])], 109)
    rows, columns = np.nonzero(image > 127)
    assert set(rows) == {53, 54, 55} and (columns.min(), columns.max()) == (26, 108)


def test_a_drawing_without_strokes_is_an_empty_picture(toy, tmp_path):
    (made,) = transfer(toy, image_of("中"), 1, 0.0, 0)
    made.drawings[0] = []
    write_transfer(made, tmp_path / "x")
    assert from_svg((tmp_path / "x" / "sample-1.svg").read_text()) == []
    assert np.asarray(Image.open(tmp_path / "x" / "sample-1.png")).min() == 255


def test_a_note_says_what_is_probably_no_kanji(toy):
    from dataclasses import replace

    def noted(least):
        settings = replace(toy.settings, least_density=least)
        (made,) = transfer(replace(toy, settings=settings), image_of("中"), 1, 0.0, 0)
        return made.is_kanji, describe(made).get("note", "")

    density = transfer(toy, image_of("中"), 1, 0.0, 0)[0].candidates[0].log_density
    assert noted(None) == (None, "") and noted(density - 1) == (True, "")
    is_kanji, note = noted(density + 1)
    assert is_kanji is False and note.startswith("probably no kanji")


def test_only_an_earlier_transfer_is_replaced_and_only_if_asked(toy, tmp_path):
    (made,) = transfer(toy, image_of("中"), 1, 0.0, 0)
    folder = tmp_path / "x"
    check_replaceable(folder, overwrite=False)
    write_transfer(made, folder)
    check_replaceable(folder, overwrite=True)
    with pytest.raises(UserError, match="--overwrite"):
        check_replaceable(folder, overwrite=False)
    (folder / "letter.txt").touch()
    with pytest.raises(UserError, match=r"letter\.txt"):
        check_replaceable(folder, overwrite=True)
    with pytest.raises(UserError, match="file"):
        check_replaceable(folder / "letter.txt", overwrite=True)


def test_the_command_writes_a_folder_for_each_picture(exported_chain, tmp_path, capsys):
    paths = [str(save(255 - image_of("七")[0], tmp_path / part / "x.png")) for part in ("a", "b")]
    (tmp_path / "bad.png").write_text("no picture")
    out = tmp_path / "out"
    flags = ["--model", str(exported_chain), "--samples", "2", "--output", str(out)]
    assert main(["transfer", "generate", *paths, *flags, "--json"]) == 0
    assert names_in(out) == {"x", "x-2"} and "sample-2.svg" in names_in(out / "x-2")
    one, other = ((out / name / "sample-1.svg").read_text() for name in ("x", "x-2"))
    assert one == other
    results = json.loads(capsys.readouterr().out)["results"]
    assert [entry["folder"] for entry in results] == [str(out / "x"), str(out / "x-2")]
    assert main(["transfer", "generate", *paths, *flags]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["transfer", "generate", *paths, str(tmp_path / "bad.png"), *flags, "--overwrite"]) == 2
    errors = capsys.readouterr().err
    assert "bad.png" in errors and "1 of the 3 pictures" in errors


def test_the_command_refuses_what_it_cannot_do_in_a_sentence(exported_chain, tmp_path, capsys):
    empty = str(save(np.full((64, 64), 255, np.uint8), tmp_path / "empty.png"))
    model, out = ["--model", str(exported_chain)], ["--output", str(tmp_path / "out")]
    for arguments, sentence in (
        ([*model, *out], "Name at least one picture"),
        ([empty, *model, *out], "shows no ink"),
        ([empty, "--model", str(tmp_path / "nowhere"), *out], "nowhere"),
        ([empty, "--model", str(tmp_path), *out], "no chain"),
    ):
        assert main(["transfer", "generate", *arguments]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_work_directory_gives_what_its_export_gives(untrained, chain, few_characters):
    by_keras = transfer(load_chain(untrained.path), image_of("七"), 1, 0.0, 0)[0]
    by_litert = transfer(chain, image_of("七"), 1, 0.0, 0)[0]
    np.testing.assert_allclose(by_keras.pixels, by_litert.pixels, atol=3)
    assert {found.character for found in by_keras.candidates[:3]} & {found.character for found in by_litert.candidates}


def test_an_exported_chain_needs_no_tensorflow(exported_chain, tmp_path):
    picture = save(255 - image_of("七")[0], tmp_path / "x.png")
    program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import pytest
from tests.toy_chains import modern_recognizer, use_few_characters
use_few_characters(pytest.MonkeyPatch())
import kuzushiji_tf.recognition.predictors
kuzushiji_tf.recognition.predictors.load_predictor = lambda path: modern_recognizer()
from kuzushiji_tf.cli import main
for action in (
    ["generate", {str(picture)!r}, "--model", {str(exported_chain)!r}, "--output", {str(tmp_path / "out")!r}],
    ["evaluate", {str(exported_chain)!r}],
    ["figure", {str(exported_chain)!r}, "--count", "1", "--samples", "1", "--output", {str(tmp_path / "figure.png")!r}],
):
    assert main(["transfer", *action]) == 0
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "x" / "sample-8.svg").exists() and (tmp_path / "figure.png").exists()
    assert "unseen" in done.stdout
