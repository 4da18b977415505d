"""The floor that a trained recogniser has to beat: the nearest training image by its 16 x 16 mean gray values.

python benchmarks/nearest_neighbor.py --dataset kkanji
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from sklearn.metrics import recall_score
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions

CHUNK = 2000


@dataclass(frozen=True)
class Flags:
    """What is classified, and from how many gray values."""

    dataset: str = "kmnist"  # a registered data set
    size: int = 16  # means along each side
    data_dir: Path | None = None  # where the data set's files are


def means(dataset: CharacterDataset, size: int) -> np.ndarray:
    """Return the mean gray values, float32 `[n, size * size]`."""
    shape = (size, size)
    small = [np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.BOX)) for image in dataset.images]
    return np.stack(small).reshape(len(small), -1).astype(np.float32)


def main(flags: Flags) -> None:
    """Classify the test split, print its accuracy and, as the last line, the JSON object."""
    train, test = (load_dataset(flags.dataset, split, LoadOptions(flags.data_dir)) for split in ("train", "test"))
    classifier = KNeighborsClassifier(1, algorithm="brute").fit(means(train, flags.size), train.labels)
    queries = means(test, flags.size)
    starts = tqdm(range(0, len(test), CHUNK), "nearest neighbors", unit=f" x {CHUNK} images", disable=None)
    predicted = np.concatenate([classifier.predict(queries[start : start + CHUNK]) for start in starts])
    scores = {
        "accuracy": float(np.mean(predicted == test.labels)),
        "balanced_accuracy": float(
            recall_score(test.labels, predicted, labels=np.unique(test.labels), average="macro")
        ),
    }
    print(f"{flags.dataset}: {len(test):,} test images, {len(train):,} to compare with")
    print("\n".join(f"  {name:20}{value:8.2%}" for name, value in scores.items()))
    print(json.dumps(scores))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
