"""How the data set of a training run is loaded: the settings of the run that concern it."""

import math
import os
from dataclasses import replace
from pathlib import Path

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions, is_path
from kuzushiji_tf.errors import UserError

FEW_STEPS = 100  # in fewer, from random weights, next to nothing is learned


def options_of_run(config: TrainingConfig, data_dir: Path | None = None) -> LoadOptions:
    """Return how `load_dataset(config.dataset, ...)` gives the images that a run with this config uses.

    Args:
        config: of the run.
        data_dir: where the user's files are; None means `KUZUSHIJI_DATA`, then the download cache.
    """
    return LoadOptions(
        data_dir,
        image_size=config.image_size,
        per_class=config.per_class,
        rare_kanji=config.rare_kanji,
        seed=config.seed,
        forms=config.forms,
        classes=config.classes,
        random_split=config.random_split,
        refuse=config.refuse,
    )


def with_absolute_paths(config: TrainingConfig) -> TrainingConfig:
    """Return the config with the whole paths of its data and of its file of classes.

    What is evaluated and exported from another folder is then measured on the data that it was trained on, and not on
    what has the same name there.
    """
    dataset, classes = config.dataset, config.classes
    if is_path(dataset):
        dataset = os.path.abspath(dataset)
    if classes is not None and len(classes) < 256 and os.path.isfile(classes):  # it may be the characters themselves
        classes = os.path.abspath(classes)
    return replace(config, dataset=dataset, classes=classes)


def hash_of_test(config: TrainingConfig, options: LoadOptions) -> str | None:
    """Return the content hash of the images of one's own that are held out for testing.

    None of a registered data set, which is the same everywhere, and of images without a test split.
    """
    if not is_path(config.dataset):
        return None
    try:
        return load_dataset(config.dataset, "test", options).content_hash
    except UserError:
        return None


def require_square(dataset: CharacterDataset) -> None:
    """Refuse images of which no recognizer could be exported.

    Raises:
        UserError: they are not square.
    """
    height, width = dataset.image_size
    if height != width:
        raise UserError(
            f"The images of {dataset.name} are {height} x {width} pixels, and a recognizer of them could not be "
            f"exported: pad them to squares, or stretch them with --image-size {max(height, width)}."
        )


def note_on_few_steps(config: TrainingConfig, dataset: CharacterDataset) -> str | None:
    """Return the sentence for who trains on so few images that nothing is learned; None where there are enough."""
    images = config.epoch_images or config.balance * len(dataset.classes) or len(dataset)
    steps = config.epochs * math.ceil(images / config.batch_size)
    if steps >= FEW_STEPS or config.initial_weights is not None:
        return None
    return (
        f"note: {config.epochs} epochs of {images:,} images are {steps} steps, in which next to nothing is learned: a "
        "few hundred images need smaller batches and more passes, such as --batch-size 32 --epochs 25 --learning-rate "
        "0.05."
    )
