"""The pictures of arXiv 1812.01718, figures 3 and 10: what a chain makes of kuzushiji, step by step."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kuzushiji_tf.characters.labels import to_code_point
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.kanjivg import has_strokes
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.figures import GRAY, Sheet, shown
from kuzushiji_tf.transfer.chain import Chain
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.generation import draw_sample, predict_pixels, to_pixels, write_samples
from kuzushiji_tf.transfer.modern import draw_modern
from kuzushiji_tf.transfer.pairs import Pairing, load_old, load_pairing
from kuzushiji_tf.transfer.scores import SIDES, Examples, load_drawings

CHARACTERS = 8  # of each side, unless named
SAMPLES = 5
HEADINGS = ("kuzushiji", "by the\nold VAE", "modern\n(KanjiVG)", "by the\nnew VAE", "pixel\nprediction")
REMARKS = {
    "seen": "seen characters: test images of characters that the chain was trained on",
    "unseen": "unseen characters: no part of the chain met a kuzushiji of them",
}

_TILE, _GAP, _LABEL, _EDGE = 88, 8, 74, 16  # pixels
_HEADINGS, _REMARK = 48, 34  # heights of the lines of headings, and of the one above each side


def choose_figure(
    data_dir: Path | None, characters: str | None = None, count: int = CHARACTERS, seed: int = 0, variants: bool = False
) -> dict[str, Examples]:
    """Return one image of each character to show, `seen` and `unseen`.

    Which image of a character it is depends on the seed and the character alone.

    Args:
        data_dir: where Kuzushiji-Kanji is.
        characters: these; None: `count` of each side, those of images that the seed chooses: as often common ones as
            scores meet them.
        variants: as `pairs.load_pairing` takes it.

    Raises:
        UserError: a character is outside KanjiVG, has no kuzushiji to show, or is among the held-out ones.
        MissingFileError, UserError: as `pairs.load_old`.
    """
    pairing = load_pairing(data_dir, variants)
    if characters is not None:
        named = list(dict.fromkeys(characters))
        for character in named:
            _require_pair(pairing, character)
    parts = {side: load_old(data_dir, part, variants) for side, part in SIDES.items()}
    chosen = {}
    for side, dataset in parts.items():
        present = [dataset.classes[label] for label in np.unique(dataset.labels)]
        if characters is None:
            drawn = dataset.labels[np.random.default_rng(seed).permutation(len(dataset))]
            own = sorted(list(dict.fromkeys(dataset.classes[label] for label in drawn))[:count])
        else:
            split = {"seen": "train", "unseen": "unseen"}[side]
            own = [character for character in named if pairing.split[character] == split]
            if missing := [character for character in own if character not in present]:
                raise UserError(f"Kuzushiji-Kanji has no test image of {missing[0]!r}; choose another character.")
        rows = [_choose_row(dataset, character, seed) for character in own]
        chosen[side] = Examples(dataset.images[rows], tuple(own), tuple(pairing.modern[name] for name in own))
    return chosen


def transfer_figure(
    chain: Chain,
    sides: Mapping[str, Examples],
    samples: int = SAMPLES,
    temperature: float = 0.3,
    seed: int = 0,
) -> Figure:
    """Draw a row for each character: its kuzushiji, what each part of the chain makes of it, and drawings.

    Args:
        sides: of `choose_figure`; a side without characters is left out.
        samples: drawings of each.
        temperature, seed: as `generation.transfer` takes them.

    Raises:
        UserError: there is no character to show, or a number is out of its range.
    """
    sides = {side: examples for side, examples in sides.items() if len(examples)}
    if not sides or samples < 1 or seed < 0:
        raise UserError("A figure needs at least one character, at least one sample, and a seed of 0 or more.")
    width = _EDGE + _LABEL + (len(HEADINGS) + samples) * (_TILE + _GAP) + _EDGE
    rows = sum(map(len, sides.values()))
    sheet = Sheet(width, 2 * _EDGE + _HEADINGS + len(sides) * _REMARK + rows * (_TILE + _GAP))
    for column, heading in enumerate(HEADINGS):
        sheet.text(_left(column) + _TILE / 2, _EDGE + _HEADINGS / 2 - 6, heading, 9)
    middle = (_left(len(HEADINGS)) + _left(len(HEADINGS) + samples) - _GAP) / 2
    sheet.text(middle, _EDGE + _HEADINGS / 2 - 6, f"drawn stroke by stroke,\ntemperature {temperature:g}", 9)
    top = _EDGE + _HEADINGS
    for side, examples in sides.items():
        sheet.text(_EDGE, top + _REMARK / 2 - 2, REMARKS[side], 10, ha="left", color=GRAY)
        top += _REMARK
        pictures = _pictures(chain, examples, samples, temperature, seed)
        for old, new, row in zip(examples.old, examples.new, pictures, strict=True):
            _draw_label(sheet, old, new, top)
            for column, image in enumerate(row):
                sheet.image(255 - image, _left(column), top, _TILE)
            top += _TILE + _GAP
    return sheet.figure


def _pictures(chain: Chain, examples: Examples, samples: int, temperature: float, seed: int) -> list[list[np.ndarray]]:
    """Return the images of each row, uint8, ink 255 on black 0."""
    drawings = load_drawings([examples])
    modern = draw_modern([drawings[character] for character in examples.new])
    z_old, _ = split_posterior(chain.encode_old(examples.images))
    z_new, _ = split_posterior(chain.encode_new(modern))
    parameters = chain.mixture(z_old)
    written = write_samples(chain, parameters, samples, temperature, seed)
    columns = (
        examples.images,
        to_pixels(chain.decode_old(z_old)),
        modern,
        to_pixels(chain.decode_new(z_new)),
        to_pixels(predict_pixels(chain, parameters, seed)),
    )
    return [
        [*images, *(draw_sample(strokes, 2 * _TILE) for strokes in own)]
        for *images, own in zip(*columns, written, strict=True)
    ]


def _draw_label(sheet: Sheet, old: str, new: str, top: float) -> None:
    """Name a row: its character, and the modern one where that is another."""
    name = shown(old) if old == new else f"{shown(old)}→{shown(new)}"
    size = {1: 26, 3: 15}.get(len(name), 8)
    sheet.text(_EDGE + _LABEL / 2 - _GAP, top + _TILE / 2 - 8, name, size)
    sheet.text(_EDGE + _LABEL / 2 - _GAP, top + _TILE / 2 + 26, to_code_point(old), 8, color=GRAY)


def _left(column: int) -> float:
    return _EDGE + _LABEL + column * (_TILE + _GAP)


def _require_pair(pairing: Pairing, character: str) -> None:
    """Refuse a character that no figure can show, and say why."""
    if character not in pairing.modern:
        if not has_strokes(character):
            raise UserError(f"KanjiVG has no strokes of {character!r}: it has no modern form to compare with.")
        raise UserError(f"Kuzushiji-Kanji has no images of {character!r}; choose another character.")
    if pairing.split[character] == "validation":
        raise UserError(
            f"{character!r} is held out for validation: it is neither a seen nor an unseen character; choose another."
        )


def _choose_row(dataset: CharacterDataset, character: str, seed: int) -> int:
    rows = np.flatnonzero(dataset.labels == dataset.classes.index_of(character))
    return int(np.random.default_rng((seed, *map(ord, character))).choice(rows))
