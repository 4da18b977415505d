"""How often a recognizer says that an image is no character, and how often rightly so; NumPy only."""

import numpy as np


def refusals(refuses: np.ndarray, is_character: np.ndarray) -> dict[str, float]:
    """Return the shares of what is refused of the characters and of the others, of those that there are.

    Args:
        refuses: bool `[n]`, whether the recognizer says of an image that it is no character.
        is_character: bool `[n]`, whether it is one.

    Returns:
        `refused` (of the characters) and `rejected` (of the others).
    """
    parts = {"refused": refuses[is_character], "rejected": refuses[~is_character]}
    return {name: float(part.mean()) for name, part in parts.items() if len(part)}
