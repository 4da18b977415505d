"""How well the shipped recognizers read pictures that are no clean crops: margins, light, paper, rules, neighbors.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --models saved_models/kmnist --images 1000

Those that read drawings are shown what people drew with a pen (`tomoe`), the others their own test sets; conditions are
in `picture_conditions.py`. The photo is a JPEG file of 12 million pixels; its memory is what a process of its own needs
beyond what it had.

Last line: JSON with the share of pictures read, `<recognizer>_<condition>`; the worst condition as a fraction of the
clean one, `<recognizer>_worst_ratio`; and of the photo `photo_ms` and `photo_mb`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from picture_conditions import CONDITIONS, Subject
from PIL import Image

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.datasets.registry import LoadOptions, load_dataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.scoring import match_classes
from kuzushiji_tf.ink.pictures import read_ink
from kuzushiji_tf.ink.strokes import normalize, render
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.recognition.recognizer import Recognizer

DRAWN_SIZE = 160  # pixels, of the drawings before their margin is cut
DRAWN_INK = 60  # gray levels: what counts as ink then
PHOTO = (3000, 4000)
REPEATS = 7  # of reading the photo
MEMORY = """
import sys
from kuzushiji_tf.ink.pictures import read_ink
def kibibytes(name):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name)))
read_ink(sys.argv[2])
before = kibibytes("VmRSS")
read_ink(sys.argv[1])
print((kibibytes("VmHWM") - before) / 1024)
"""


@dataclass(frozen=True)
class Flags:
    """What is read, and how often."""

    models: tuple[Path, ...] = ()  # exported folders; default: all in saved_models
    images: int = 200  # of each recognizer in each condition
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    data_dir: Path | None = None  # where the test sets are


def main(flags: Flags) -> None:
    """Measure, print a table for each recognizer and, as the last line, the JSON object."""
    models = flags.models or sorted(file.parent for file in Path("saved_models").glob("*/model-int8.tflite"))
    result = {}
    for folder in models:
        shares = read_all(folder, flags)
        worst = min(shares, key=lambda condition: shares[condition])
        ratio = shares[worst] / shares["clean"] if shares.get("clean") else float("nan")
        print(f"{folder.name}, int8, {flags.images} pictures each; the worst, {worst}, has {ratio:.3f} of clean")
        print("\n".join(f"  {condition:16}{share:8.3f}" for condition, share in shares.items()), flush=True)
        result |= {f"{folder.name}_{condition}": share for condition, share in shares.items()}
        result[f"{folder.name}_worst_ratio"] = ratio
    result |= measure_photo()
    print(f"a photo of 12 megapixels: {result['photo_ms']:.0f} ms, {result['photo_mb']:.0f} MiB")
    print(json.dumps({key: round(value, 4) for key, value in result.items()}))


def read_all(folder: Path, flags: Flags) -> dict[str, float]:
    """Return the share of pictures that a recognizer reads right, by condition."""
    recognizer = Recognizer(folder, file="int8")
    images, characters = load_images(recognizer, flags.data_dir)
    order = np.random.default_rng(0).permutation(len(images))
    shares = {}
    for condition in flags.conditions:
        right = 0
        for number in range(flags.images):
            row, other = order[number % len(order)], order[(number + 1) % len(order)]
            random = np.random.default_rng([zlib.crc32(condition.encode()), number])
            picture = CONDITIONS[condition](Subject(without_margin(images[row]), without_margin(images[other]), random))
            with suppress(UserError):  # no ink
                right += recognizer.recognize(picture, top_k=1)[0].character == characters[row]
        shares[condition] = right / flags.images
    return shares


def load_images(recognizer: Recognizer, data_dir: Path | None) -> tuple[np.ndarray, list[str]]:
    """Return images that a recognizer was not trained on, white ink on black, and their characters."""
    predictor = recognizer.predictor
    if predictor.normalization == "ink-box":
        dataset = load_dataset("tomoe", "test", LoadOptions(data_dir, DRAWN_SIZE))
    else:
        dataset = load_dataset(read_card(predictor.path.parent)["test"]["dataset"], "test", LoadOptions(data_dir))
    dataset, _, _ = match_classes(dataset, predictor.labels)
    return dataset.images, [dataset.classes[int(label)] for label in dataset.labels]


def without_margin(image: np.ndarray) -> np.ndarray:
    """Return a drawing cut to its ink, and a square; an image of a test set, which has no margin, as it is."""
    if len(image) != DRAWN_SIZE:
        return np.array(image)
    rows, columns = (np.flatnonzero((image > DRAWN_INK).any(axis=axis)) for axis in (1, 0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    square = np.zeros((max(ink.shape),) * 2, np.uint8)
    top, left = ((len(square) - side) // 2 for side in ink.shape)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def measure_photo() -> dict[str, float]:
    """Return the milliseconds and mebibytes that finding the ink of a large photo takes."""
    with tempfile.TemporaryDirectory() as folder:
        photo, small = Path(folder) / "photo.jpg", Path(folder) / "small.jpg"
        image = take_photo()
        image.save(photo, quality=90)
        image.reduce(8).save(small)
        del image
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            read_ink(photo)
            times.append(1000 * (time.perf_counter() - start))
        command = [sys.executable, "-c", MEMORY, str(photo), str(small)]
        memory = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {"photo_ms": statistics.median(times), "photo_mb": memory}


def take_photo() -> Image.Image:
    """Return a photo of a character on grainy paper, the light falling off to one side."""
    height, width = PHOTO
    cover = np.zeros(PHOTO, np.float32)
    cover[500:2500, 1000:3000] = render(normalize(load_strokes("永")["永"]), 2000, 80).astype(np.float32) / 255
    light = 0.35 + 0.4 * np.linspace(0, 1, width, dtype=np.float32)
    light = light + 0.2 * np.linspace(0, 1, height, dtype=np.float32)[:, np.newaxis]
    grain = np.random.default_rng(0).standard_normal(PHOTO, np.float32)
    gray = Image.fromarray(np.clip(255 * light * (1 - 0.85 * cover) + 3 * grain, 0, 255).astype(np.uint8))
    return Image.merge("RGB", [gray, gray, gray.point(lambda level: level * 0.9)])


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
