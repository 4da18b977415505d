"""`predict`: pictures or strokes of single characters -> ranked characters."""

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from kuzushiji_tf.cli.answers import SomeFailedError
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import read_json
from kuzushiji_tf.recognition.pretrained import PRETRAINED, pretrained_folder, pretrained_names
from kuzushiji_tf.workdirs import all_runs

if TYPE_CHECKING:
    from kuzushiji_tf.recognition.readings import Reading
    from kuzushiji_tf.recognition.recognizer import Recognizer


@dataclass(frozen=True)
class PredictFlags:
    """What is read, and with which recognizer."""

    # pictures of one character each, of any size
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[IMAGE...]")]
    # JSON files of one character each: a list of strokes, each a list of points [x, y] or [x, y, t], y down, any unit
    strokes: tuple[Path, ...] = ()
    # width and height of the pad of --strokes, (0, 0) its top left corner: small kana are told from large ones by them
    canvas: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="WIDTH HEIGHT")] = None
    # an exported folder, a .tflite or .keras file, a work directory, or the name of a pretrained recognizer such as
    # touch-joyo; default: the last run's export, else kana
    model: Path | None = None
    file: str | None = None  # which file of an exported folder: float32 (default), float16, int8, ...
    top_k: int = 5  # characters to print for each picture
    # read as characters of this script only; other: digits, letters and marks
    script: Literal["all", "hiragana", "katakana", "kanji", "other"] = "all"
    polarity: Literal["auto", "dark", "light"] = "auto"  # whether the ink is dark or light against the paper
    json: bool = False  # print the readings as one JSON object, and all else to standard error


def run(flags: PredictFlags) -> dict[str, Any]:
    """Print and return the readings of each picture and each file of strokes; go on after one that cannot be read.

    Raises:
        UserError, MissingFileError: nothing to read, no recognizer, or something could not be read (at the end).
    """
    _check(flags)
    given = [("image", path) for path in flags.images] + [("strokes", path) for path in flags.strokes]
    from kuzushiji_tf.recognition.recognizer import Recognizer

    recognizer = Recognizer(_named(flags.model) if flags.model else _default_model(), file=flags.file)
    recognizer.repertoire.of_script(flags.script)  # refuses here, once, what it has no character of
    if not flags.model:
        print(f"reading with {recognizer.predictor.path}", file=sys.stderr)
    results: list[dict[str, Any]] = []
    failures = 0
    for kind, path in given:
        try:
            reading = _read(recognizer, kind, path, flags)
        except UserError as error:
            if len(given) == 1:
                raise
            failures += 1
            print(f"error: {error}", file=sys.stderr)
            results.append({kind: str(path), "error": str(error)})
            continue
        candidates = [asdict(candidate) for candidate in reading.candidates(flags.top_k, flags.script)]
        results.append({kind: str(path), "is_character": reading.is_character, "candidates": candidates})
        _print(path, reading.is_character, candidates)
    answer = {"model": str(recognizer.predictor.path), "results": results}
    if failures:
        what = "files" if flags.strokes else "pictures"
        raise SomeFailedError(f"{failures} of the {len(given)} {what} could not be read, as said above.", answer)
    return answer


def _check(flags: PredictFlags) -> None:
    if not flags.images and not flags.strokes:
        raise UserError("Name at least one picture: python -m kuzushiji_tf predict IMAGE, or --strokes FILE.json")
    if flags.top_k < 1:
        raise UserError(f"--top-k is {flags.top_k}; it must be at least 1.")
    if flags.canvas is not None and (len(flags.canvas) != 2 or not all(0 < side < math.inf for side in flags.canvas)):
        given = " ".join(f"{side:g}" for side in flags.canvas)
        raise UserError(f"--canvas is {given or 'empty'}; it must be two positive numbers, the width and the height.")
    if flags.canvas and not flags.strokes:
        raise UserError("--canvas is the pad of --strokes; leave it out with pictures.")


def _read(recognizer: "Recognizer", kind: str, path: Path, flags: PredictFlags) -> "Reading":
    if kind == "image":
        return recognizer.read(path, polarity=flags.polarity)
    strokes = read_json(path)
    try:
        return recognizer.read(strokes=strokes, canvas=(flags.canvas[0], flags.canvas[1]) if flags.canvas else None)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _print(path: Path, is_character: bool, candidates: list[dict[str, Any]]) -> None:
    print(path if is_character else f"{path}: not a character")
    for rank, candidate in enumerate(candidates, start=1):
        print(f"  {rank}. {candidate['character']}  {candidate['code_point']:8} {candidate['probability']:7.2%}")


def _named(model: Path) -> Path:
    """Return the folder of the pretrained recognizer of that name, where no file or folder has it."""
    is_name = not model.exists() and str(model) in pretrained_names()
    return pretrained_folder(str(model)) if is_name else model


def _default_model() -> Path:
    exports = [run.export for run in all_runs() if run.export.exists()]
    return exports[-1] if exports else PRETRAINED / "kana"
