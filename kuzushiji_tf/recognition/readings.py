"""What a recognizer says of one drawing: ranked characters of the script that is asked for, or that it is none."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.characters.scripts import (
    ALL,
    CHOICES,
    OTHER,
    VARIANTS,
    check_script,
    fold_small,
    look_alike,
    script_of,
)
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.recognition.cards import card_of
from kuzushiji_tf.recognition.placement import CLEAR, UNPLACED, Odds
from kuzushiji_tf.recognition.predictors import Predictor

THRESHOLD = 0.5  # of the probability that it is no character
NOT_A_CHARACTER = {"character": UNKNOWN, "threshold": THRESHOLD}  # where the card says nothing else

Script = Literal["all", "hiragana", "katakana", "kanji", "other"]


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

    Where drawings are scaled to their own box, small kana are folded, and behind the characters that are told apart
    come those of their variants (`scripts.VARIANTS`) that are no classes. What is no character is none of them.

    Args:
        predictor: the recognizer.

    Raises:
        UserError: the card names the class of what is no character in a wrong way.
    """

    def __init__(self, predictor: Predictor):
        unknown, self.threshold = _unknown(predictor)
        is_scaled = predictor.normalization == "ink-box"
        folded = [fold_small(label) if is_scaled else label for label in predictor.labels]
        self.unknown = np.array([label == unknown for label in predictor.labels])
        own = tuple(dict.fromkeys(np.array(folded, object)[~self.unknown]))
        self.told_apart = len(own)
        self.characters = Labels(own + (_variants_of(own) if is_scaled else ()))
        forms = [VARIANTS.get(character) if is_scaled else None for character in self.characters]
        self.variants = tuple((index, form) for index, form in enumerate(forms) if form)
        self.target = np.array([self.characters.index_of(label) for label in folded if label != unknown])
        alike: dict[str, int] = {}
        shapes = [fold_small(character) if is_scaled else character for character in self.characters]
        self.groups = np.array([alike.setdefault(look_alike(shape), len(alike)) for shape in shapes])
        scripts = np.array([script_of(character) for character in self.characters])
        self._of_script = {script: np.flatnonzero((scripts == script) | (script == ALL)) for script in CHOICES}

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
            kind = "digit, letter or mark" if script == OTHER else script
            raise UserError(
                f"There is no {kind} among the {self.told_apart:,} characters of the recognizer; choose all."
            )
        return self._of_script[script]

    def refuses(self, probabilities: np.ndarray) -> np.ndarray:
        """Return whether each row of probabilities `[n, classes]` says that it is no character, bool `[n]`."""
        return self.unknown.any() & (probabilities[:, self.unknown].sum(axis=1) >= self.threshold)

    def known(self, probabilities: np.ndarray) -> np.ndarray:
        """Return float64 `[n, told_apart]` of the probabilities `[n, classes]`."""
        known = np.zeros((len(probabilities), self.told_apart))
        np.add.at(known.T, self.target, probabilities.T[~self.unknown])
        return known

    def share_out(self, known: np.ndarray, script: str = ALL, odds: Odds = UNPLACED) -> tuple[np.ndarray, np.ndarray]:
        """Return which characters of a script are offered, ascending, and their probabilities `[n, offered]`.

        Look-alikes share what they were given together. A variant that is no class gets its odds against the likeliest
        of the others, and all where none of them is of the script; one that is a class gains as its odds do.

        Args:
            known: of the characters that are told apart, `[n, told_apart]`.
            script: which characters may be offered.
            odds: of each form.

        Raises:
            UserError: as `members`.
        """
        count = self.told_apart
        is_offered = np.zeros(len(self.characters), bool)
        is_offered[self.members(script)] = True
        shares = np.zeros((len(known), len(self.characters)))
        shares[:, :count] = known
        for variant, form in self.variants:
            is_offered[variant] &= variant < count or odds[form] > 0
            if not is_offered[variant]:
                continue
            alike = np.flatnonzero(self.groups[:count] == self.groups[variant])
            rivals = alike[is_offered[alike]]
            given = known[:, rivals if len(rivals) else alike]
            if variant < count:
                shares[:, variant] *= odds[form] / UNPLACED[form]
            else:
                shares[:, variant] = odds[form] * given.max(axis=1)
            together = np.union1d(rivals, variant)
            sums = np.maximum(shares[:, together].sum(axis=1), np.finfo(float).tiny)
            shares[:, together] *= (given.sum(axis=1) / sums)[:, np.newaxis]
        offered = np.flatnonzero(is_offered)
        return offered, shares[:, offered]

    def ranked_together(self, odds: Odds) -> np.ndarray:
        """Return the groups of the characters, equal for look-alikes, but for variants that the odds tell apart."""
        groups = self.groups.copy()
        for variant, form in self.variants:
            if not 1 / CLEAR < odds[form] < CLEAR:
                groups[variant] = len(groups) + variant
        return groups

    def reading(self, probabilities: np.ndarray, odds: Odds = UNPLACED) -> "Reading":
        """Return what probabilities `[classes]` say, with the odds of each form."""
        probabilities = np.clip(probabilities.astype(np.float64), 0, 1)  # rounding may leave them a little outside
        unknown, row = float(probabilities[self.unknown].sum()), probabilities[np.newaxis]
        return Reading(self, self.known(row)[0], odds, unknown, is_character=not self.refuses(row)[0])


@dataclass(frozen=True, eq=False, repr=False)
class Reading:
    """What a recognizer saw in one drawing.

    Attributes:
        repertoire: the characters that it may be.
        known: float64 `[told_apart]`, the probabilities of those that it tells apart; together 1 less `unknown`.
        odds: of the forms that it does not tell apart, from the size and the place of the ink.
        unknown: the probability that it is no character; 0 from a recognizer without such a class.
        is_character: False where `unknown` reaches the recognizer's threshold.
    """

    repertoire: Repertoire
    known: np.ndarray
    odds: Odds
    unknown: float
    is_character: bool

    def __repr__(self) -> str:
        best = ", ".join(f"{candidate.character} {candidate.probability:.2%}" for candidate in self.candidates(3))
        return f"<Reading {best}{'' if self.is_character else '; not a character'}>"

    @property
    def probabilities(self) -> np.ndarray:
        """float64 `[characters]`, of each character of the repertoire; together 1 less `unknown`."""
        offered, shares = self.repertoire.share_out(self.known[np.newaxis], odds=self.odds)
        probabilities = np.zeros(len(self.repertoire.characters))
        probabilities[offered] = shares[0]
        return probabilities

    def candidates(self, top_k: int = 5, script: Script = "all") -> list[Candidate]:
        """Return the `top_k` best readings, best first, whether it is a character or not.

        Look-alikes (`scripts.LOOK_ALIKES`, and small kana) stand together, the more probable first, and their sum
        decides where: a later candidate can be more probable than an earlier one. What size and place have told apart
        stands where its own probability puts it. The characters of a single script share out what the others were
        given; what `unknown` was given stays with it.

        Raises:
            UserError: `top_k` is below 1, there is no such script, or the recognizer has no character of it.
        """
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it must be at least 1.")
        repertoire = self.repertoire
        repertoire.of_script(script)
        offered, shares = repertoire.share_out(self.known[np.newaxis], script, self.odds)
        probabilities = shares[0]
        if script != ALL:
            total = probabilities.sum()
            probabilities = np.minimum(probabilities * ((1 - self.unknown) / total if total > 0 else 0), 1)
        groups = repertoire.ranked_together(self.odds)[offered]
        pooled = np.bincount(groups, probabilities)
        order = np.lexsort((-probabilities, groups, -pooled[groups]))[:top_k]
        return [
            Candidate(
                repertoire.characters[index], repertoire.characters.code_point(index), float(probabilities[place])
            )
            for place, index in zip(order, map(int, offered[order]), strict=True)
        ]


def _variants_of(own: tuple[str, ...]) -> tuple[str, ...]:
    """Return the variants that look like one of the characters, in scripts of which there are others."""
    shapes, scripts = {look_alike(character) for character in own}, {script_of(character) for character in own}
    return tuple(
        variant
        for variant in VARIANTS
        if variant not in own and look_alike(fold_small(variant)) in shapes and script_of(variant) in scripts
    )


def _unknown(predictor: Predictor) -> tuple[str, float]:
    """Return the class that stands for what is no character, and the least probability at which it counts."""
    settings: Any = card_of(predictor.path).get("unknown", NOT_A_CHARACTER)
    try:
        return str(settings["character"]), float(settings["threshold"])
    except (LookupError, TypeError, ValueError):
        raise UserError(
            f"The card of {predictor.path} must give unknown a character and a threshold; export it again."
        ) from None
