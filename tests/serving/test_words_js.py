"""The page cuts and reads a line as Python does, from the same probabilities of its pieces."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from kuzushiji_tf.characters.sequences import loss_behind
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.ink.strokes import Strokes, as_strokes
from kuzushiji_tf.recognition.recognizer import Recognizer
from kuzushiji_tf.recognition.words import lines_of
from kuzushiji_tf.serving import site
from tests.recognition.test_words import written

LINES = {
    "明日": 0,
    "言う": 1,
    "がっこう": 0,
    "ちょっと": 1,
    "コーヒー": 0,
    "夕日": 0,
    "工場": 0,
    "へや": 1,
    "田": 0,
    "っ": 0,
}
PROGRAM = """
import { readFileSync } from "node:fs";
const [words, ranking, sequences] = await Promise.all(process.argv.slice(1).map((file) => import(file)));
const { classes, lines, pairs } = JSON.parse(readFileSync(0, "utf-8"));
const keyOf = (strokes) => `${strokes[0][0]} ${strokes.length}`;
const texts = lines.map(({strokes, probabilities}) =>
  words.readText(strokes, async (own, odds) =>
    ranking.rank(probabilities[keyOf(own)], classes, {odds, count: words.FOLLOWED}).candidates));
const losses = pairs.map((pair) => sequences.lossBehind(...pair));
console.log(JSON.stringify({ texts: await Promise.all(texts), losses }));
"""
PAIRS = [
    "きょ",
    "きよ",
    "シャ",
    "がっ",
    "っこ",
    "フェ",
    "フエ",
    "日ー",
    "ラー",
    "すー",
    "かょ",
    "あア",
    "アあ",
    "ア日",
    "日ア",
    "1ア",
    "青ぃ",
    "人々",
]


def pieces_of(strokes: Strokes) -> list[Strokes]:
    pieces = [(line.strokes_of(piece)) for line in lines_of(strokes) for piece in line.pieces()]
    return list({(len(piece), float(piece[0][0, 0]), float(piece[0][0, 1])): piece for piece in pieces}.values())


def test_the_page_reads_lines_as_python_does():
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    recognizer = Recognizer.pretrained("touch-joyo")
    lines, expected = [], []
    for word, axis in LINES.items():
        # Whole numbers are the same in both languages.
        strokes = as_strokes([np.rint(stroke * 10).tolist() for stroke in written(word, axis)])
        own, probabilities = pieces_of(strokes), {}
        for piece in own:
            row = recognizer.predictor.predict(draw_ink(piece, recognizer.predictor.image_size[0])[np.newaxis])[0]
            first = ",".join(f"{value:.0f}" for value in piece[0][0])
            probabilities[f"{first} {len(piece)}"] = row.astype(float).round(7).tolist()
        assert len(probabilities) == len(own)
        lines.append({"strokes": [stroke.tolist() for stroke in strokes], "probabilities": probabilities})
        expected.append(recognizer.recognize_text(strokes))
    given = {"classes": site.describe_classes(recognizer.repertoire), "lines": lines, "pairs": [*PAIRS, ["", "っ"]]}
    modules = [(site.WEB / f"{name}.js").as_uri() for name in ("words", "ranking", "sequences")]
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PROGRAM, *modules],
        input=json.dumps(given).replace(".0]", "]").replace(".0,", ","),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    assert answer["losses"] == pytest.approx([loss_behind(*pair) for pair in given["pairs"]])
    for word, found, texts in zip(LINES, answer["texts"], expected, strict=True):
        assert [each["text"] for each in found] == [text.text for text in texts], word
        assert [each["score"] for each in found] == pytest.approx([text.score for text in texts], abs=0.02), word
        for each, text in zip(found, texts, strict=True):
            places = [[segment.strokes.start, segment.strokes.stop] for segment in text.segments]
            assert [segment["strokes"] for segment in each["segments"]] == places
