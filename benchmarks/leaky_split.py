"""Why a figure can be too good: multiply the images first, then split; or split first. The same model and budget.

    python benchmarks/leaky_split.py

EfficientNet-KuzushijiKanji brings every class to the same number of images by augmented copies, and takes a random
tenth of all of them for testing: copies of one original stand on both sides. Here a model is trained by that protocol,
and another of the same kind, for as many epochs of as many images, by the leak-free one: originals are split first, and
those for training are brought to the same number. The data set's own test split is held back from both.

Last line: JSON with `leaky_accuracy` (the first model on its tenth of the copies, which that protocol reports),
`leaky_accuracy_on_unseen` (the first model on the test split), `leak_free_accuracy` (the second on the test split), and
the same with `balanced_accuracy`, as the copies are balanced and the test split is not.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tyro

from kuzushiji_tf.batches.materializing import Balance, materialize
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.subsets import select_classes
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.scoring import score
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.training.runs import train

TESTED = 0.1  # of the copies, as in the source project
COPIES = 5  # of an original, at least


@dataclass(frozen=True)
class Flags:
    """How much is trained, on what."""

    dataset: str = "kkanji"  # a registered data set
    model: str = "small_cnn"  # a registered model
    classes: int = 200  # spread evenly from the most to the least frequent
    per_class: int = 200  # images that each class is brought to
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.1
    precision: str = "float32"  # of the layers' arithmetic: float32, bfloat16 or float16
    seed: int = 0  # of the copies, the random tenth and the training
    data_dir: Path | None = None  # where the data set's files are


def choose_classes(train: CharacterDataset, test: CharacterDataset, flags: Flags) -> str:
    """Return characters that both splits have, evenly spaced in the order of their frequency.

    Those with so many originals that fewer than five copies of each were made are left out: the source project's
    10,000 images of a class are at least five of each original as well.

    Raises:
        UserError: there are fewer than asked for.
    """
    many, tested = (np.bincount(split.labels, minlength=len(train.classes)) for split in (train, test))
    usable = np.flatnonzero((many > 0) & (tested > 0) & (many <= flags.per_class // COPIES))
    if flags.classes > len(usable):
        raise UserError(
            f"{flags.classes} classes are asked for, but {len(usable)} have images in both splits and at most a fifth "
            f"of {flags.per_class} for training: choose fewer --classes or a larger --per-class."
        )
    by_frequency = usable[np.argsort(-many[usable], kind="stable")]
    places = np.linspace(0, len(usable) - 1, flags.classes).astype(int)
    return "".join(train.classes[index] for index in by_frequency[places])


def multiplied(dataset: CharacterDataset, per_class: int, seed: int, folder: Path) -> CharacterDataset:
    """Return the data set with each class brought to the same number of images by augmented copies."""
    return load_dataset(str(materialize(dataset, folder, Balance(per_class, seed))), "train")


def trained(dataset: CharacterDataset, flags: Flags, folder: Path) -> Predictor:
    """Return a model that was trained on all images of a data set."""
    config = TrainingConfig(
        dataset=flags.dataset,
        model=flags.model,
        validation_fraction=0.0,
        epochs=flags.epochs,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        precision=flags.precision,
        seed=flags.seed,
    )
    return load_predictor(train(config, folder, dataset=dataset).path)


def main(flags: Flags) -> None:
    """Train both models, print what each protocol reports and, as the last line, the JSON object."""
    originals, unseen = (load_dataset(flags.dataset, part, LoadOptions(flags.data_dir)) for part in ("train", "test"))
    characters = choose_classes(originals, unseen, flags)
    originals, unseen = (select_classes(dataset, characters) for dataset in (originals, unseen))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copies = multiplied(originals, flags.per_class, flags.seed, place / "copies")
        order = np.random.default_rng(flags.seed).permutation(len(copies))
        tested, kept = np.split(order, [round(len(order) * TESTED)])
        print(f"leaky: {len(originals):,} originals, multiplied to {len(copies):,}, then split", flush=True)
        leaky = trained(copies.select(kept), flags, place / "leaky")
        reported, honest = score(leaky, copies.select(tested)), score(leaky, unseen)
        as_many = multiplied(originals, round(flags.per_class * (1 - TESTED)), flags.seed, place / "training")
        print(
            f"leak-free: {len(originals):,} originals beside {len(unseen):,} for testing, then multiplied", flush=True
        )
        leak_free = score(trained(as_many, flags, place / "leak-free"), unseen)
    rows = {"leaky": ("", reported), "leaky model on unseen originals": ("_on_unseen", honest)}
    rows["leak-free"] = ("", leak_free)
    print(f"\n{'protocol':36}{'accuracy':>10}{'balanced':>10}{'images':>10}")
    result = {}
    for title, (suffix, scores) in rows.items():
        print(f"{title:36}{scores['accuracy']:10.2%}{scores['balanced_accuracy']:10.2%}{scores['count']:10,}")
        name = "leak_free" if title == "leak-free" else "leaky"
        result |= {f"{name}_{key}{suffix}": round(scores[key], 4) for key in ("accuracy", "balanced_accuracy")}
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
