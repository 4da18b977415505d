"""Stroke order: what is wrong with a drawing is said of the right stroke, by Python and by the page alike."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from stroke_order import by_hand, drawings, is_right

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.datasets.subsets import joyo_kanji
from kuzushiji_tf.ink.stroke_order import FARTHEST, _matched, compare
from kuzushiji_tf.ink.strokes import Strokes
from kuzushiji_tf.serving.site import WEB

EVERY = 20  # of the joyo kanji each so manyth, for time; benchmarks/stroke_order.py takes all


@pytest.fixture(scope="module")
def kanji() -> dict[str, Strokes]:
    return load_strokes(joyo_kanji()[::EVERY])


def test_nothing_is_said_of_what_is_drawn_as_it_is_written(kanji):
    random = np.random.default_rng(0)
    for character, strokes in kanji.items():
        assert compare(strokes, strokes).remarks == [], character
        assert compare(by_hand([300 * stroke - 50 for stroke in strokes], random), strokes).remarks == [], character


def test_each_fault_is_said_of_the_stroke_that_it_is_about(kanji):
    random, right, count = np.random.default_rng(1), 0, 0
    for strokes in kanji.values():
        for name, drawn, expected in drawings(strokes, random):
            right += is_right(name, compare(by_hand(drawn, random), strokes).remarks, expected)
            count += 1
    assert count > 300 and right / count > 0.98


def test_what_belongs_to_no_stroke_is_extra_and_its_number_is_that_of_the_drawing():
    strokes = load_strokes(["木"])["木"]
    below = [np.array([[0.4, 0.9], [0.6, 0.9]], np.float32)]
    comparison = compare(strokes[:1] + below + strokes[1:], strokes)
    assert comparison.written_as == [0, None, 1, 2, 3]
    assert [(remark.fault, remark.stroke) for remark in comparison.remarks] == [("extra", 1)]


def test_dots_and_single_points_are_strokes_too():
    dot = [np.array([[5.0, 5.0]], np.float32)]
    assert compare(dot, dot).written_as == [0]


def test_strokes_are_matched_so_that_all_together_are_nearest():
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(2)
    for _ in range(200):
        rows, columns = random.integers(1, 9, 2)
        costs = random.random((rows, columns)) * 2 * FARTHEST
        padded = np.concatenate([costs, np.full((rows, rows), FARTHEST)], axis=1)
        best = padded[optimize.linear_sum_assignment(padded)].sum()
        found = _matched(costs)
        assert len({column for column in found if column is not None}) == sum(column is not None for column in found)
        total = sum(FARTHEST if column is None else costs[row, column] for row, column in enumerate(found))
        assert total == pytest.approx(best)


PROGRAM = """
import { readFileSync } from "node:fs";
const { compareStrokes } = await import(process.argv[1]);
const pairs = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(pairs.map(([drawn, model]) => compareStrokes(drawn, model))));
"""


def test_the_page_says_what_python_says(kanji):
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    random, pairs = np.random.default_rng(3), []
    for strokes in kanji.values():
        pairs += [(by_hand(drawn, random), strokes) for _, drawn, _ in drawings(strokes, random)]
    given = json.dumps([[[stroke.tolist() for stroke in side] for side in pair] for pair in pairs])
    command = ["node", "--input-type=module", "--eval", PROGRAM, (WEB / "order.js").as_uri()]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    for pair, found in zip(pairs, json.loads(done.stdout), strict=True):
        expected = compare(*pair)
        assert found["writtenAs"] == expected.written_as
        said = [(remark.fault, remark.stroke) for remark in expected.remarks]
        assert [(remark["fault"], remark["stroke"]) for remark in found["remarks"]] == said
