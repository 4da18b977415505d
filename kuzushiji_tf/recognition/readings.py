"""What a recognizer says of one drawing: ranked characters of the script that is asked for, or that it is none."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.characters.scripts import ALL, SCRIPTS, check_script, fold_small, in_script, look_alike
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.recognition.cards import card_of
from kuzushiji_tf.recognition.predictors import Predictor

NOT_A_CHARACTER = {"character": UNKNOWN, "threshold": 0.5}  # where the card says nothing else

Script = Literal["all", "hiragana", "katakana", "kanji"]


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"<Candidate {self.character} {self.code_point} {self.probability:.2%}>"


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
                f"There is no {script} among the {len(self.characters):,} characters of the recognizer; choose all."
            )
        return self._of_script[script]

    def reading(self, probabilities: np.ndarray) -> "Reading":
        """Return what probabilities `[classes]` say."""
        probabilities = np.clip(probabilities.astype(np.float64), 0, 1)  # rounding may leave them a little outside
        unknown = float(probabilities[self.unknown].sum())
        known = np.bincount(self.target, probabilities[~self.unknown], minlength=len(self.characters))
        return Reading(self, known, unknown, is_character=not (self.unknown.any() and unknown >= self.threshold))


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        best = ", ".join(f"{candidate.character} {candidate.probability:.2%}" for candidate in self.candidates(3))
        return f"<Reading {best}{'' if self.is_character else '; not a character'}>"

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


def _unknown(predictor: Predictor) -> tuple[str, float]:
    """Return the class that stands for what is no character, and the least probability at which it counts."""
    settings: Any = card_of(predictor.path).get("unknown", NOT_A_CHARACTER)
    try:
        return str(settings["character"]), float(settings["threshold"])
    except (LookupError, TypeError, ValueError):
        raise UserError(
            f"The card of {predictor.path} must give unknown a character and a threshold; export it again."
        ) from None
