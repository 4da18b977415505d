"""`evaluate`: a trained or exported recognizer -> its scores, in print and as files and pictures."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import KINDS
from kuzushiji_tf.config import SMALLEST_SIZE, TrainingConfig, config_from_dict
from kuzushiji_tf.datasets.registry import LoadOptions, ink_of, load_dataset
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.recognition.cards import CARD, read_card
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.workdirs import WorkDirectory, find_last

REAL_PEN = "tomoe"
CHARACTERS_PRINTED = 20  # of those left out
_OF_A_KIND = (
    "{accuracy:8.2%}   top-5 {top5_accuracy:.2%}; with look-alikes {alike_accuracy:.2%}; "
    "where the script is known {alone_accuracy:.2%}, top-5 {alone_top5_accuracy:.2%}"
)


@dataclass(frozen=True)
class EvaluateFlags:
    """What is evaluated, on what, and where the files go."""

    # a work directory, an exported folder, a .keras or .tflite file or a SavedModel; default: the last run
    target: tyro.conf.Positional[Path | None] = None
    dataset: str | None = None  # a registered data set; default: the one it was trained on
    split: Literal["test", "train"] = "test"
    file: str | None = None  # of a work directory: final (default) or best; of an exported folder: float32, int8, ...
    labels: Path | None = None  # a labels.txt with the classes, where none stands beside the file
    output: Path | None = None  # folder of tables and pictures; default: in the work directory, else none are written
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    image_size: int | None = None  # pixels at which the data set is loaded or drawn before the model's size is made
    json: bool = False  # print the scores as one JSON object in the last line


def run(flags: EvaluateFlags) -> None:
    """Evaluate, write the files and print the scores.

    Raises:
        UserError, MissingFileError: the target, the data set or the output folder is not as it should be.
    """
    if flags.image_size is not None and flags.image_size < SMALLEST_SIZE:
        raise UserError(f"--image-size is {flags.image_size}; it must be at least {SMALLEST_SIZE}.")
    target = flags.target or find_last().path
    if not target.exists():
        raise MissingFileError(f"There is no recognizer at {target}.")
    trained = _trained(target)
    name = flags.dataset or (trained.dataset if trained else None)
    if name is None:
        raise UserError(f"{target} does not say what it was trained on; name the data set with --dataset.")
    labels = Labels.read(flags.labels) if flags.labels else None
    start_tensorflow()
    predictor = load_predictor(target, file=flags.file, labels=labels)
    dataset = load_dataset(name, flags.split, _load_options(flags, name, trained, predictor))

    from kuzushiji_tf.evaluation.scoring import evaluate

    workdir = WorkDirectory(target) if WorkDirectory(target).config_file.exists() else None
    output, history = flags.output, None
    if workdir:
        output = output or workdir.evaluation / f"{dataset.name}-{flags.split}"
        history = workdir.history_file if workdir.history_file.exists() else None
    result = evaluate(predictor, dataset, output, history)
    _print_scores(result, output)
    summary = _plain(result)
    if ink_of(name) == "synthetic":
        beside = workdir.evaluation / f"{REAL_PEN}-test" if workdir and not flags.output else None
        real = _evaluate_real_pen(flags, predictor, beside)
        summary |= {f"{REAL_PEN}_{key}": value for key, value in _plain(real).items()}
    _print_next(target, workdir)
    if flags.json:
        print(json.dumps(summary, ensure_ascii=False))


def _trained(target: Path) -> TrainingConfig | None:
    """Return the knobs of the run behind a work directory or an exported folder; None for other files."""
    if (target / "config.json").exists():
        return WorkDirectory(target).config
    recipe = read_card(target).get("recipe") if (target / CARD).exists() else None
    return config_from_dict(recipe, f"{target / CARD}: recipe") if recipe else None


def _load_options(flags: EvaluateFlags, name: str, trained: TrainingConfig | None, predictor: Predictor) -> LoadOptions:
    """Return how to load: strokes are drawn at the model's size, other images keep their own until they are resized."""
    drawn = ink_of(name) != "scanned"
    image_size = flags.image_size or (predictor.image_size[0] if drawn else None)
    options = LoadOptions(data_dir=flags.data_dir)
    if trained and trained.dataset == name:
        options = options_of_run(trained, flags.data_dir)
    return replace(options, image_size=image_size)


def _evaluate_real_pen(flags: EvaluateFlags, predictor: Predictor, output: Path | None) -> dict[str, Any]:
    """Say what a synthetic figure is worth, and evaluate on people's pen strokes where those are at hand."""
    from kuzushiji_tf.evaluation.scoring import evaluate

    print(
        "\nThis was a synthetic split: its images were drawn by the program that drew the training images. Such figures"
        f"\nhide gaps of 4-55 points to people's handwriting; the honest figure is the one of --dataset {REAL_PEN}"
    )
    try:
        dataset = load_dataset(REAL_PEN, "test", _load_options(flags, REAL_PEN, None, predictor))
    except MissingFileError:
        print(f"(which is not at hand: name the folder that holds {REAL_PEN}/ with --data-dir or KUZUSHIJI_DATA).")
        return {}
    if not any(character in predictor.labels for character in dataset.classes):
        print("(which has none of the model's characters).")
        return {}
    print("(real pen strokes):\n")
    result = evaluate(predictor, dataset, output)
    _print_scores(result, output)
    return result


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers and names of a result, without its lists."""
    return {key: value for key, value in result.items() if isinstance(value, int | float | str)}


def _print_scores(result: dict[str, Any], output: Path | None) -> None:
    tested = f"{result['count']:,} images of {result['classes_tested']:,} of its {result['classes']:,} classes"
    print(f"{result['model']} on {result['dataset']}, {result['split']} split: {tested}\n")
    interval = f"   (95 % interval {result['accuracy_low']:.1%} to {result['accuracy_high']:.1%})"
    shares = {
        "accuracy": ("accuracy", interval),
        "top5_accuracy": ("top-5 accuracy", ""),
        "balanced_accuracy": ("balanced accuracy", ""),
        "macro_f1": ("macro F1", ""),
        "expected_calibration_error": ("expected calibration error", ""),
    }
    for key, (title, remark) in shares.items():
        print(f"  {title:28}{result[key]:8.2%}{remark}")
    print(f"  {'negative log-likelihood':28}{result['negative_log_likelihood']:8.4f}")
    for kind in KINDS:
        if f"{kind}_count" in result:
            own = f"{kind}_"
            figures = {key.removeprefix(own): value for key, value in result.items() if key.startswith(own)}
            print(f"  {kind + ' (' + format(figures['count'], ',') + ')':28}" + _OF_A_KIND.format(**figures))
    if result["left_out"]:
        characters = result["left_out_characters"]
        some = "".join(characters[:CHARACTERS_PRINTED]) + ("…" if len(characters) > CHARACTERS_PRINTED else "")
        print(f"  {'images left out':28}{result['left_out']:8,}   (characters that the model has no class for: {some})")
    if result["worst_classes"]:
        print("\n  recall  images  worst classes")
    for worst in result["worst_classes"]:
        taken_for = ", ".join(f"{character} ({count:,})" for character, count in worst["taken_for"].items())
        print(f"{worst['recall']:8.1%}{worst['support']:8,}  {worst['character']} taken for {taken_for}")
    if output:
        print(f"\n  tables and pictures: {output}")


def _print_next(target: Path, workdir: WorkDirectory | None) -> None:
    if workdir and workdir.final.exists():
        print(f"\nNext:\n  python export.py {target}    (SavedModel and TFLite, each verified)")
    elif (target / CARD).exists():
        print(f"\nNext:\n  python -m kuzushiji_tf predict IMAGE --model {target}    (reads a picture of one character)")
