"""The virtual balanced set: its cost at 60 thousand and at 38 million positions, and writing it out.

    python benchmarks/balanced.py

Last line: JSON with `virtual_rate_ratio` (images a second at 38 million positions / at 60 thousand),
`virtual_memory_ratio` (peak memory of a process that samples the one / the other), `virtual_bytes_written` (to disk, by
sampling) and `materialize_ratio` (images a second of `materialize` / of EfficientNet-KuzushijiKanji's method, written
again here: for each image SciPy's Gaussian filter and coordinate lookup, an affine transform and noise). Its affine
transform is scikit-image's there and SciPy's here, which takes about as long; its detour by PNG files is left out.

The images are Kuzushiji-Kanji's where `KUZUSHIJI_DATA` has them, else random ones of as many classes.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

from kuzushiji_tf.batches.materializing import Balance, materialize
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import locate

CLASSES = 3832
FEW, MANY = 16, 10_000  # images of each class: 60 thousand and 38 million in all
BATCH = 128
REPEATS = 7
SECONDS = 2.0
MEMORY_BATCHES = 200
SOURCE_IMAGES = 100  # in each of the samples of the source's method


def originals() -> CharacterDataset:
    """Return the training split of Kuzushiji-Kanji, or random images in its place."""
    if locate("kkanji"):
        return load_dataset("kkanji")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), 3)
    images = random.integers(0, 256, (len(labels), 64, 64), np.uint8)
    classes = Labels(tuple(chr(0x4E00 + index) for index in range(CLASSES)))
    return CharacterDataset("random", "train", images, labels, classes, "", "")


def virtual_batches(dataset: CharacterDataset, per_class: int):
    """Return the training batches of the virtual set, in random order, as `--balance` has them."""
    from kuzushiji_tf.batches.pipeline import Changes, training_batches
    from kuzushiji_tf.batches.sampling import BalancedPlan, EpochPlan

    balanced = BalancedPlan(dataset.labels, np.arange(len(dataset)), per_class, seed=0)
    return training_batches(dataset, balanced, EpochPlan(len(balanced), BATCH, seed=0), Changes())


def virtual_ratios() -> dict[str, float]:
    """Return `virtual_rate_ratio`, `virtual_memory_ratio` and `virtual_bytes_written`, after printing the table."""
    dataset = originals()
    sets = {per_class: virtual_batches(dataset, per_class) for per_class in (FEW, MANY)}
    rates = {per_class: [] for per_class in sets}
    for _ in range(REPEATS):
        for per_class, batches in sets.items():
            rates[per_class].append(_rate(iter(batches)))
    peaks = {per_class: _in_process(per_class) for per_class in sets}
    print(f"{'positions':>12}{'images/s':>12}{'peak memory':>14}{'bytes written':>15}")
    for per_class in sets:
        memory, written = peaks[per_class]
        rate = statistics.median(rates[per_class])
        print(f"{per_class * CLASSES:>12,}{rate:>12,.0f}{memory / 1024:>11,.0f} MB{written:>15,}")
    return {
        "virtual_rate_ratio": statistics.median(rates[MANY]) / statistics.median(rates[FEW]),
        "virtual_memory_ratio": peaks[MANY][0] / peaks[FEW][0],
        "virtual_bytes_written": peaks[MANY][1],
    }


def _rate(batches) -> float:
    for _ in range(3):
        next(batches)
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        next(batches)
        count += BATCH
    return count / elapsed


def _in_process(per_class: int) -> tuple[int, int]:
    """Return the peak memory (KiB) of a process of its own, and the bytes that sampling wrote to disk in it."""
    command = [sys.executable, __file__, "--sample", str(per_class)]
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return tuple(json.loads(output.splitlines()[-1]))


def sample(per_class: int) -> None:
    """Take some batches and print the peak memory (KiB) and the bytes written to disk meanwhile."""
    batches = virtual_batches(originals(), per_class)
    before = _written()
    for _ in batches.take(MEMORY_BATCHES):
        pass
    print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _written() - before]))


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def materialize_ratio(images: int = 200_000) -> dict[str, float]:
    """Return `materialize_ratio`, after printing the table; `images` is about how many are written."""
    dataset = originals()
    counts = np.bincount(dataset.labels)
    counts = counts[counts > 0]
    balance = max(round(images / len(counts)), 2)
    total = balance * len(counts)
    random = np.random.default_rng(0)
    source = [_source_rate(dataset, random) for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        materialize(dataset, Path(folder) / "set", Balance(balance))
        ours = total / (time.perf_counter() - start)
    source += [_source_rate(dataset, random) for _ in range(3)]
    # Originals are only copied; to the source's method they are granted as free.
    copies = 1 - np.minimum(counts, balance).sum() / total
    theirs = statistics.median(source) / copies
    print(f"{total:,} images, {copies:.0%} of them augmented copies   images a second")
    print(f"{'kuzushiji_tf, all cores, with start-up':40}{ours:>12,.0f}")
    print(f"{'EfficientNet-KuzushijiKanji, one core':40}{theirs:>12,.0f}")
    return {"materialize_ratio": float(ours / theirs)}


def _source_rate(dataset: CharacterDataset, random: np.random.Generator) -> float:
    rows = random.integers(0, len(dataset), SOURCE_IMAGES)
    start = time.perf_counter()
    for row in rows:
        source_copy(dataset.images[row] / 255.0, random)
    return len(rows) / (time.perf_counter() - start)


def source_copy(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return one augmented copy (uint8) of an image (0..1) by the steps and numbers of that project."""
    x, y = (1000 * gaussian_filter(random.uniform(-1, 1, image.shape), 30, mode="constant") for _ in range(2))
    rows, columns = np.indices(image.shape)
    image = map_coordinates(image, [rows + y, columns + x], order=1, mode="reflect")
    angle, scale = np.deg2rad(random.uniform(-15, 15)), random.uniform(0.9, 1.1)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    inverse = np.linalg.inv([[cosine, -sine], [sine, cosine]])
    image = affine_transform(image, inverse, -inverse @ random.uniform(-5, 5, 2), order=1, mode="reflect")
    image = np.clip(image + 0.05 * random.normal(size=image.shape), 0, 1)
    return (image * 255).astype(np.uint8)


def main() -> None:
    """Measure, print the tables and the JSON line."""
    result = virtual_ratios() | materialize_ratio()
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sample"]:
        sample(int(sys.argv[2]))
    else:
        main()
