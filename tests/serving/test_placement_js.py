"""The page judges size and place as Python does; both are held to the same places."""

import json
import shutil
import subprocess

import pytest

from kuzushiji_tf.ink.strokes import as_strokes
from kuzushiji_tf.recognition.placement import UNPLACED, form_odds
from kuzushiji_tf.serving.site import WEB
from tests.make_ink_vectors import PATH

PLACES = json.loads(PATH.read_text(encoding="utf-8"))["places"]
PROGRAM = """
import { readFileSync } from "node:fs";
const { formOdds, UNPLACED } = await import(process.argv[1]);
const { places } = JSON.parse(readFileSync(process.argv[2], "utf-8"));
console.log(JSON.stringify([UNPLACED, ...places.map(({strokes, canvas}) => formOdds(strokes, canvas))]));
"""


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place["name"])
def test_python_judges_the_places(place):
    assert form_odds(as_strokes(place["strokes"]), place["canvas"]) == pytest.approx(place["odds"], rel=1e-4)


def test_the_page_judges_the_places():
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    command = ["node", "--input-type=module", "--eval", PROGRAM, (WEB / "placement.js").as_uri(), str(PATH)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    unplaced, *odds = json.loads(done.stdout)
    assert unplaced == UNPLACED and len(odds) == len(PLACES)
    for place, found in zip(PLACES, odds, strict=True):
        assert found == pytest.approx(place["odds"], rel=1e-4), place["name"]


def test_the_places_show_both_readings_of_each_form():
    for form in ("small", "mark"):
        values = [place["odds"][form] for place in PLACES]
        assert min(values) < 0.1 and max(values) > 10 and any(0.2 < value < 5 for value in values)
