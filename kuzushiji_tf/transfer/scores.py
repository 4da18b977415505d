"""How well a chain does: whether it finds, draws and writes the right modern character, of seen and of unseen kanji.

Seen are test images of characters that it was trained on; of the unseen ones no part of it met a kuzushiji.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.strokes import Strokes
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.transfer import gaussians
from kuzushiji_tf.transfer.chain import Chain
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.generation import to_pixels, write
from kuzushiji_tf.transfer.modern import draw_modern, modern_strokes
from kuzushiji_tf.transfer.pairs import load_old, load_pairing
from kuzushiji_tf.transfer.sequences import simplify

SIDES = {"seen": "test", "unseen": "unseen"}  # the part of Kuzushiji-Kanji that each side's images are from
IMAGES = 2000  # of each side
SEED = 0  # of the choice of images, and of the shuffled pairing
LEAST_SHARE = 0.01  # of held-out images, whose best candidate is less likely than `least_density`


@dataclass(frozen=True, eq=False)
class Examples:
    """Kuzushiji images with the modern characters that they stand for.

    Attributes:
        images: uint8 `[n, 64, 64]`.
        old, new: the kuzushiji and the modern character of each.
    """

    images: np.ndarray
    old: tuple[str, ...]
    new: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class ScoringData:
    """What a chain is scored on.

    Attributes:
        sides: `seen` and `unseen`.
        validation: images of the characters whose pairs were held out of training.
        drawings: KanjiVG's strokes, in the unit box, of every modern character of these.
        parts: how many images and characters of Kuzushiji-Kanji each side has in all.
    """

    sides: Mapping[str, Examples]
    validation: Examples
    drawings: Mapping[str, Strokes]
    parts: Mapping[str, dict[str, int]]


@dataclass(frozen=True, eq=False)
class Scoring:
    """How a chain is scored.

    Attributes:
        data: on what.
        recognizer: of modern characters; it reads what the chain draws and writes.
        classifier: of kuzushiji, to compare with on seen characters; None leaves its score out.
        report: is told what happens, line by line.
    """

    data: ScoringData
    recognizer: Predictor
    classifier: Predictor | None = None
    report: Callable[[str], None] = lambda _: None


def load_scoring_data(data_dir: Path | None, images: int = IMAGES, use_variants: bool = False) -> ScoringData:
    """Load at most `images` of each side, chosen by a fixed seed, and the drawings of their modern characters.

    Raises:
        UserError: `images` is below 1.
        MissingFileError, UserError: as `pairs.load_old`.
    """
    if images < 1:
        raise UserError(f"The number of images is {images}; it must be at least 1.")
    pairing = load_pairing(data_dir, use_variants)
    chosen, parts = {}, {}
    for name, part in (*SIDES.items(), ("validation", "validation")):
        dataset = load_old(data_dir, part, use_variants)
        parts[name] = {"images": len(dataset), "characters": len(np.unique(dataset.labels))}
        chosen[name] = choose_examples(dataset, pairing.modern, images)
    drawings = load_drawings(chosen.values())
    return ScoringData({side: chosen[side] for side in SIDES}, chosen["validation"], drawings, parts)


def choose_examples(dataset: CharacterDataset, modern: Mapping[str, str], images: int) -> Examples:
    """Return at most `images` of a data set, chosen by a fixed seed, all of characters that `modern` pairs."""
    rows = np.sort(np.random.default_rng(SEED).permutation(len(dataset))[:images])
    old = tuple(dataset.classes[label] for label in dataset.labels[rows])
    return Examples(dataset.images[rows], old, tuple(modern[character] for character in old))


def load_drawings(examples: Iterable[Examples]) -> dict[str, Strokes]:
    """Return KanjiVG's strokes of every modern character of some examples."""
    characters = sorted({character for own in examples for character in own.new})
    return dict(zip(characters, modern_strokes(characters), strict=True))


def score_chain(chain: Chain, scoring: Scoring) -> dict[str, Any]:
    """Return every score of a chain.

    Keys that end in `_seen` and `_unseen`:

    - `retrieval_top1_`, `_top5_`, `_top10_`, `mrr_`: the place of the true character when all modern characters are
      ordered by the density of the mixture P(znew | zold) at them, and the mean of 1 / place;
    - `pixels_top1_`: the recognizer reads the modern image decoded from the mixture's mode;
    - `strokes_top1_`, `_top5_`: it reads the strokes written from the mode at temperature 0;
    - `stroke_count_error_`: the mean difference of their number to KanjiVG's;
    - `mdn_nll_` and, of one mixture for all, `mdn_nll_unigram_`: nats at the means of the true posteriors;
    - `images_`, and `left_out_`: of these the ones whose character the recognizer has no class for, which the shares
      of its readings leave out.

    Others: `ceiling_strokes_top1`, it reads KanjiVG's own strokes, simplified as the chain learned them, one for each
    image; `floor_strokes_top1`, it reads the written strokes, but the images' characters are shuffled;
    `classifier_top1_seen` of a recognizer of kuzushiji; `vae_old_error` and `vae_new_error`, summed over the squared
    errors of a reconstruction's pixels (0..1), and `vae_old_kl` and `vae_new_kl`, of held-out images; `mdn_nll`,
    `mdn_nll_unigram` of these; `least_density`, which one in a hundred of them does not reach at its best candidate.

    Raises:
        UserError: the recognizer knows none of the characters.
    """
    data, recognizer, report = scoring.data, scoring.recognizer, scoring.report
    scores: dict[str, Any] = {}
    written: list[tuple[np.ndarray, np.ndarray]] = []
    for side, examples in data.sides.items():
        report(f"{side}: finding, drawing and writing {len(examples):,} characters")
        own, readings = _score_side(chain, examples, scoring)
        scores |= {f"{key}_{side}": value for key, value in own.items()}
        written.append((readings, _targets(recognizer, examples.new)))
    scores |= _bounds(chain, scoring, written)
    if classifier := scoring.classifier:
        report("reading the seen kuzushiji with the classifier")
        seen = data.sides["seen"]
        readings = _read_images(classifier, seen.images)
        scores["classifier_top1_seen"] = top_share(readings, _targets(classifier, seen.old), 1)
    report(f"held-out reconstructions and likelihoods of {len(data.validation):,} images")
    return scores | _held_out_scores(chain, data)


def ranks_of(chain: Chain, parameters: np.ndarray, characters: Sequence[str]) -> np.ndarray:
    """Return the rank of each mixture's true character among all modern ones, int64 `[n]`, 1 for the densest.

    Equals count against it, so that a chain that tells nothing apart finds nothing.
    """
    modern = chain.modern
    truth = np.array([modern.characters.index_of(character) for character in characters])
    densities = gaussians.log_densities(parameters, modern.latents)
    own = densities[np.arange(len(truth)), truth]
    # Written so that NaN, which compares as false, comes last.
    return len(modern.characters) - (densities < own[:, np.newaxis]).sum(axis=1)


def retrieval_scores(ranks: np.ndarray) -> dict[str, float]:
    """Return `retrieval_top1`, `_top5`, `_top10` and `mrr` of ranks `[n]`, 1 being the first."""
    tops = {f"retrieval_top{k}": float((ranks <= k).mean()) for k in (1, 5, 10)}
    return tops | {"mrr": float((1 / ranks).mean())}


def top_share(probabilities: np.ndarray, targets: np.ndarray, k: int) -> float:
    """Return the share of rows `[n, classes]` whose target class is among the `k` most probable; -1: not counted.

    Raises:
        UserError: none is counted.
    """
    known = targets >= 0
    if not known.any():
        raise UserError("The recognizer knows none of the characters that it should read; choose another.")
    probabilities, targets = probabilities[known], targets[known]
    own = probabilities[np.arange(len(targets)), targets]
    better = (probabilities > own[:, np.newaxis]).sum(axis=1)
    return float((better < k).mean())


def _score_side(chain: Chain, examples: Examples, scoring: Scoring) -> tuple[dict[str, Any], np.ndarray]:
    """Return the scores of one side, and what the recognizer reads in its strokes `[n, classes]`."""
    recognizer = scoring.recognizer
    parameters = chain.mixture(split_posterior(chain.encode_old(examples.images))[0])
    mode = gaussians.mode(parameters, chain.settings.latent)
    targets = _targets(recognizer, examples.new)
    images = _read_images(recognizer, to_pixels(chain.decode_new(mode)))
    written = _write_likeliest(chain, mode)
    readings = _read_drawings(recognizer, written)
    wanted = np.array([len(scoring.data.drawings[character]) for character in examples.new])
    partners = chain.modern.latents[[chain.modern.characters.index_of(character) for character in examples.new]]
    scores = retrieval_scores(ranks_of(chain, parameters, examples.new))
    scores |= _likelihoods(chain, parameters, partners)
    scores |= {"pixels_top1": top_share(images, targets, 1)}
    scores |= {f"strokes_top{k}": top_share(readings, targets, k) for k in (1, 5)}
    scores["stroke_count_error"] = float(np.abs(wanted - [len(strokes) for strokes in written]).mean())
    return scores | {"images": len(examples), "left_out": int((targets < 0).sum())}, readings


def _bounds(chain: Chain, scoring: Scoring, written: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Return what perfect writing would score, and what the strokes score with their characters shuffled."""
    data = scoring.data
    characters = sorted({character for examples in data.sides.values() for character in examples.new})
    simplified = [simplify(data.drawings[character], chain.settings.epsilon) for character in characters]
    perfect = _read_drawings(scoring.recognizer, simplified)
    every = [characters.index(character) for examples in data.sides.values() for character in examples.new]
    readings, targets = (np.concatenate(parts) for parts in zip(*written, strict=True))
    known = targets >= 0
    shuffled = np.random.default_rng(SEED).permutation(targets[known])
    return {
        "ceiling_strokes_top1": top_share(perfect[every], targets, 1),
        "floor_strokes_top1": top_share(readings[known], shuffled, 1),
    }


def _held_out_scores(chain: Chain, data: ScoringData) -> dict[str, float]:
    examples = data.validation
    characters = sorted(set(examples.new))
    drawn = draw_modern([data.drawings[character] for character in characters])
    old, new = chain.encode_old(examples.images), chain.encode_new(drawn)
    (z_old, _), (z_new, _) = split_posterior(old), split_posterior(new)
    partners = z_new[[characters.index(character) for character in examples.new]]
    parameters = chain.mixture(z_old)
    best = gaussians.log_densities(parameters, chain.modern.latents).max(axis=1)
    return {
        "vae_old_error": _squared_error(examples.images, chain.decode_old(z_old)),
        "vae_old_kl": float(gaussians.kl_divergence(old).mean()),
        "vae_new_error": _squared_error(drawn, chain.decode_new(z_new)),
        "vae_new_kl": float(gaussians.kl_divergence(new).mean()),
        **_likelihoods(chain, parameters, partners),
        "least_density": float(np.quantile(best, LEAST_SHARE)),
    }


def _likelihoods(chain: Chain, parameters: np.ndarray, partners: np.ndarray) -> dict[str, float]:
    """Return what mixtures, and the one that looks at nothing, lack at the latents `[n, latent]` they should find."""
    return {
        "mdn_nll": -float(gaussians.log_density(parameters, partners).mean()),
        "mdn_nll_unigram": -float(gaussians.log_density(chain.unigram, partners).mean()),
    }


def _squared_error(images: np.ndarray, drawn: np.ndarray) -> float:
    return float(np.square(images / np.float32(255) - drawn).sum(axis=(1, 2)).mean())


def _write_likeliest(chain: Chain, z: np.ndarray) -> list[Strokes]:
    """Return the drawings of latent vectors at temperature 0, where what stands in the noise does not count."""
    noise = np.zeros((len(z), chain.settings.longest, 4), np.float32)
    return write(chain, z, noise, temperature=0)


def _targets(recognizer: Predictor, characters: Sequence[str]) -> np.ndarray:
    labels = recognizer.labels
    return np.array([labels.index_of(name) if name in labels else -1 for name in characters], np.int64)


def _read_images(recognizer: Predictor, images: np.ndarray) -> np.ndarray:
    boxed = recognizer.normalization == "ink-box"
    fitted = np.stack([fit_image(image, recognizer.image_size[0], boxed) for image in images])
    return recognizer.predict(np.rint(fitted).astype(np.uint8))


def _read_drawings(recognizer: Predictor, drawings: Sequence[Strokes]) -> np.ndarray:
    return recognizer.predict(draw_modern(drawings, recognizer.image_size[0]))
