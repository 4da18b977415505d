"""Every setting of a chain's training: a recipe is made from these classes, and a stage says which are its own.

The defaults are the published settings: World Models for the autoencoders, Sketch-RNN for the decoder.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kuzushiji_tf.config import AT_LEAST_ONE, BELOW_ONE, NOT_NEGATIVE, POSITIVE, require, require_finite
from kuzushiji_tf.errors import UserError

STAGES = ("vae-old", "vae-new", "mdn", "sketch")  # in the order in which they are trained
PREDECESSORS = {  # whose weights a stage builds on
    "vae-old": (),
    "vae-new": (),
    "mdn": ("vae-old", "vae-new"),
    "sketch": ("vae-old", "vae-new", "mdn"),
}


@dataclass(frozen=True)
class Autoencoders:
    """The two convolutional autoencoders (`[vae]`)."""

    width: float = 1.0  # channels, times this
    floor: float = 0.5  # nats of each latent dimension below which the KL divergence is not lowered
    batch_size: int = 100
    learning_rate: float = 1e-4
    epochs_old: int = 30  # of the one for Kuzushiji-Kanji, 98,717 images
    epochs_new: int = 300  # of the one for KanjiVG, 6,234 images
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the layers' arithmetic

    def __post_init__(self):
        require_finite(self, "vae.")
        require(POSITIVE, self, ("width", "learning_rate"), "vae.")
        require(NOT_NEGATIVE, self, ("floor",), "vae.")
        require(AT_LEAST_ONE, self, ("batch_size", "epochs_old", "epochs_new"), "vae.")


@dataclass(frozen=True)
class Mixture:
    """The mixture density network between the two latent spaces (`[mdn]`)."""

    components: int = 10
    hidden: int = 512  # units of each of the two hidden layers
    dropout: float = 0.0  # share of them left out at random in training
    weight_decay: float = 0.0  # decoupled: multiplied by the learning rate only
    batch_size: int = 100
    learning_rate: float = 5e-4  # of the first step; it falls to 0 along a cosine
    epochs: int = 20

    def __post_init__(self):
        require_finite(self, "mdn.")
        require(AT_LEAST_ONE, self, ("components", "hidden", "batch_size", "epochs"), "mdn.")
        require(BELOW_ONE, self, ("dropout",), "mdn.")
        require(NOT_NEGATIVE, self, ("weight_decay",), "mdn.")
        require(POSITIVE, self, ("learning_rate",), "mdn.")


@dataclass(frozen=True)
class Sketch:
    """The Sketch-RNN decoder and the sequences it learns (`[sketch]`)."""

    epsilon: float = 1.0  # tolerance of the simplified strokes, in KanjiVG's units of 1/109 of the box
    longest: int = 82  # points; longer drawings are left out: none at a tolerance of 1
    units: int = 512  # of the LSTM
    latent_units: int = 0  # of two hidden layers between z and all that it conditions; 0: none, as published
    glimpse_units: int = 0  # of layers that see the image of z around the pen; 0: none, as published
    output_units: int = 0  # of a hidden layer after the LSTM; 0: none, as published
    mixtures: int = 20
    layer_norm: bool = True
    recurrent_dropout: float = 0.1
    temperature: float = 1.0  # at which the MDN is sampled for the z of a drawing
    encoded_share: float = 0.0  # chance of a z of the modern image where kuzushiji are known; 0 as published
    # A drawing's width and height are each multiplied by 1 - scaling to 1 + scaling; with glimpses it should lie on its
    # ink, at 0.
    scaling: float = 0.15
    jitter: float = 0.0  # standard deviation of what is added to the points, in that of the offsets
    batch_size: int = 100
    learning_rate: float = 1e-3  # of the first step
    decay: float = 0.9999  # of what lies above the minimum, each step
    minimum_rate: float = 1e-5
    clip: float = 1.0  # no element of a gradient is farther from 0
    epochs: int = 1000

    def __post_init__(self):
        require_finite(self, "sketch.")
        require(NOT_NEGATIVE, self, ("epsilon", "minimum_rate", "temperature", "jitter"), "sketch.")
        require(NOT_NEGATIVE, self, ("latent_units", "glimpse_units", "output_units"), "sketch.")
        require(AT_LEAST_ONE, self, ("longest", "units", "mixtures", "batch_size", "epochs"), "sketch.")
        require(BELOW_ONE, self, ("recurrent_dropout", "scaling", "encoded_share"), "sketch.")
        require(POSITIVE, self, ("learning_rate", "decay", "clip"), "sketch.")
        if self.decay > 1 or self.minimum_rate > self.learning_rate:
            raise UserError(
                f"sketch.decay is {self.decay} and sketch.minimum_rate {self.minimum_rate}; "
                f"they must not be above 1 and sketch.learning_rate ({self.learning_rate})."
            )


@dataclass(frozen=True)
class TransferConfig:
    """A whole chain."""

    seed: int = 0  # of everything: weights, order, samples, dropout
    latent: int = 64  # dimensions of both latent spaces
    use_variants: bool = False  # pair a character that KanjiVG lacks with its modern form
    jit: bool = False  # compile the steps with XLA: for GPUs; belongs to no stage, since it changes rounding alone
    vae: Autoencoders = field(default_factory=Autoencoders)
    mdn: Mixture = field(default_factory=Mixture)
    sketch: Sketch = field(default_factory=Sketch)

    def __post_init__(self):
        require_finite(self)
        require(NOT_NEGATIVE, self, ("seed",))
        require(AT_LEAST_ONE, self, ("latent",))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return asdict(self)

    def settings_of(self, stage: str) -> dict[str, Any]:
        """Return the settings that a stage's training reads, named as in a recipe: `vae.width`."""
        table, epochs = stage.split("-")[0], {"vae-old": "epochs_old", "vae-new": "epochs_new"}.get(stage, "epochs")
        own = {
            f"{table}.{name}": value
            for name, value in self.to_dict()[table].items()
            if name == epochs or not name.startswith("epochs")
        }
        return {"seed": self.seed, "latent": self.latent, "use_variants": self.use_variants} | own
