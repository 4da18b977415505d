"""Scores apart for each script, and for users who say which script they write; NumPy only."""

from typing import Any

import numpy as np

from kuzushiji_tf.characters.scripts import ALL, KINDS, SCRIPTS
from kuzushiji_tf.evaluation.metrics import TOP_K
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.recognition.readings import Repertoire


class ScriptScores:
    """Counts, over lots of images, where the true character stood among a recognizer's candidates.

    The candidates are those of `readings.Reading.candidates`: look-alikes together, what is not a character left out.

    Args:
        predictor: the recognizer.

    Raises:
        UserError: as `Repertoire`.
    """

    def __init__(self, predictor: Predictor):
        self._repertoire = repertoire = Repertoire(predictor)
        self._character_of = np.full(len(predictor.labels), -1)
        self._character_of[~repertoire.unknown] = repertoire.target
        self._scripts = {script: repertoire.members(script) for script in SCRIPTS}
        self._lots: dict[str, list[np.ndarray]] = {script: [] for script in SCRIPTS}
        self._refused: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Take probabilities float32 `[n, classes]` and the true classes int32 `[n]`, of characters, into account."""
        repertoire, truth = self._repertoire, self._character_of[labels]
        known, refused = repertoire.known(probabilities), repertoire.refuses(probabilities)
        self._refused.append(refused)
        if sum(len(members) > 0 for members in self._scripts.values()) < 2:
            return
        for script, members in self._scripts.items():
            rows = np.flatnonzero(np.isin(truth, members))
            if len(rows):
                rank, group_rank = self._ranks_among(ALL, known[rows], truth[rows])
                alone, _ = self._ranks_among(script, known[rows], truth[rows])
                self._lots[script].append(np.stack([rank, group_rank, alone, refused[rows]], axis=1))

    def share_refused(self, probabilities: np.ndarray) -> float:
        """Return the share of the rows of probabilities `[n, classes]` that say that there is no character."""
        return float(self._repertoire.refuses(probabilities).mean())

    def _ranks_among(self, script: str, known: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offered, shares = self._repertoire.share_out(known, script)
        return _ranks(shares, np.searchsorted(offered, truth), self._repertoire.groups[offered])

    def result(self) -> dict[str, Any]:
        """Return scores apart for each script, if the recognizer has several and such characters were tested.

        Keys, of hiragana, of katakana, of both together as `kana`, and of kanji: `<kind>_count`; `_accuracy` and
        `_top5_accuracy` among all characters; `_alike_accuracy`, which counts a look-alike of another script as right;
        `_alone_accuracy` and `_alone_top5_accuracy`, among the characters of the script that was written. Of a
        recognizer that may refuse also `<kind>_refused` and, of all, `refused`.
        """
        may_refuse = bool(self._repertoire.unknown.any())
        result: dict[str, Any] = {"refused": float(np.concatenate(self._refused).mean())} if may_refuse else {}
        for kind, scripts in KINDS.items():
            lots = [lot for script in scripts for lot in self._lots[script]]
            if not lots:
                continue
            rank, group_rank, alone, refused = np.concatenate(lots).T
            result |= {
                f"{kind}_count": len(rank),
                f"{kind}_accuracy": float(np.mean(rank == 0)),
                f"{kind}_top5_accuracy": float(np.mean(rank < TOP_K)),
                f"{kind}_alike_accuracy": float(np.mean(group_rank == 0)),
                f"{kind}_alone_accuracy": float(np.mean(alone == 0)),
                f"{kind}_alone_top5_accuracy": float(np.mean(alone < TOP_K)),
            }
            if may_refuse:
                result[f"{kind}_refused"] = float(np.mean(refused))
        return result


def _ranks(probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates stand before the true one, and how many before the first of its look-alikes.

    Args:
        probabilities: `[n, characters]`.
        truth: `[n]`, the true characters' columns.
        groups: `[characters]`, equal for look-alikes.
    """
    numbers, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    pooled = np.zeros((len(truth), len(numbers)))
    np.add.at(pooled.T, group_of, probabilities.T)
    rows, own = np.arange(len(truth)), group_of[truth]
    # Of equal probabilities the one with the lower index comes first, as in `Reading.candidates`.
    before = _comes_before(pooled, pooled[rows, own], own) @ sizes
    alike = group_of == own[:, np.newaxis]
    return before + (_comes_before(probabilities, probabilities[rows, truth], truth) & alike).sum(axis=1), before


def _comes_before(values: np.ndarray, value: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return which of the values `[n, m]` rank before the one in each row's column, bool `[n, m]`."""
    value, column = value[:, np.newaxis], column[:, np.newaxis]
    return (values > value) | ((values == value) & (np.arange(values.shape[1]) < column))
