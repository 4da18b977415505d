"""`evaluate`: a trained or exported recognizer -> its scores, in print and as files and pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.characters.scripts import KINDS
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.recognition.cards import CARD
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.workdirs import WorkDirectory, find_last

if TYPE_CHECKING:
    from kuzushiji_tf.datasets import CharacterDataset

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
    # test, train, or all of what is your own; default: test, but all of an .npz file that it learned nothing from
    split: str | None = None
    # which file of a work directory: final (default) or best; of an exported folder: float32 (default), int8, ...
    file: str | None = None
    labels: Path | None = None  # a labels.txt with the classes, if there is none beside the file
    # folder of tables and pictures, with -tomoe added for those of real pen strokes beside a synthetic split; default:
    # in the work directory, else none are written
    output: Path | None = None
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    image_size: int | None = None  # load or draw the data set at this size first; default: draw it at the model's
    json: bool = False  # print the scores as one JSON object, and all else to standard error


def run(flags: EvaluateFlags) -> dict[str, Any]:
    """Evaluate, write the files, print and return the scores.

    Raises:
        UserError, MissingFileError: the target, the data set or the output folder is not as it should be.
    """
    from kuzushiji_tf.evaluation.evaluating import dataset_for, origin_of

    target = flags.target or find_last().path
    if not target.exists():
        raise MissingFileError(f"There is no recognizer at {target}.")
    dataset_for(target, flags.dataset)  # says at once, before TensorFlow is loaded, that it has to be named
    labels = Labels.read(flags.labels) if flags.labels else None
    start_tensorflow()
    predictor = load_predictor(target, file=flags.file, labels=labels)
    options = {"split": flags.split, "data_dir": flags.data_dir, "image_size": flags.image_size}
    summary = _evaluate(predictor, flags.dataset, flags.output, **options)
    if summary["ink"] == "synthetic":
        summary |= _evaluate_real_pen(flags, predictor)
    _print_next(target, origin_of(target).workdir)
    return summary


def _evaluate(
    predictor: Predictor, dataset: "str | CharacterDataset | None", output: Path | None, **options: Any
) -> dict[str, Any]:
    """Evaluate, print the scores, and return those that are numbers and names, without the lists."""
    from kuzushiji_tf.evaluation.evaluating import evaluate, origin_of

    result = evaluate(predictor, dataset, output=output, **options)
    _print_scores(result, output or origin_of(predictor.path).output(result["dataset"], result["split"]))
    return {key: value for key, value in result.items() if isinstance(value, int | float | str)}


def _evaluate_real_pen(flags: EvaluateFlags, predictor: Predictor) -> dict[str, Any]:
    """Say what a synthetic figure is worth, and evaluate on what people drew with a pen where that can be found."""
    from kuzushiji_tf.evaluation.evaluating import REAL_PEN, load_real_pen

    print(
        "\nThis was a synthetic split: its images were drawn by the program that drew the training images. Such figures"
        f"\nhide gaps of 4-55 points to people's handwriting; the honest figure is that of --dataset {REAL_PEN}"
    )
    dataset, why_not = load_real_pen(predictor.labels, predictor.image_size[0], flags.data_dir)
    if dataset is None:
        print(f"({why_not}).")
        return {}
    print("(real pen strokes):\n")
    output = Path(f"{flags.output.resolve()}-{REAL_PEN}") if flags.output else None
    return {f"{REAL_PEN}_{key}": value for key, value in _evaluate(predictor, dataset, output).items()}


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
        "refused": ("refused as no character", ""),
        "rejected": ("others refused", "   (images that show no character)"),
    }
    for key, (title, remark) in shares.items():
        if key in result:
            print(f"  {title:28}{result[key]:8.2%}{remark}")
    print(f"  {'negative log-likelihood':28}{result['negative_log_likelihood']:8.4f}")
    for kind in KINDS:
        if f"{kind}_count" in result:
            own = f"{kind}_"
            figures = {key.removeprefix(own): value for key, value in result.items() if key.startswith(own)}
            print(f"  {kind + ' (' + format(figures['count'], ',') + ')':28}" + _OF_A_KIND.format(**figures), end="")
            print(f"; refused {figures['refused']:.2%}" if "refused" in figures else "")
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
