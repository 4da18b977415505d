"""From a picture of a kuzushiji kanji to its modern form: drawings, pixels, and which characters it may be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from scipy.special import softmax

from kuzushiji_tf.characters.labels import to_code_point
from kuzushiji_tf.datasets.kanjivg import BOX
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import atomic_folder, write_json, write_text
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import read_ink
from kuzushiji_tf.ink.strokes import Strokes, rasterize, to_segments
from kuzushiji_tf.transfer import gaussians, writing
from kuzushiji_tf.transfer.chain import Chain
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.modern import IMAGE_SIZE
from kuzushiji_tf.transfer.pictures import PEN_WIDTH, to_animated_svg, to_svg
from kuzushiji_tf.transfer.sequences import to_strokes

PIXEL_SAMPLES = 16  # modern images of which the pixel prediction is the mean
CANDIDATES = 10
PICTURE_SIZE = 256  # pixels, of the PNG of a drawing
CANDIDATES_FILE, PIXELS_FILE = "candidates.json", "pixels.png"

_OURS = re.compile(rf"{re.escape(CANDIDATES_FILE)}|{re.escape(PIXELS_FILE)}|sample-\d+(-animated\.svg|\.svg|\.png)")


@dataclass(frozen=True)
class ModernCandidate:
    """A modern character that a kuzushiji may be.

    Attributes:
        character, code_point: e.g. `道` and `U+9053`.
        probability: among all modern characters, each being as likely beforehand.
        log_density: of the mixture P(znew | zold) at the character's place.
    """

    character: str
    code_point: str
    probability: float
    log_density: float


@dataclass(frozen=True, eq=False)
class Transfer:
    """What a chain makes of one kuzushiji.

    Attributes:
        pixels: the pixel prediction, uint8 `[64, 64]`, ink 255 on black 0: the mean of `PIXEL_SAMPLES` modern images
            decoded from samples of the mixture at temperature 1, so that it is blurred where these disagree.
        drawings: strokes in the unit box, each from a sample of its own.
        candidates: the most probable modern characters, best first.
        is_kanji: False where the best candidate's density is below that of nearly all kanji; None where it is not
            known what that is.
    """

    pixels: np.ndarray
    drawings: list[Strokes]
    candidates: list[ModernCandidate]
    is_kanji: bool | None


def read_kuzushiji(source: Any, polarity: Literal["auto", "dark", "light"] = "auto") -> np.ndarray:
    """Return a picture as Kuzushiji-Kanji's images are, uint8 `[64, 64]`: the ink from edge to edge, white on black.

    Args:
        source, polarity: as `pictures.read_ink` takes them.

    Raises:
        MissingFileError, UserError: as `read_ink` does; an image without ink is refused.
    """
    return np.rint(fit_image(read_ink(source, polarity), IMAGE_SIZE, box=False)).astype(np.uint8)


def transfer(chain: Chain, images: np.ndarray, samples: int, temperature: float, seed: int) -> list[Transfer]:
    """Return what a chain makes of images; what it makes of one depends on that one and the seed alone.

    Args:
        images: uint8 `[n, 64, 64]`, as `read_kuzushiji` returns them.
        samples: drawings of each.
        temperature: of the mixture and of the drawing: 1 samples what they predict, 0 takes the likeliest.
        seed: 0 or more.

    Raises:
        UserError: a number is out of its range.
    """
    if samples < 1 or seed < 0:
        raise UserError(f"The number of samples is {samples} and the seed is {seed}; they must be at least 1 and 0.")
    parameters = chain.mixture(split_posterior(chain.encode_old(images))[0])
    drawings = write_samples(chain, parameters, samples, temperature, seed)
    pixels = to_pixels(predict_pixels(chain, parameters, seed))
    found = retrieve(chain, parameters)
    transfers = []
    for own_pixels, own_drawings, candidates in zip(pixels, drawings, found, strict=True):
        least = chain.settings.least_density
        is_kanji = None if least is None else candidates[0].log_density >= least
        transfers.append(Transfer(own_pixels, own_drawings, candidates, is_kanji))
    return transfers


def write_samples(
    chain: Chain, parameters: np.ndarray, samples: int, temperature: float, seed: int
) -> list[list[Strokes]]:
    """Return for each mixture `[n, p]` the strokes of `samples` drawings, each from a sample of the mixture."""
    uniforms, normals = gaussians.draw_noise(2 * seed, samples, chain.settings.latent)
    noise = writing.draw_noise(2 * seed + 1, samples, chain.settings.longest)  # odd: other numbers than those above
    drawings = []
    for own in parameters:
        z = gaussians.sample(np.repeat(own[np.newaxis], samples, axis=0), uniforms, normals, temperature)
        drawings.append(write(chain, z, noise, temperature))
    return drawings


def write(chain: Chain, z: np.ndarray, noise: np.ndarray, temperature: float) -> list[Strokes]:
    """Return the strokes, in the unit box, of a drawing for each latent vector `[n, latent]`.

    Args:
        noise: of `writing.draw_noise`.
    """
    sequences = writing.generate(chain.writer, z, noise, temperature)
    return [to_strokes(sequence) for sequence in sequences]


def predict_pixels(chain: Chain, parameters: np.ndarray, seed: int) -> np.ndarray:
    """Return the pixel prediction of each mixture `[n, p]` as `Transfer.pixels` says: float32 `[n, 64, 64]`, 0..1."""
    uniforms, normals = gaussians.draw_noise(2 * seed, PIXEL_SAMPLES, chain.settings.latent)
    images = np.zeros((len(parameters), IMAGE_SIZE, IMAGE_SIZE), np.float32)
    for image, own in zip(images, parameters, strict=True):
        z = gaussians.sample(np.repeat(own[np.newaxis], PIXEL_SAMPLES, axis=0), uniforms, normals)
        image[:] = chain.decode_new(z).mean(axis=0)
    return images


def retrieve(chain: Chain, parameters: np.ndarray, count: int = CANDIDATES) -> list[list[ModernCandidate]]:
    """Return the `count` modern characters at which each mixture `[n, p]` is densest, best first."""
    characters, found = chain.modern.characters, []
    for densities in gaussians.log_densities(parameters, chain.modern.latents):
        probabilities = softmax(densities.astype(np.float64))
        best = np.argsort(-densities, kind="stable")[:count]
        found.append(
            [
                ModernCandidate(
                    characters[place],
                    to_code_point(characters[place]),
                    float(probabilities[place]),
                    float(densities[place]),
                )
                for place in map(int, best)
            ]
        )
    return found


def folder_names(paths: Sequence[Path]) -> list[str]:
    """Return a folder's name for each picture: its own without the suffix, numbered where several have the same."""
    names: list[str] = []
    for path in paths:
        number, name = 1, path.stem
        while name in names:
            number += 1
            name = f"{path.stem}-{number}"
        names.append(name)
    return names


def check_replaceable(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that writing a transfer would damage.

    Raises:
        UserError: it is a file, holds other files, or a transfer while `overwrite` is False.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, where a folder would be written: choose another --output.")
    foreign = sorted(entry.name for entry in folder.iterdir() if not _OURS.fullmatch(entry.name))
    if foreign:
        raise UserError(f"{folder} holds {foreign[0]}, not written by `transfer generate`; choose another --output.")
    if not overwrite and any(folder.iterdir()):
        raise UserError(f"{folder} already exists: choose another --output, or replace it with --overwrite.")


def write_transfer(made: Transfer, folder: Path) -> None:
    """Write a transfer's files into a folder, which appears whole; pictures are black on white.

    `sample-1.svg`, `sample-1-animated.svg` and `sample-1.png` of each drawing, `pixels.png` and `candidates.json`.
    """
    best = made.candidates[0].character
    with atomic_folder(folder) as temporary:
        for number, strokes in enumerate(made.drawings, start=1):
            title = f"{best}? sample {number}"
            write_text(temporary / f"sample-{number}.svg", to_svg(strokes, title))
            write_text(temporary / f"sample-{number}-animated.svg", to_animated_svg(strokes, title=title))
            _write_image(temporary / f"sample-{number}.png", draw_sample(strokes, PICTURE_SIZE))
        _write_image(temporary / PIXELS_FILE, made.pixels)
        write_json(temporary / CANDIDATES_FILE, describe(made))


def describe(made: Transfer) -> dict[str, Any]:
    """Return the candidates of a transfer as plain values, with a note where it is probably no kanji."""
    described: dict[str, Any] = {"candidates": [vars(candidate) for candidate in made.candidates]}
    if made.is_kanji is False:
        described["note"] = "probably no kanji: its best candidate is less likely than that of 99 of 100 kanji"
    return described


def draw_sample(strokes: Strokes, size: int) -> np.ndarray:
    """Draw strokes as their SVG shows them: uint8 `[size, size]`, ink 255 on black 0."""
    if not strokes:
        return np.zeros((size, size), np.uint8)
    # What lies far outside the picture is brought nearer: it is not seen, and would take time.
    near = [np.clip(stroke, -1, 2) for stroke in strokes]
    segments = size * to_segments(near, longest=4 / size)[np.newaxis]
    half_widths = np.full(segments.shape[:2], PEN_WIDTH / BOX * size / 2, np.float32)
    return to_pixels(rasterize(segments, half_widths, np.ones(1, np.float32), size)[0])


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Return images 0..1 as uint8, 0..255."""
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def _write_image(path: Path, image: np.ndarray) -> None:
    Image.fromarray(255 - image).save(path)
