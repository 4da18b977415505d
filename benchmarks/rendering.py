"""Characters that one core draws in a second: strokes varied like handwriting, rasterized and normalized.

python benchmarks/rendering.py
"""

import argparse
import json
import os
import statistics
import time

# Before NumPy is loaded: one core is what is measured.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from kuzushiji_tf.datasets.drawn.kana import HIRAGANA, draw_characters

IMAGE_SIZES = (32, 48, 64)
REPORTED_SIZE = 48


def main() -> None:
    """Measure and print a table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=200, help="drawings of each of the 71 hiragana in one repeat")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for size in IMAGE_SIZES:
        draw_characters(HIRAGANA, 1, (0, 0), size)  # parses the strokes
    rates = {size: [] for size in IMAGE_SIZES}
    for _ in range(arguments.repeats):
        for size in IMAGE_SIZES:
            start = time.process_time()
            images = draw_characters(HIRAGANA, arguments.per_class, (0, 0), size)
            rates[size].append(len(images) / (time.process_time() - start))
    print(f"{'image size':>10} {'characters/s':>13} {'lowest':>8} {'highest':>8}")
    for size, found in rates.items():
        print(f"{size:>10} {statistics.median(found):>13.0f} {min(found):>8.0f} {max(found):>8.0f}")
    figure = {"characters_per_second": round(statistics.median(rates[REPORTED_SIZE])), "image_size": REPORTED_SIZE}
    print(json.dumps({**figure, "cores": 1}))


if __name__ == "__main__":
    main()
