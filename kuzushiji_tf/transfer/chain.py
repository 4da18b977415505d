"""A trained chain in use: images of kuzushiji in; latent vectors, mixtures, modern images and drawings out.

It comes from a work directory, and Keras runs it, or from an exported folder, and LiteRT alone does: TensorFlow is then
not imported. Whatever runs it, arrays are NumPy's on both sides.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.files import read_text
from kuzushiji_tf.recognition.embedded_card import CARD as RECOGNISER_CARD
from kuzushiji_tf.recognition.litert import LiteRTFunction
from kuzushiji_tf.recognition.predictors import content_sha256
from kuzushiji_tf.runtime import start_tensorflow
from kuzushiji_tf.transfer.config import STAGES
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.modern import draw_modern, modern_characters, modern_strokes
from kuzushiji_tf.transfer.workdirs import ChainFolder

CARD = "chain.json"  # no recognizer's model.json: what looks for those does not find it
# What an exported folder holds beside its card: each part of the chain, and what retrieval compares with.
PARTS = ("encoder_old", "decoder_old", "encoder_new", "decoder_new", "mdn", "sketch_start", "sketch_step")
FILES = {part: f"{part}-float16.tflite" for part in PARTS}
UNIGRAM, LATENTS, CHARACTERS = "unigram.npy", "modern-float16.npy", "modern.txt"
EVALUATION = "evaluation.json"  # in a work directory: its last scores

Network = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Settings:
    """What has to be known to use a chain.

    Attributes:
        latent: dimensions of both latent spaces.
        scale: by which the offsets of drawings are divided.
        longest: points after which a drawing ends.
        epsilon: tolerance of the simplified strokes that were learned, in KanjiVG's units.
        use_variants: whether old forms are paired with their modern ones.
        sees_ink: whether drawings are written with the modern image in sight.
        least_density: of what is a kanji: the log density that the likeliest modern character of 99 of 100 held-out
            images has; None before an evaluation.
    """

    latent: int
    scale: float
    longest: int
    epsilon: float
    use_variants: bool = False
    sees_ink: bool = False
    least_density: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Modern:
    """The modern characters that a chain can find, and where they lie in its latent space.

    Attributes:
        characters: in code point order.
        latents: the means of their posteriors, float32 `[n, latent]`.
    """

    characters: Labels
    latents: np.ndarray


@dataclass(frozen=True, eq=False)
class Chain:
    """A chain that is ready to run.

    Attributes:
        path: the work directory or exported folder.
        settings: as `Settings`.
        unigram: the mixture that looks at no image, float32 `[1, parameters]`.
        networks: each of `PARTS`, from named arrays `[n, ...]` to named arrays.
        stored: what an exported folder holds for retrieval; None: it is made from KanjiVG when first needed.
    """

    path: Path
    settings: Settings
    unigram: np.ndarray
    networks: Mapping[str, Network]
    stored: Modern | None = None

    def encode_old(self, images: np.ndarray) -> np.ndarray:
        """Return the posteriors float32 `[n, 2 * latent]` of images of kuzushiji, `[n, 64, 64]`, 0..255."""
        return self.networks["encoder_old"]({"image": images[..., None].astype(np.float32)})["posterior"]

    def encode_new(self, images: np.ndarray) -> np.ndarray:
        """Return the posteriors float32 `[n, 2 * latent]` of images of modern kanji, `[n, 64, 64]`, 0..255."""
        return self.networks["encoder_new"]({"image": images[..., None].astype(np.float32)})["posterior"]

    def decode_old(self, z: np.ndarray) -> np.ndarray:
        """Return images of kuzushiji, float32 `[n, 64, 64]`, ink in 0..1."""
        return self.networks["decoder_old"]({"z": z})["ink"][..., 0]

    def decode_new(self, z: np.ndarray) -> np.ndarray:
        """Return images of modern kanji, float32 `[n, 64, 64]`, ink in 0..1."""
        return self.networks["decoder_new"]({"z": z})["ink"][..., 0]

    def mixture(self, z: np.ndarray) -> np.ndarray:
        """Return P(znew | zold) as a mixture's parameters, float32 `[n, p]`: see `gaussians.split_parameters`."""
        return self.networks["mdn"]({"z": z})["parameters"]

    def start(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the beginning of drawings, given their `z`, as `writing.generate` takes it."""
        return self.networks["sketch_start"](self.given_at_start(inputs["z"]))

    def given_at_start(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the part `sketch_start` is given for latent vectors."""
        seen = {"ink": self.networks["decoder_new"]({"z": z})["ink"]} if self.settings.sees_ink else {}
        return {"z": z} | seen

    @property
    def step(self) -> Network:
        """One step of drawings, as `writing.generate` takes it."""
        return self.networks["sketch_step"]

    @cached_property
    def modern(self) -> Modern:
        """The modern characters to retrieve; from a work directory it takes minutes to draw them.

        Raises:
            UserError: the package `kanjivg` is not installed.
        """
        if self.stored is not None:
            return self.stored
        characters = modern_characters()
        means, _ = split_posterior(self.encode_new(draw_modern(modern_strokes(characters))))
        return Modern(Labels(characters), means)


def load_chain(path: str | Path) -> Chain:
    """Load a chain from a work directory whose stages are all trained, or from an exported folder.

    Raises:
        MissingFileError: there is no such folder, or a file of it is missing.
        UserError: it holds no chain, a stage is not trained or stands on others than are there, or a file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(
            f"There is no chain at {path}; name another, or train one with: python -m kuzushiji_tf transfer train"
        )
    if (path / CARD).exists():
        return _load_exported(path)
    folder = ChainFolder(path)
    if folder.config_file.exists():
        folder.require_finished()  # said at once, before TensorFlow is loaded
        start_tensorflow()
        from kuzushiji_tf.transfer.parts import named_models

        return open_work_directory(folder, named_models(folder))
    other = "a recognizer" if (path / RECOGNISER_CARD).exists() else "no chain"
    raise UserError(f"{path} holds {other}: name a folder that `transfer train` or `transfer export` wrote.")


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of an exported chain.

    Raises:
        MissingFileError: it has none.
        UserError: it is damaged.
    """
    text = read_text(folder / CARD)
    try:
        card = json.loads(text)
        Settings(**card["settings"])
        known = [file["sha256"] for file in card["files"].values()]
    except (ValueError, LookupError, TypeError, AttributeError):
        known = None
    if known is None:
        raise UserError(f"{folder / CARD} is not the card of an exported chain; export it again.")
    return card


def open_exported(folder: Path, settings: Settings) -> Chain:
    """Return the chain of an exported folder's files, which need no card yet.

    Raises:
        MissingFileError, UserError: a file is missing or damaged.
    """
    networks = {part: LiteRTFunction(folder / file) for part, file in FILES.items()}
    characters = Labels.read(folder / CHARACTERS)
    latents = _read_array(folder / LATENTS, (len(characters), settings.latent))
    unigram = _read_array(folder / UNIGRAM, (1, *networks["mdn"].outputs["parameters"]))
    return Chain(folder, settings, unigram, networks, Modern(characters, latents))


def open_work_directory(folder: ChainFolder, models: Mapping[str, Any]) -> Chain:
    """Return the chain of a work directory, given its `parts.named_models`.

    Raises:
        MissingFileError, UserError: a file is missing or damaged.
    """
    from kuzushiji_tf.transfer.parts import in_batches

    config = folder.config
    settings = Settings(
        latent=config.latent,
        scale=float(folder.stage("sketch").description["data"]["scale"]),
        longest=config.sketch.longest,
        epsilon=config.sketch.epsilon,
        use_variants=config.use_variants,
        sees_ink=config.sketch.glimpse_units > 0,
        least_density=_last_evaluation(folder).get("least_density"),
    )
    unigram = _read_array(folder.stage("mdn").weights[1], (1, models["mdn"].output["parameters"].shape[-1]))
    return Chain(folder.path, settings, unigram, {part: in_batches(model) for part, model in models.items()})


def digests_of(folder: ChainFolder) -> dict[str, str]:
    """Return the digest of each stage's weights, which say what an evaluation was made of."""
    return {stage: folder.stage(stage).digest() for stage in STAGES}


def _load_exported(folder: Path) -> Chain:
    card = read_card(folder)
    for name in (*FILES.values(), UNIGRAM, LATENTS, CHARACTERS):
        if not (folder / name).is_file():
            raise MissingFileError(f"{folder} lacks {name}; export the chain again.")
        if card["files"].get(name, {}).get("sha256") != content_sha256(folder / name):
            raise UserError(f"{folder / name} is damaged: it is not the file that {CARD} describes; export it again.")
    return open_exported(folder, Settings(**card["settings"]))


def _last_evaluation(folder: ChainFolder) -> dict[str, Any]:
    """Return the scores of a work directory; none where it was not evaluated since it was trained."""
    file = folder.path / EVALUATION
    try:
        scores = dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
    except (ValueError, TypeError):
        raise UserError(f"{file} is damaged; remove it, and evaluate the chain again.") from None
    return scores if scores.get("weights") == digests_of(folder) else {}


def _read_array(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a stored array as float32.

    Raises:
        MissingFileError, UserError: the file is missing, damaged, or holds an array of another shape.
    """
    try:
        array = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {file}.") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} is damaged ({reason_of(error)}); train or export the chain again.") from None
    if array.shape != shape:
        raise UserError(f"{file} holds {list(array.shape)} numbers, not {list(shape)}; train or export it again.")
    return array.astype(np.float32)
