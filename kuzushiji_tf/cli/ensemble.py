"""`ensemble`: trained runs -> one recognizer that averages their probabilities, as a work directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.workdirs import WorkDirectory


@dataclass(frozen=True)
class EnsembleFlags:
    """Which runs are joined, and where to."""

    # work directories of one data set, two or more
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN...")]
    output: Path  # the work directory of the ensemble
    # how much each run counts: all the same, or what is best on the images that every run held out
    weights: Literal["equal", "validation"] = "equal"
    overwrite: bool = False  # replace the run that --output holds
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    json: bool = False  # print the members and their weights as one JSON object, and all else to standard error


def run(flags: EnsembleFlags) -> dict[str, Any]:
    """Join the runs, say what to do next, and return the members and their weights.

    Raises:
        UserError, MissingFileError: as `ensembles.join_runs` does.
    """
    for path in flags.runs:
        _ = WorkDirectory(path).description  # says at once, before TensorFlow is loaded, what is not a work directory
    start_tensorflow()
    from kuzushiji_tf.training.ensembles import join_runs

    workdir = join_runs(
        flags.runs,
        flags.output,
        weighting=flags.weights,
        data_dir=flags.data_dir,
        overwrite=flags.overwrite,
    )
    description = workdir.description
    result, entry = description["result"], description["ensemble"]
    if entry["validation_images"]:
        print(f"weights fitted on {entry['validation_images']:,} images that every run held out")
    print("\n  weight  member")
    for member in entry["members"]:
        print(f"{member['weight']:8.4f}  {member['path']} ({member['model']})")
    print(
        f"\n{result['parameters']:,} parameters, {result['minutes']:.1f} minutes of training in all. Next:\n"
        f"  python evaluate.py {workdir.path}    (scores and pictures)\n"
        f"  python export.py {workdir.path}      (SavedModel and TFLite)"
    )
    return {"output": str(workdir.path), **result, **entry}
