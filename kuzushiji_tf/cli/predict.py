"""`predict`: pictures of single characters -> ranked characters."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.workdirs import all_runs

SHIPPED_MODEL = Path(__file__).parents[2] / "saved_models" / "kana"


@dataclass(frozen=True)
class PredictFlags:
    """What is read, and with which recogniser."""

    images: tyro.conf.Positional[tuple[Path, ...]]  # pictures of one character each, of any size
    # an exported folder, a .tflite or .keras file, or a work directory; default: the last run's export, else the kana
    # recogniser of this project
    model: Path | None = None
    file: str | None = None  # of an exported folder: float32 (default), float16, int8, ...
    top_k: int = 5  # characters to print for each picture
    polarity: Literal["auto", "dark", "light"] = "auto"  # of the ink against the paper
    json: bool = False  # print the readings as one JSON object in the last line


def run(flags: PredictFlags) -> None:
    """Print the readings of each picture; go on after one that cannot be read.

    Raises:
        UserError, MissingFileError: no picture, no recogniser, or some picture could not be read (at the end).
    """
    if not flags.images:
        raise UserError("Name at least one picture: python -m kuzushiji_tf predict IMAGE")
    if flags.top_k < 1:
        raise UserError(f"--top-k is {flags.top_k}; it must be at least 1.")
    from kuzushiji_tf.recognizer import Recognizer

    recognizer = Recognizer(flags.model or _default_model(), file=flags.file)
    if not flags.model:
        print(f"reading with {recognizer.predictor.path}", file=sys.stderr)
    results, failures = [], 0
    for image in flags.images:
        try:
            candidates = recognizer.recognize(image, flags.top_k, flags.polarity)
        except UserError as error:
            if len(flags.images) == 1:
                raise
            failures += 1
            print(f"error: {error}", file=sys.stderr)
            results.append({"image": str(image), "error": str(error)})
            continue
        results.append({"image": str(image), "candidates": [asdict(candidate) for candidate in candidates]})
        if not flags.json:
            print(image)
            for rank, candidate in enumerate(candidates, start=1):
                print(f"  {rank}. {candidate.character}  {candidate.code_point:8} {candidate.probability:7.2%}")
    if flags.json:
        print(json.dumps({"model": str(recognizer.predictor.path), "results": results}, ensure_ascii=False))
    if failures:
        raise UserError(f"{failures} of the {len(flags.images)} pictures could not be read, as said above.")


def _default_model() -> Path:
    exports = [run.export for run in all_runs() if run.export.exists()]
    if exports:
        return exports[-1]
    if SHIPPED_MODEL.exists():
        return SHIPPED_MODEL
    raise MissingFileError("There is no exported recogniser yet: run python export.py, or name one with --model.")
