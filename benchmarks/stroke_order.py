"""Stroke order: what is said of kanji that are drawn right and wrong, and of what a person drew (`tomoe`).

    python benchmarks/stroke_order.py

Every joyo kanji as KanjiVG writes it, as it is and leaning, stretched and shifted as by a hand: in order (nothing is to
be said), with two neighboring strokes exchanged, with one drawn backward, and with one left out (that, and nothing
else, is to be said of that stroke).

Last line: JSON. `in_order`, `exchanged`, `reversed` and `missing`, the shares of which the right thing is said;
`by_hand_in_order` and so on; `tomoe_in_order`, the share of a person's drawings of which nothing is said, with
`tomoe_order`, `tomoe_reversed`, `tomoe_missing` and `tomoe_extra`, of which that is said; `tomoe`, how many they are.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kuzushiji_tf.datasets.kanjivg import has_strokes, load_strokes
from kuzushiji_tf.datasets.subsets import joyo_kanji
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.ink.stroke_order import Remark, compare
from kuzushiji_tf.ink.strokes import Strokes


def drawings(strokes: Strokes, random: np.random.Generator) -> Iterator[tuple[str, Strokes, list[Remark]]]:
    """Yield drawings of a kanji by name, with what is to be said of each; of an exchange either stroke may be named."""
    yield "in_order", strokes, []
    one = int(random.integers(len(strokes)))
    turned = [stroke[::-1] if number == one else stroke for number, stroke in enumerate(strokes)]
    yield "reversed", turned, [Remark("reversed", one)]
    if len(strokes) > 1:
        yield "missing", strokes[:one] + strokes[one + 1 :], [Remark("missing", one)]
        first = min(one, len(strokes) - 2)
        exchanged = [*strokes[:first], strokes[first + 1], strokes[first], *strokes[first + 2 :]]
        yield "exchanged", exchanged, [Remark("order", first), Remark("order", first + 1)]


def by_hand(strokes: Strokes, random: np.random.Generator) -> Strokes:
    """Return strokes as a hand may lean, stretch and shift them."""
    lean = np.eye(2) + random.normal(0, 0.06, (2, 2))
    return [((stroke - 0.5) @ lean + 0.5 + random.normal(0, 0.015, 2)).astype(np.float32) for stroke in strokes]


def is_right(name: str, said: list[Remark], expected: list[Remark]) -> bool:
    return (len(said) == 1 and said[0] in expected) if name == "exchanged" else said == expected


def main() -> None:
    """Measure and print a table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="where tomoe is; default: KUZUSHIJI_DATA")
    arguments = parser.parse_args()
    random, right, counts = np.random.default_rng(0), Counter(), Counter()
    for strokes in load_strokes(joyo_kanji()).values():
        for name, drawn, expected in drawings(strokes, random):
            for key, varied in ((name, drawn), (f"by_hand_{name}", by_hand(drawn, random))):
                right[key] += is_right(name, compare(varied, strokes).remarks, expected)
                counts[key] += 1
    figures = {key: right[key] / counts[key] for key in sorted(counts)}
    said, count = Counter(), 0
    for drawing in load_tomoe_strokes(arguments.data_dir):
        if has_strokes(drawing.character):
            remarks = compare(drawing.strokes, load_strokes([drawing.character])[drawing.character]).remarks
            said.update({remark.fault for remark in remarks} or {"in_order"})
            count += 1
    figures |= {
        f"tomoe_{fault}": said[fault] / count for fault in ("in_order", "order", "reversed", "missing", "extra")
    }
    for key, value in figures.items():
        print(f"{key:20} {value:8.2%}")
    print(json.dumps({**{key: round(value, 4) for key, value in figures.items()}, "tomoe": count}))


if __name__ == "__main__":
    main()
