"""How the data set of a training run is loaded: the settings of the run that concern it."""

from pathlib import Path

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets.registry import LoadOptions


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
        seed=config.seed,
        forms=config.forms,
        classes=config.classes,
        random_split=config.random_split,
        refuse=config.refuse,
    )
