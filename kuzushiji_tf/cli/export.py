"""`export`: a run -> SavedModel, Keras and TFLite files that were run over the whole test split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.recognition.readings import THRESHOLD
from kuzushiji_tf.workdirs import WorkDirectory, find_last


@dataclass(frozen=True)
class ExportFlags:
    """Which run is exported, and where to."""

    target: tyro.conf.Positional[Path | None] = None  # the work directory; default: the last run
    output: Path | None = None  # folder of the export; default: export/ in the work directory
    # measure on this data set's test images; default: on those of what it was trained on
    dataset: str | None = None
    # which file of the work directory: final, the weights at the end of the run, or best, of its best validation epoch
    file: Literal["final", "best"] = "final"
    dynamic_size: bool = False  # also write model-dynamic.tflite, which takes images of any size
    refusal_threshold: float = THRESHOLD  # the probability of being no character from which on an image is refused
    overwrite: bool = False  # replace the export that --output holds
    test_limit: int | None = None  # measure on this many test images only, as model.json then says; default: on all
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    json: bool = False  # print the figures as one JSON object, and all else to standard error


def run(flags: ExportFlags) -> dict[str, Any]:
    """Export, verify, print and return what each file achieves.

    Raises:
        UserError, MissingFileError: as `folders.export` does.
    """
    workdir = WorkDirectory(flags.target) if flags.target else find_last()
    _ = workdir.description  # says at once, before TensorFlow is loaded, when this is not a work directory
    output = flags.output or workdir.export
    print(f"exporting {workdir.path} to {output}", flush=True)
    start_tensorflow()
    from kuzushiji_tf.exporting.folders import export

    card = export(
        workdir,
        output,
        dataset=flags.dataset,
        file=flags.file,
        dynamic_size=flags.dynamic_size,
        refusal_threshold=flags.refusal_threshold,
        overwrite=flags.overwrite,
        test_limit=flags.test_limit,
        data_dir=flags.data_dir,
        report=lambda message: print(f"  {message}", flush=True),
    )
    _print_table(card)
    print(f"\nNext:\n  python -m kuzushiji_tf predict IMAGE --model {output}    (reads a picture of one character)")
    told = ("name", "classes", "files", "test", "real_pen")
    return {"output": str(output)} | {key: value for key, value in card.items() if key in told}


def _print_table(card: dict[str, Any]) -> None:
    columns = {
        "synthetic_accuracy": ("synthetic", "8.2%"),
        "accuracy": ("accuracy", "8.2%"),
        "real_pen_accuracy": ("real pen", "8.2%"),
        "refused": ("refused", "8.2%"),
        "agreement": ("as Keras", "8.2%"),
        "latency_ms": ("ms", "8.2f"),
    }
    columns = {
        key: column for key, column in columns.items() if any(key in figures for figures in card["files"].values())
    }
    print(f"\n  {'file':22}{'bytes':>11}" + "".join(f"{title:>11}" for title, _ in columns.values()))
    for name, figures in card["files"].items():
        cells = [f"{figures[key]:{form}}" if key in figures else "" for key, (_, form) in columns.items()]
        print(f"  {name:22}{figures['bytes']:11,}" + "".join(f"{cell:>11}" for cell in cells))
    test = card["test"]
    print(f"\n  measured on {test['images']:,} images of {test['dataset']}, {test['split']} split", end="")
    print("; a program drew them, so these figures do not measure quality" if test["synthetic"] else "")
    if "real_pen" in card:
        print(
            f"  real pen: {card['real_pen']['images']:,} characters that a person drew ({card['real_pen']['dataset']})"
        )
