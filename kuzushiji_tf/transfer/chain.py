"""A trained chain in use: images of kuzushiji in; latent vectors, mixtures, modern images and drawings out.

Whatever runs it, Keras or LiteRT alone (`opening` says which), arrays are NumPy's on both sides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.modern import draw_modern, modern_characters, modern_strokes
from kuzushiji_tf.transfer.writing import Network, Writer

PARTS = ("encoder_old", "decoder_old", "encoder_new", "decoder_new", "mdn", "sketch_start", "sketch_step")


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

    @property
    def writer(self) -> Writer:
        """What writes this chain's drawings."""
        return Writer(self.start, self.networks["sketch_step"], self.settings.longest, self.settings.scale)

    def start(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the beginning of drawings, given their `z`."""
        return self.networks["sketch_start"](self.given_at_start(inputs["z"]))

    def given_at_start(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the part `sketch_start` is given for latent vectors."""
        seen = {"ink": self.networks["decoder_new"]({"z": z})["ink"]} if self.settings.sees_ink else {}
        return {"z": z} | seen

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
