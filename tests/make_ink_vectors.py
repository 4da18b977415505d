"""Make `tests/data/ink_vectors.json`: drawings and their images, for every implementation of docs/ink.md to agree with.

    python -m tests.make_ink_vectors

Each vector: `name`, `strokes` (as a device sends them), `image_size`, and `image`, base64 of the bytes row by row. Each
place: `name`, `strokes`, `canvas` (the pad's width and height), and `odds`, what size and place make of each form.
"""

import base64
from pathlib import Path

import numpy as np

from kuzushiji_tf.datasets.kanjivg import CREDIT, LICENCE, load_strokes
from kuzushiji_tf.files import write_json
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.ink.strokes import arc_length, as_strokes, resample
from kuzushiji_tf.recognition.placement import form_odds

PATH = Path(__file__).parent / "data" / "ink_vectors.json"
KANA, KANJI = "あのねがぱへアシツ", "一口書鬱永道"
CANVAS = 300  # units of a page's drawing area


def as_drawn(character: str, spacing: float, canvas: float = CANVAS, decimals: int = 1, jitter: float = 0.0) -> list:
    """Return a character's strokes as points about `spacing` units apart, with noise, rounded as devices round."""
    random = np.random.default_rng(ord(character))
    drawn = []
    for stroke in load_strokes(character)[character]:
        stroke = stroke * canvas  # KanjiVG's box is the unit box
        points = resample(stroke, max(2, round(arc_length(stroke)[-1] / spacing)))
        drawn.append(np.round(points + random.normal(0, jitter, points.shape), decimals).tolist())
    return drawn


def with_time(strokes: list) -> list:
    """Return the strokes with a third number in every point, a time in milliseconds."""
    return [[[x, y, 8 * index] for index, (x, y) in enumerate(stroke)] for stroke in strokes]


def moved(strokes: list, scale: float, x: float, y: float) -> list:
    """Return the strokes in other units and at another place."""
    return [[[point[0] * scale + x, point[1] * scale + y] for point in stroke] for stroke in strokes]


def ring(points: int) -> list:
    """Return a circle as one stroke."""
    angles = np.linspace(0, 2 * np.pi, points + 1)
    return [np.round(np.stack([150 + 100 * np.cos(angles), 150 + 100 * np.sin(angles)], axis=1), 2).tolist()]


def drawings() -> list[tuple[str, list, int]]:
    """Return name, strokes and image size of every vector."""
    plain = [(character, as_drawn(character, 8), (32, 64)[i % 2]) for i, character in enumerate(KANA + KANJI)]
    line, dot = [[10, 50], [290, 50]], [[120, 40]]
    shapes = [
        ("a dot", [dot], 32),
        ("a tap with the pen at rest", [[[5, 5], [5, 5], [5, 5]]], 64),
        ("a box smaller than the least", [[[1e-8, 0], [3e-8, 2e-8]]], 32),
        ("two dots", [dot, [[160, 90]]], 64),
        ("a dot under a line", [line, [[150, 200]]], 32),
        ("a dot that trembles beside a line", [line, [[150, 200], [151, 201], [150, 202], [149, 200]]], 64),
        ("an empty stroke between two", [line, [], [[150, 10], [150, 290]]], 32),
        ("a straight horizontal line", [line], 32),
        ("the same line, larger image", [line], 64),
        ("a vertical line of many points", [[[40, y] for y in range(0, 200, 2)]], 64),
        ("a diagonal", [[[0, 0], [33.3, 40]]], 32),
        ("a corner", [[[20, 20], [280, 20], [120, 290]]], 64),
        ("a stroke that turns back", [[[0, 0], [100, 0], [0, 3]], [[0, 90], [100, 100]]], 32),
        ("a stroke that ends where it began", [[[0, 0], [1, 0], [0, 0]]], 32),
        ("a ring of many points", ring(500), 64),
        ("a ring of few points", ring(12), 32),
        ("a scribble", [[[(37 * i) % 101, (53 * i) % 97] for i in range(120)]], 64),
    ]
    devices = [
        ("あ, 1,000 points a second", as_drawn("あ", 0.5, decimals=2), 64),
        ("あ, whole pixels with repeats", as_drawn("あ", 0.3, decimals=0), 32),
        ("あ, a slow browser", as_drawn("あ", 40), 32),
        ("あ, small on the canvas", as_drawn("あ", 2, canvas=50, decimals=0), 64),
        ("あ, a trembling hand", as_drawn("あ", 3, jitter=1.5), 64),
        ("書, a trembling hand, dense", as_drawn("書", 1, jitter=1.0), 32),
        ("永 with times", with_time(as_drawn("永", 6)), 64),
        ("の far from the origin", moved(as_drawn("の", 8), 1, 1e7, -2e7), 32),
        ("の in huge units", moved(as_drawn("の", 8), 1e6, 0, 0), 64),
        ("の in a box of 1", moved(as_drawn("の", 8), 1 / CANVAS, 0, 0), 32),
    ]
    sizes = [(f"ね at {size}", as_drawn("ね", 8), size) for size in (24, 28, 72, 120)]
    return plain + shapes + devices + sizes


def placed() -> list[tuple[str, list, list]]:
    """Return name, strokes and canvas of every place."""
    tsu, pad = as_drawn("つ", 8), [CANVAS, CANVAS]
    return [
        ("つ that fills the pad", tsu, pad),
        ("つ small in the middle", moved(tsu, 0.4, 90, 90), pad),
        ("つ half as large in the lower left", moved(tsu, 0.5, 15, 140), pad),
        ("つ half as large in the upper right", moved(tsu, 0.5, 140, 5), pad),
        ("つ half as large in the lower right", moved(tsu, 0.5, 140, 140), pad),
        ("っ as print has it", as_drawn("っ", 8), pad),
        ("。 as print has it", as_drawn("。", 4), pad),
        ("a dot in the middle", [[[150, 150]]], pad),
        ("a dot in a corner, with a time", [[[10, 290, 5]]], pad),
        ("つ beyond the pad's edges", moved(tsu, 3, -700, 40), pad),
        ("つ small in a wide pad", moved(tsu, 0.4, 400, 160), [900, 300]),
        ("つ small at the end of a tall pad", moved(tsu, 0.3, 190, 5), [300, 700]),
        ("つ in a pad of 1", moved(tsu, 0.4 / CANVAS, 0.2, 0.45), [1, 1]),
    ]


def main() -> None:
    """Write the file."""
    vectors = [
        {
            "name": name,
            "image_size": size,
            "strokes": strokes,
            "image": base64.b64encode(draw_ink(strokes, size).tobytes()).decode(),
        }
        for name, strokes, size in drawings()
    ]
    places = [
        {"name": name, "strokes": strokes, "canvas": canvas, "odds": form_odds(as_strokes(strokes), canvas)}
        for name, strokes, canvas in placed()
    ]
    PATH.parent.mkdir(exist_ok=True)
    content = {"licence": LICENCE, "credit": f"characters: {CREDIT}", "vectors": vectors, "places": places}
    write_json(PATH, content, indent=None)


if __name__ == "__main__":
    main()
