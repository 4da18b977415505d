"""Words made of single characters that a person drew (`tomoe`), side by side: how many are cut and read right.

    python benchmarks/words.py

Each character is another size (0.9 to 1.1 of how it was drawn) and a little higher or lower than its neighbors. `even`:
as on squared paper, whose squares are 0.95 to 1.15 times as wide as the box that the characters were drawn in. `tight`:
as close as it comes, 0 to 0.3 of the box between the ink of neighbors. Both side by side, and one below the other.

Last line: JSON. `words`; `cut`, `read` and `read_in_3` of `even` words side by side, shares; the same with `tight_`,
`vertical_` and `tight_vertical_` before it; `milliseconds` a word.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.ink.strokes import Strokes
from kuzushiji_tf.recognition.recognizer import Recognizer

BOX = 300  # in which `tomoe` was drawn
SHIFT = 0.04  # of the box: at most so much higher or lower than the neighbors
WORDS = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split()


@dataclass(frozen=True)
class Flags:
    """What reads, and how much."""

    model: Path = Path("saved_models/touch-joyo")  # an exported folder
    file: str = "int8"  # float32, float16 or int8
    words: int = 200
    seed: int = 0
    data_dir: Path | None = None  # where tomoe is; default: KUZUSHIJI_DATA


class Writer:
    """Sets words together."""

    def __init__(self, data_dir: Path | None, seed: int):
        self.drawings = defaultdict(list)
        for drawing in load_tomoe_strokes(data_dir):
            self.drawings[drawing.character].append(drawing.strokes)
        self.random = np.random.default_rng(seed)

    def can_write(self, word: str) -> bool:
        return all(character in self.drawings for character in word)

    def even(self, word: str, axis: int) -> Strokes:
        pitch, strokes = BOX * self.random.uniform(0.95, 1.15), []
        for place, character in enumerate(word):
            offset = self.random.uniform(-SHIFT, SHIFT, 2) * BOX
            offset[axis] += place * pitch
            strokes += [stroke + offset for stroke in self.drawn(character, 0.1)]
        return strokes

    def tight(self, word: str, axis: int) -> Strokes:
        at, strokes = 0.0, []
        for character in word:
            own = self.drawn(character, 0.15)
            along = np.concatenate(own)[:, axis]
            offset = self.random.uniform(-SHIFT, SHIFT, 2) * BOX
            offset[axis] = at - along.min()
            strokes += [stroke + offset for stroke in own]
            at += np.ptp(along) + BOX * self.random.uniform(0, 0.3)
        return strokes

    def drawn(self, character: str, spread: float) -> Strokes:
        """Return one of a character's drawings, up to `spread` smaller or larger."""
        choices, size = self.drawings[character], self.random.uniform(1 - spread, 1 + spread)
        strokes = choices[self.random.integers(len(choices))]
        return [BOX / 2 + size * (stroke - BOX / 2) for stroke in strokes]


def main(flags: Flags) -> None:
    """Measure and print a table, then one JSON line."""
    writer, recognizer = Writer(flags.data_dir, flags.seed), Recognizer(flags.model, file=flags.file)
    words = [word for word in WORDS if writer.can_write(word)][: flags.words]
    arrangements: dict[str, tuple[Callable[[str, int], Strokes], int]] = {
        "": (writer.even, 0),
        "tight_": (writer.tight, 0),
        "vertical_": (writer.even, 1),
        "tight_vertical_": (writer.tight, 1),
    }
    figures, seconds = {"words": len(words)}, []
    print(f"{'':20} {'cut':>7} {'read':>7} {'in 3':>7}   misread")
    for name, (write, axis) in arrangements.items():
        found = {}
        for word in words:
            strokes, start = write(word, axis), time.perf_counter()
            found[word] = [text.text for text in recognizer.recognize_text(strokes)]
            seconds.append(time.perf_counter() - start)
        own = {
            "cut": np.mean([len(word) == len(texts[0]) for word, texts in found.items()]),
            "read": np.mean([word == texts[0] for word, texts in found.items()]),
            "read_in_3": np.mean([word in texts for word, texts in found.items()]),
        }
        figures |= {name + key: float(value) for key, value in own.items()}
        misread = " ".join(f"{word}>{texts[0]}" for word, texts in found.items() if word != texts[0])
        print(
            f"{name.replace('_', ' ') or 'even':20} {' '.join(f'{value:7.1%}' for value in own.values())}   {misread}"
        )
    print(json.dumps({**figures, "milliseconds": round(1000 * float(np.median(seconds)), 1)}))


if __name__ == "__main__":
    main(tyro.cli(Flags))
