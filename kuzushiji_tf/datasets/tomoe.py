"""`tomoe`: characters that a person drew with a pen, as strokes; real input, for tests only, never trained on.

One JSON object a line in a gzip file: `char`, `strokes` (lists of [x, y], y down, about 0..300) and `writer`.
From tomoe_data, Apache-2.0 or CC BY 4.0.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.archives import DAMAGE
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.drawn.kana import IMAGE_SIZE
from kuzushiji_tf.datasets.locations import folders_of, user_folder
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import parse_json
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.ink.strokes import Strokes, as_strokes

LICENCE = "Apache-2.0 or CC BY 4.0"
CREDIT = "tomoe_data, the handwriting data of the Tomoe project"
FILE_NAME = "tomoe.jsonl.gz"
LONGEST_LINE = 4 << 20  # characters; the most points that a drawing may have need less
LONGEST_FILE = 256 << 20  # characters; the published one has 2 million


@dataclass(frozen=True, eq=False)
class Drawing:
    """One character as it was drawn."""

    character: str
    strokes: Strokes
    writer: str


def load_tomoe(split: str, options: LoadOptions) -> CharacterDataset:
    """Draw the test set: every entry of a single character, classes in the order of their code points.

    Images are uint8 `[3045, size, size]` with size `options.image_size` or that of `kana`, normalized as those are;
    `groups` numbers the writers.

    Raises:
        MissingFileError: the file is not there.
        UserError: the split is not `test`, or the file is damaged.
    """
    if split != "test":
        raise UserError(f"The data set 'tomoe' has no {split!r} split; it is for tests only.")
    drawings = load_tomoe_strokes(options.data_dir)
    size = options.image_size or options.stroke_size or IMAGE_SIZE
    images = np.stack([draw_ink(drawing.strokes, size) for drawing in drawings])
    classes, labels = np.unique([drawing.character for drawing in drawings], return_inverse=True)
    writers = np.unique([drawing.writer for drawing in drawings], return_inverse=True)[1]
    return CharacterDataset(
        "tomoe",
        split,
        images,
        labels.astype(np.int32),
        Labels(tuple(map(str, classes))),
        LICENCE,
        CREDIT,
        writers.astype(np.int32),
        ink="pen",
        normalization="ink-box",
    )


def load_tomoe_strokes(data_dir: Path | None = None) -> list[Drawing]:
    """Return every drawing of a single character, in the order of the file.

    Args:
        data_dir: the folder with `tomoe/tomoe.jsonl.gz` or `tomoe.jsonl.gz`; None means `KUZUSHIJI_DATA`.

    Raises:
        MissingFileError: the file is not there.
        UserError: the file is damaged; the sentence names the line.
    """
    path = _require(data_dir)
    drawings = []
    number = length = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            # A line has an end somewhere, and all of them together have one: a small file can unpack to anything.
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), ""), start=1):
                drawings.append(_parse(line, f"{path}, line {number}"))
                length += len(line)
                if length > LONGEST_FILE:
                    raise UserError(f"{path} unpacks to more than {LONGEST_FILE >> 20} MiB; this is no such file.")
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{path} is damaged after line {number} ({error}); fetch it again.") from None
    drawings = [drawing for drawing in drawings if len(drawing.character) == 1]
    if not drawings:
        raise UserError(f"{path} holds no drawing of a single character.")
    return drawings


def _parse(line: str, where: str) -> Drawing:
    try:
        entry = parse_json(line, where)
        character, strokes, writer = entry["char"], entry["strokes"], entry["writer"]
    except (UserError, LookupError, TypeError):
        raise UserError(f"{where}: this is not a JSON object with char, strokes and writer.") from None
    if not (isinstance(character, str) and character and isinstance(writer, str)):
        raise UserError(f"{where}: char and writer must be text.")
    return Drawing(character, as_strokes(strokes, where), writer)


def find_tomoe(data_dir: Path | None) -> Path | None:
    """Return the path of the file in `data_dir` (None: `KUZUSHIJI_DATA`), or None."""
    candidates = (place / FILE_NAME for place in folders_of("tomoe", data_dir, cached=False))
    return next((path for path in candidates if path.is_file()), None)


def _require(data_dir: Path | None) -> Path:
    if path := find_tomoe(data_dir):
        return path
    folder = user_folder(data_dir)
    if not folder:
        raise MissingFileError(
            f"The data set 'tomoe' needs {FILE_NAME}: name its folder with --data-dir or KUZUSHIJI_DATA."
        )
    raise MissingFileError(f"There is no {FILE_NAME} in {folder} or {folder / 'tomoe'}; put it there.")
