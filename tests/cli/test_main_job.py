"""The README's first command, as a newcomer runs it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def run(script, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *script, *arguments]
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


@pytest.mark.slow
def test_train_evaluate_export_predict_with_defaults(tmp_path):
    start = time.monotonic()
    run([ROOT / "train.py"], tmp_path)
    scores = json.loads(run([ROOT / "evaluate.py"], tmp_path, "--json"))
    run([ROOT / "export.py"], tmp_path)
    print(f"the main job took {(time.monotonic() - start) / 60:.1f} minutes")
    assert scores["accuracy"] > 0.88  # of drawings by careless hands; people are read better
    if "tomoe_accuracy" in scores:
        assert scores["tomoe_accuracy"] > 0.9
    picture = tmp_path / "a.png"
    draw_hiragana("あ", picture)
    (read,) = json.loads(run(["-m", "kuzushiji_tf"], tmp_path, "predict", str(picture), "--json"))["results"]
    assert read["candidates"][0]["character"] == "あ"


def draw_hiragana(character, path):
    from PIL import Image

    from kuzushiji_tf.datasets.drawn.kana import draw_characters

    ink = draw_characters([character], 1, (99, 1), 64)[0]
    page = np.full((200, 300), 230, np.uint8)
    page[50:114, 120:184] = np.minimum(page[50:114, 120:184], 255 - ink)
    Image.fromarray(page).save(path)
