"""Fine-tuning: a recognizer of 71 hiragana learns 20 new characters from 30 images of each, or a new one does.

    python benchmarks/fine_tuning.py

The characters are kanji of Kuzushiji-Kanji, spread evenly over those with enough images; none is a hiragana, and all
are cursive writing from paper, which `saved_models/kana` never saw. Their images are written as pictures, class by
class, as a person would have them, and both trainings are one command on that folder, with the same epochs, batches and
learning rate; they differ in `--initial-weights` alone. Both are scored on other images of these characters.

Last line: JSON with `fine_tuned` and `from_nothing`, each the mean accuracy over the seeds, with `_least` and `_most`
of them and `_minutes` of training, the mean too.
"""

import json
import os
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import fmean

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tyro
from PIL import Image

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.cli import main as run_command
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.evaluating import evaluate
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.workdirs import WorkDirectory


@dataclass(frozen=True)
class Flags:
    """What is learned, and for how long."""

    source: Path = Path("saved_models/kana")  # an exported recognizer
    characters: int = 20
    images: int = 30  # of each character, for training
    test_images: int = 100  # of each character, at most
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 0.05
    seeds: tuple[int, ...] = (1, 2, 3)
    data_dir: Path | None = None  # where Kuzushiji-Kanji is


def choose(train: CharacterDataset, test: CharacterDataset, flags: Flags) -> list[int]:
    """Return the numbers of classes that have enough images, from the rarest to the most frequent.

    Raises:
        UserError: there are fewer than asked for.
    """
    many, tested = (np.bincount(split.labels, minlength=len(train.classes)) for split in (train, test))
    known = Labels.read(flags.source / "labels.txt")
    usable = [
        number
        for number in np.argsort(many, kind="stable")
        if many[number] >= flags.images and tested[number] >= 5 and train.classes[number] not in known
    ]
    if len(usable) < flags.characters:
        raise UserError(f"{flags.characters} characters are asked for, but {len(usable)} have enough images.")
    return [int(usable[place]) for place in np.linspace(0, len(usable) - 1, flags.characters).astype(int)]


def write_pictures(dataset: CharacterDataset, classes: list[int], most: int, folder: Path) -> int:
    """Write the first images of each class as dark ink on paper, and return how many there are."""
    count = 0
    for number in classes:
        place = folder / dataset.classes[number]
        place.mkdir(parents=True)
        for index, row in enumerate(np.flatnonzero(dataset.labels == number)[:most]):
            Image.fromarray(255 - dataset.images[row]).save(place / f"{index}.png")
            count += 1
    return count


def trained(flags: Flags, letters: Path, size: int, seed: int, *more: str) -> WorkDirectory:
    """Return the run of one command."""
    workdir = letters.parent / f"run-{seed}-{len(more)}"
    settings = {
        "dataset": letters,
        "image-size": size,
        "epochs": flags.epochs,
        "batch-size": flags.batch_size,
        "learning-rate": flags.learning_rate,
        "seed": seed,
        "workdir": workdir,
    }
    command = ["train", *(str(part) for name, value in settings.items() for part in (f"--{name}", value)), *more]
    with redirect_stdout(StringIO()) as said:
        code = run_command(command)
    if code:
        raise UserError(f"{' '.join(command)} ended with {code}: {said.getvalue()}")
    return WorkDirectory(workdir)


def main(flags: Flags) -> None:
    """Train all runs; print the table and, as the last line, the JSON object."""
    size = read_card(flags.source)["input"]["shape"][1]
    train, test = (load_dataset("kkanji", split, LoadOptions(flags.data_dir)) for split in ("train", "test"))
    classes = choose(train, test, flags)
    kinds = {"fine_tuned": ("--initial-weights", str(flags.source)), "from_nothing": ()}
    scores: dict[str, list[float]] = {kind: [] for kind in kinds}
    minutes: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        letters, unseen = Path(folder) / "letters", Path(folder) / "unseen"
        counts = [
            write_pictures(train, classes, flags.images, letters),
            write_pictures(test, classes, flags.test_images, unseen),
        ]
        characters = "".join(train.classes[number] for number in classes)
        print(f"{characters}: {counts[0]:,} images in the folder, {counts[1]:,} others to test on", flush=True)
        for seed in flags.seeds:
            for kind, more in kinds.items():
                run = trained(flags, letters, size, seed, *more)
                scores[kind].append(evaluate(run.path, unseen, split="all", output=run.path / "unseen")["accuracy"])
                minutes[kind].append(run.description["result"]["minutes"])
                print(f"seed {seed}, {kind}: {scores[kind][-1]:.2%}, {minutes[kind][-1]:.1f} minutes", flush=True)
    print(f"\n{'training':14}{'accuracy':>10}{'minutes':>9}   accuracy of each seed, {flags.epochs} epochs")
    result = {}
    for kind, values in scores.items():
        each = " ".join(f"{value:.2%}" for value in values)
        print(f"{kind:14}{fmean(values):10.2%}{fmean(minutes[kind]):9.1f}   {each}")
        result |= {kind: round(fmean(values), 4), f"{kind}_minutes": round(fmean(minutes[kind]), 2)}
        result |= {f"{kind}_least": round(min(values), 4), f"{kind}_most": round(max(values), 4)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
