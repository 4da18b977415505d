"""`evaluate`: a trained or exported recognizer -> its scores, in print and as files and pictures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import KINDS
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.workdirs import WorkDirectory, find_last

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
    dataset: str | None = None  # a data set, or a folder or .npz file of your own; default: what it was trained on
    split: str | None = None  # test, train, or all of what is your own; default: test, but all of another .npz file
    file: str | None = None  # of a work directory: final (default) or best; of an exported folder: float32, int8, ...
    labels: Path | None = None  # a labels.txt with the classes, if there is none beside the file
    output: Path | None = None  # folder of tables and pictures; default: in the work directory, else none are written
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    image_size: int | None = None  # load or draw the data set at this size first; default: draw it at the model's
    json: bool = False  # print the scores as one JSON object in the last line


def run(flags: EvaluateFlags) -> None:
    """Evaluate, write the files and print the scores.

    Raises:
        UserError, MissingFileError: the target, the data set or the output folder is not as it should be.
    """
    from kuzushiji_tf.evaluation.evaluating import evaluate, origin_of

    target = flags.target or find_last().path
    if not target.exists():
        raise MissingFileError(f"There is no recognizer at {target}.")
    origin = origin_of(target)
    name = flags.dataset or (origin.config.dataset if origin.config else None)
    if name is None:
        raise UserError(f"{target} does not say what it was trained on; name the data set with --dataset.")
    labels = Labels.read(flags.labels) if flags.labels else None
    start_tensorflow()
    predictor = load_predictor(target, file=flags.file, labels=labels)
    result = evaluate(
        predictor,
        name,
        split=flags.split,
        output=flags.output,
        data_dir=flags.data_dir,
        image_size=flags.image_size,
    )
    _print_scores(result, flags.output or origin.output(result["dataset"], result["split"]))
    summary = _plain(result)
    if result["ink"] == "synthetic":
        summary |= _evaluate_real_pen(flags, predictor)
    _print_next(target, origin.workdir)
    if flags.json:
        print(json.dumps(summary, ensure_ascii=False))


def _evaluate_real_pen(flags: EvaluateFlags, predictor: Predictor) -> dict[str, Any]:
    """Say what a synthetic figure is worth, and evaluate on what people drew with a pen where that can be found."""
    from kuzushiji_tf.evaluation.evaluating import REAL_PEN, load_real_pen, origin_of
    from kuzushiji_tf.evaluation.scoring import score

    print(
        "\nThis was a synthetic split: its images were drawn by the program that drew the training images. Such figures"
        f"\nhide gaps of 4-55 points to people's handwriting; the honest figure is that of --dataset {REAL_PEN}"
    )
    dataset, why_not = load_real_pen(predictor.labels, predictor.image_size[0], flags.data_dir)
    if dataset is None:
        print(f"({why_not}).")
        return {}
    print("(real pen strokes):\n")
    output = None if flags.output else origin_of(predictor.path).output(dataset.name, dataset.split)
    result = score(predictor, dataset, output)
    _print_scores(result, output)
    return {f"{REAL_PEN}_{key}": value for key, value in _plain(result).items()}


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
