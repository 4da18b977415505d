"""A recognizer and a data set, however each is named -> scores: what the command `evaluate` does, as a function."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import TrainingConfig, config_as_known
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions, default_split, is_path, is_same
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation.scoring import score
from kuzushiji_tf.recognition.cards import CARD, read_card
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.recognition.recognizer import Recognizer
from kuzushiji_tf.workdirs import WorkDirectory

REAL_PEN = "tomoe"  # what people drew with a pen, beside figures of images that a program drew


@dataclass(frozen=True)
class Origin:
    """What is known of a recognizer's making.

    Attributes:
        workdir: the run that its file lies in; None: in none.
        config: what it was trained with, as far as this version knows its settings; None: nobody knows.
        data: what the run says of the images that it was trained on.
    """

    workdir: WorkDirectory | None = None
    config: TrainingConfig | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trained_on(self) -> str | None:
        """The name of the data set that it was trained on; None where nobody says, or where none has that name."""
        return self.config.dataset if self.config and not self.data.get("given") else None

    @property
    def history(self) -> Path | None:
        """The run's `history.csv`, if it has one."""
        return self.workdir.history_file if self.workdir and self.workdir.history_file.exists() else None

    def output(self, dataset: str, split: str) -> Path | None:
        """Return the folder of its evaluation on a data set; None for a recognizer outside a run."""
        return self.workdir.evaluation / f"{dataset}-{split}" if self.workdir else None


def origin_of(path: Path) -> Origin:
    """Return what the run or the exported folder says that a path is, or lies in.

    Raises:
        UserError: its config.json or its card is damaged.
    """
    for folder in (path, path.parent):
        if (folder / CARD).exists():
            card = read_card(folder)
            recipe = card.get("recipe")
            config = config_as_known(recipe, f"{folder / CARD}: recipe") if recipe else None
            return Origin(None, config, card.get("training", {}))
        workdir = WorkDirectory(folder)
        if workdir.config_file.exists():
            description = workdir.description
            return Origin(
                workdir, config_as_known(description["config"], str(workdir.config_file)), description["data"]
            )
    return Origin()


def dataset_for(path: Path, dataset: str | None = None) -> str:
    """Return the name of the data set that a recognizer is evaluated on: `dataset`, else what it was trained on.

    Raises:
        UserError: it is None, and nobody can load what it was trained on; as `origin_of`.
    """
    origin = origin_of(path)
    name = dataset or origin.trained_on
    if name is None:
        reason = "was trained on images given in Python" if origin.config else "does not say what it was trained on"
        raise UserError(f"{path} {reason}; name the data set to measure on (--dataset).")
    return name


def require_held_out(dataset: CharacterDataset, data: Mapping[str, Any]) -> None:
    """Refuse to measure on other images than those that a run held out, which may be some that it was trained on.

    Args:
        dataset: the test split of the run's data set, as the run would load it.
        data: what the run says of its images.

    Raises:
        UserError: they are others.
    """
    if data.get("test_content_hash", dataset.content_hash) != dataset.content_hash:
        raise UserError(
            f"The test images of {dataset.name} are not those that were held out from the training: restore the data "
            "as it was, train again, or name what to measure on with --dataset."
        )


def evaluate(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    model: str | Path | Recognizer | Predictor,
    dataset: str | Path | CharacterDataset | None = None,
    *,
    split: str | None = None,
    output: str | Path | None = None,
    data_dir: str | Path | None = None,
    image_size: int | None = None,
) -> dict[str, Any]:
    """Score a recognizer on a data set; classes are matched by character, images of other characters are left out.

    Args:
        model: a recognizer, or the path of one, as `load_predictor` takes it.
        dataset: a data set or its name, as `load_dataset` takes it; None: the one that the recognizer was trained on,
            if its test images are those of then.
        split: of a named data set; None: `test`, and all of an `.npz` file of which it learned nothing.
        output: folder of tables and pictures; an earlier evaluation in it is replaced. None: in the work directory of
            the run that the recognizer is from; for any other none are written.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        image_size: pixels at which the data set is loaded or drawn before it gets the model's size.

    Returns:
        As `scoring.score`. Of a set that a program drew they are synthetic, and `ink` alone says so.

    Raises:
        UserError, MissingFileError: as `load_predictor`, `load_dataset` and `scoring.score`; or nobody says what the
            recognizer was trained on, or its test images are others today.
    """
    if isinstance(model, Recognizer):
        predictor = model.predictor
    else:
        predictor = model if isinstance(model, Predictor) else load_predictor(model)
    origin = origin_of(predictor.path)
    if not isinstance(dataset, CharacterDataset):
        name = dataset_for(predictor.path, str(dataset) if dataset else None)
        options = LoadOptions(data_dir=Path(data_dir) if data_dir else None)
        if origin.config and origin.trained_on and is_same(name, origin.trained_on):
            options = options_of_run(origin.config, options.data_dir)
        # Strokes are drawn at the model's size, and one's own images read at it; others keep theirs until they are
        # resized.
        own_size = options.image_size if is_path(name) else None
        options = replace(options, image_size=image_size or own_size, stroke_size=predictor.image_size[0])
        forms = origin.config.forms if origin.config else ()
        split = split or default_split(name, origin.trained_on, forms)
        is_held_out = dataset is None and split == "test" and image_size is None
        dataset = load_dataset(name, split, options)
        if is_held_out:
            require_held_out(dataset, origin.data)
    folder = Path(output) if output else origin.output(dataset.name, dataset.split)
    return score(predictor, dataset, folder, origin.history)


def load_real_pen(labels: Labels, image_size: int, data_dir: Path | None = None) -> tuple[CharacterDataset | None, str]:
    """Return what people drew with a pen, or None and why it does not help with these classes."""
    try:
        dataset = load_dataset(REAL_PEN, "test", LoadOptions(data_dir, stroke_size=image_size))
    except MissingFileError:
        return None, f"not found: name the folder that holds {REAL_PEN}/ with --data-dir or KUZUSHIJI_DATA"
    if not any(character in labels for character in dataset.classes):
        return None, "which has none of the model's characters"
    return dataset, ""
