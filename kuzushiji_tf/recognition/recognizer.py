"""A recognizer in use: a picture or the strokes of one character in, ranked characters out, without TensorFlow."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.characters.scripts import ALL, SCRIPTS, check_script, fold_small, in_script, look_alike
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import draw_ink, fit_image
from kuzushiji_tf.ink.pictures import read_ink
from kuzushiji_tf.recognition import embedded_card
from kuzushiji_tf.recognition.embedded_card import CARD
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor, read_card

NOT_A_CHARACTER = {"character": UNKNOWN, "threshold": 0.5}  # where the card says nothing else

Picture = str | Path | Image.Image | np.ndarray
Polarity = Literal["auto", "dark", "light"]
Script = Literal["all", "hiragana", "katakana", "kanji"]


@dataclass(frozen=True)
class Candidate:
    """One reading of a character.

    Attributes:
        character: e.g. `あ`.
        code_point: e.g. `U+3042`.
        probability: 0..1.
    """

    character: str
    code_point: str
    probability: float


class Repertoire:
    """The characters that a recognizer can answer with, and how its classes lead to them.

    Small kana are folded where drawings are scaled to their own box. The class of what is no character is none of them.

    Args:
        predictor: the recognizer.

    Raises:
        UserError: the card names the class of what is no character in a wrong way.
    """

    def __init__(self, predictor: Predictor):
        unknown, self.threshold = _unknown(predictor)
        folded = [fold_small(label) if predictor.normalization == "ink-box" else label for label in predictor.labels]
        self.unknown = np.array([label == unknown for label in predictor.labels])
        self.characters = Labels(tuple(dict.fromkeys(np.array(folded, object)[~self.unknown])))
        self.target = np.array([self.characters.index_of(label) for label in folded if label != unknown])
        alike: dict[str, int] = {}
        groups = [alike.setdefault(look_alike(character), len(alike)) for character in self.characters]
        self.groups = np.array(groups)
        self._of_script = {
            script: np.flatnonzero([in_script(character, script) for character in self.characters])
            for script in (ALL, *SCRIPTS)
        }

    def members(self, script: str) -> np.ndarray:
        """Return the indices of the characters of a script, ascending; there may be none.

        Raises:
            UserError: there is no such script.
        """
        check_script(script)
        return self._of_script[script]

    def of_script(self, script: str) -> np.ndarray:
        """Return the indices of the characters of a script, or of `all`.

        Raises:
            UserError: there is no such script, or no character of it.
        """
        if not len(self.members(script)):
            raise UserError(
                f"The recognizer knows no {script}: none of its {len(self.characters):,} characters is; choose all."
            )
        return self._of_script[script]

    def reading(self, probabilities: np.ndarray) -> "Reading":
        """Return what probabilities `[classes]` say."""
        probabilities = np.clip(probabilities.astype(np.float64), 0, 1)  # rounding may leave them a little outside
        unknown = float(probabilities[self.unknown].sum())
        known = np.bincount(self.target, probabilities[~self.unknown], minlength=len(self.characters))
        return Reading(self, known, unknown, is_character=not (self.unknown.any() and unknown >= self.threshold))


@dataclass(frozen=True, eq=False)
class Reading:
    """What a recognizer saw in one drawing.

    Attributes:
        repertoire: the characters that it may be.
        probabilities: float64 `[characters]`, of each of them; together 1 less `unknown`.
        unknown: the probability that it is no character; 0 from a recognizer without such a class.
        is_character: False where `unknown` reaches the recognizer's threshold.
    """

    repertoire: Repertoire
    probabilities: np.ndarray
    unknown: float
    is_character: bool

    def candidates(self, top_k: int = 5, script: Script = "all") -> list[Candidate]:
        """Return the `top_k` best readings, best first, whether it is a character or not.

        Look-alikes of different scripts (`scripts.LOOK_ALIKES`) stand together, the more probable first, and their sum
        decides where: a later candidate can be more probable than an earlier one. The characters of a single script
        share out what the others were given; what `unknown` was given stays with it.

        Raises:
            UserError: `top_k` is below 1, there is no such script, or the recognizer has no character of it.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it must be at least 1.")
        repertoire, probabilities = self.repertoire, self.probabilities
        allowed = repertoire.of_script(script)
        if script != ALL:
            total = probabilities[allowed].sum()
            probabilities = np.minimum(probabilities * ((1 - self.unknown) / total if total > 0 else 0), 1)
        groups = repertoire.groups[allowed]
        pooled = np.bincount(groups, probabilities[allowed])
        order = np.lexsort((-probabilities[allowed], groups, -pooled[groups]))[:top_k]
        return [
            Candidate(
                repertoire.characters[index], repertoire.characters.code_point(index), float(probabilities[index])
            )
            for index in map(int, allowed[order])
        ]


class Recognizer:
    """Reads pictures and strokes of single characters.

    Args:
        path: an exported folder, or anything else that `predictors.load_predictor` takes.
        file: which file of a folder; None means the float32 `.tflite` file of an exported folder.
        num_threads: threads of LiteRT.

    Raises:
        MissingFileError, UserError: as `load_predictor`.
    """

    def __init__(self, path: str | Path, *, file: str | None = None, num_threads: int = 1):
        self.predictor = load_predictor(path, file, num_threads=num_threads)

    @cached_property
    def repertoire(self) -> Repertoire:
        """The characters that it can answer with."""
        return Repertoire(self.predictor)

    def recognize(
        self,
        image: Picture | None = None,
        *,
        strokes: Iterable | None = None,
        top_k: int = 5,
        polarity: Polarity = "auto",
        script: Script = "all",
    ) -> list[Candidate]:
        """Return the `top_k` best readings, best first; the arguments of `read` and of `Reading.candidates`.

        Raises:
            MissingFileError, UserError: as those.
        """
        return self.read(image, strokes=strokes, polarity=polarity).candidates(top_k, script)

    def read(
        self, image: Picture | None = None, *, strokes: Iterable | None = None, polarity: Polarity = "auto"
    ) -> Reading:
        """Return what a picture or strokes show; `recognize` is the shorter way to its candidates.

        Args:
            image: a file, a Pillow image, or uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]`, of any size.
            strokes: instead of an image: nested lists of points [x, y] or [x, y, t], in any unit, y down.
            polarity: of an image: `dark` ink on light paper, `light` ink on dark, or `auto`: found from the picture.

        Raises:
            MissingFileError: no such file.
            UserError: not a readable picture, too large, or without any ink; strokes that `strokes.prepare` refuses;
                both of them, or neither.
        """
        if (image is None) == (strokes is None):
            raise UserError("Give either an image or strokes to be read.")
        predictor = self.predictor
        size = predictor.image_size[0]
        if strokes is not None:
            drawn = draw_ink(strokes, size)
        else:
            ink = read_ink(image, polarity)
            drawn = np.rint(fit_image(ink, size, box=predictor.normalization == "ink-box")).astype(np.uint8)
        return self.repertoire.reading(predictor.predict(drawn[np.newaxis])[0])


def _unknown(predictor: Predictor) -> tuple[str, float]:
    """Return the class that stands for what is no character, and the least probability at which it counts."""
    settings: Any = _card_of(predictor.path).get("unknown", NOT_A_CHARACTER)
    try:
        return str(settings["character"]), float(settings["threshold"])
    except (LookupError, TypeError, ValueError):
        raise UserError(
            f"The card of {predictor.path} must give unknown a character and a threshold; export it again."
        ) from None


def _card_of(path: Path) -> dict[str, Any]:
    """Return the card beside a file or inside it; without one an empty one."""
    if (path.parent / CARD).exists():
        return read_card(path.parent)
    inside = embedded_card.find(path) if path.is_file() and path.suffix == ".tflite" else None
    return inside[1] if inside else {}
