"""A recognizer in use: a picture or the strokes of one character in, ranked characters out, without TensorFlow."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import draw_ink, fit_image
from kuzushiji_tf.ink.pictures import read_ink
from kuzushiji_tf.ink.strokes import as_strokes
from kuzushiji_tf.recognition.placement import UNPLACED, form_odds
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.recognition.pretrained import pretrained_folder
from kuzushiji_tf.recognition.readings import Candidate, Reading, Repertoire, Script
from kuzushiji_tf.recognition.words import MOST_CHARACTERS, Line, Piece, TextCandidate, lines_of, read_line

Picture = str | Path | Image.Image | np.ndarray
Polarity = Literal["auto", "dark", "light"]


class Recognizer:
    """Reads pictures and strokes of single characters.

    Several threads may share one. The network reads for one of them at a time: whoever wants it to read for all at once
    makes a recognizer for each.

    Args:
        path: an exported folder, or anything else that `predictors.load_predictor` takes.
        file: which file of a folder; None means the float32 `.tflite` file of an exported folder.
        num_threads: threads of LiteRT.

    Raises:
        MissingFileError, UserError: as `load_predictor`.
    """

    def __init__(self, path: str | Path, *, file: str | None = None, num_threads: int = 1):
        self.predictor = load_predictor(path, file, num_threads=num_threads)

    @classmethod
    def pretrained(cls, name: str, *, num_threads: int = 1) -> "Recognizer":
        """Return a recognizer that comes with this package; `pretrained_names` lists them.

        Raises:
            UserError: there is none of that name.
        """
        return cls(pretrained_folder(name), file="int8", num_threads=num_threads)

    def __repr__(self) -> str:
        height, width = self.predictor.image_size
        classes = f"{len(self.predictor.labels):,} classes"
        return f"<Recognizer of {classes} from {height} x {width} pixels: {self.predictor.path}>"

    @cached_property
    def repertoire(self) -> Repertoire:
        """The characters that it can answer with."""
        return Repertoire(self.predictor)

    def recognize(  # noqa: PLR0913 -- the public method: each is a keyword of its own
        self,
        image: Picture | None = None,
        *,
        strokes: Iterable[Any] | None = None,
        canvas: Sequence[float] | None = None,
        top_k: int = 5,
        polarity: Polarity = "auto",
        script: Script = "all",
    ) -> list[Candidate]:
        """Return the `top_k` best readings, best first; the arguments of `read` and of `Reading.candidates`.

        Raises:
            MissingFileError, UserError: as those.
        """
        return self.read(image, strokes=strokes, canvas=canvas, polarity=polarity).candidates(top_k, script)

    def read(
        self,
        image: Picture | None = None,
        *,
        strokes: Iterable[Any] | None = None,
        canvas: Sequence[float] | None = None,
        polarity: Polarity = "auto",
    ) -> Reading:
        """Return what a picture or strokes show; `recognize` is the shorter way to its candidates.

        Args:
            image: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`, of any size.
            strokes: instead of an image: nested lists of points [x, y] or [x, y, t], in any unit, y down.
            canvas: the width and height of the pad where the strokes were drawn, in their unit, (0, 0) its top left
                corner: small kana and marks are told from large characters by their size and place (docs/ink.md).
            polarity: of an image: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

        Raises:
            MissingFileError: no such file.
            UserError: not a readable picture, too large, or without any ink; strokes that `strokes.prepare` refuses;
                both of them, or neither; a canvas that is not two positive numbers, or one of an image.
        """
        predictor = self.predictor
        size = predictor.image_size[0]
        odds = UNPLACED
        if image is None and strokes is not None:
            if canvas is not None:
                strokes = as_strokes(strokes)
                odds = form_odds(strokes, canvas)
            drawn = draw_ink(strokes, size)
        elif canvas is not None:
            raise UserError("A canvas belongs to strokes; leave it out with an image.")
        elif image is not None and strokes is None:
            ink = read_ink(image, polarity)
            drawn = np.rint(fit_image(ink, size, box=predictor.normalization == "ink-box")).astype(np.uint8)
        else:
            raise UserError("Give either an image or strokes to be read.")
        return self.repertoire.reading(predictor.predict(drawn[np.newaxis])[0], odds)

    def recognize_text(
        self,
        strokes: Iterable[Any],
        *,
        canvas: Sequence[float] | None = None,
        top_k: int = 3,
        script: Script = "all",
    ) -> list[TextCandidate]:
        """Return the `top_k` best readings of a line of writing, best first; at least one.

        Up to eight characters, side by side or one below the other, each finished before the next is begun. Small kana,
        marks and ー are told by their size and place in the line, and by their neighbors (docs/ink.md).

        Args:
            strokes: as `read` takes them, of all characters.
            canvas: of the pad, as `read` takes it; it matters where there is a single character.
            top_k: how many.
            script: which characters are offered: `all`, or one script.

        Raises:
            UserError: `top_k` is below 1, there is no such script, or what `read` refuses of strokes and canvas.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it must be at least 1.")
        self.repertoire.of_script(script)
        drawn = as_strokes(strokes, characters=MOST_CHARACTERS)
        alone = UNPLACED if canvas is None else form_odds(drawn, canvas)
        size, readings = self.predictor.image_size[0], dict[range, Reading]()

        def read(line: Line, piece: Piece) -> Reading:
            own = line.strokes_of(piece)
            if piece.strokes not in readings:
                probabilities = self.predictor.predict(draw_ink(own, size)[np.newaxis])[0]
                readings[piece.strokes] = self.repertoire.reading(probabilities)
            odds = alone if len(own) == len(drawn) else line.odds_of(piece)
            return replace(readings[piece.strokes], odds=odds)

        found = [text for line in lines_of(drawn) for text in read_line(line, partial(read, line), top_k, script)]
        best = {text.text: text for text in sorted(found, key=lambda text: text.score)}
        return sorted(best.values(), key=lambda text: -text.score)[:top_k]
