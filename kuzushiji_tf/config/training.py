"""The settings of a training run, with the reason for each beside it; its comment is its flag's help."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kuzushiji_tf.config.rules import (
    AT_LEAST_ONE,
    BELOW_ONE,
    LARGEST_SIZE,
    NOT_NEGATIVE,
    POSITIVE,
    SMALLEST_SIZE,
    at_most,
    require,
    require_finite,
)
from kuzushiji_tf.errors import UserError

LARGEST_FACTOR = 16  # of channels and of blocks: larger networks fit no machine
LARGEST_CLASS = 1_000_000  # images; a hundred times what anybody has balanced a set to


@dataclass(frozen=True)
class ImageAugmentation:
    """Random changes of the training images; names and meaning are those of Keras's ImageDataGenerator.

    All zeros (the default) changes nothing.
    """

    rotation_range: float = 0.0  # rotate by an angle from [-r, r], degrees
    width_shift_range: float = 0.0  # largest shift to a side: below 1 a fraction of the width, from 1 on pixels
    height_shift_range: float = 0.0  # largest shift up or down: below 1 a fraction of the height, from 1 on pixels
    shear_range: float = 0.0  # slant by an angle from [-s, s], degrees
    zoom_range: float = 0.0  # stretch each axis by a factor from [1 - z, 1 + z]
    fill_mode: Literal["constant", "nearest", "reflect", "wrap"] = "constant"  # what fills the margins of a moved image
    cval: float = 0.0  # gray value of that margin, 0..255 (fill_mode = constant)
    brightness_range: tuple[float, float] | None = None  # multiply the gray values by a factor from this interval
    elastic: float = 0.0  # largest displacement of a control point of a 4 x 4 grid, fraction of the image size
    elastic_alpha: float = 0.0  # factor of the smoothed random displacements of Simard et al. 2003; 0: none
    elastic_sigma: float = 4.0  # standard deviation of that smoothing, pixels
    blur: float = 0.0  # largest standard deviation of a Gaussian blur, pixels; most images get much less
    cutout: int = 0  # side of one zeroed square, pixels
    noise: float = 0.0  # fraction of pixels replaced by a random value

    def __post_init__(self) -> None:
        require_finite(self, "augmentation.")
        shifts = ("width_shift_range", "height_shift_range")
        ranges = ("rotation_range", *shifts, "shear_range", "elastic", "elastic_alpha", "blur", "cutout")
        require(NOT_NEGATIVE, self, ranges, "augmentation.")
        require(POSITIVE, self, ("elastic_sigma",), "augmentation.")
        require(BELOW_ONE, self, ("zoom_range", "noise"), "augmentation.")
        if not 0 <= self.cval <= 255:
            raise UserError(f"augmentation.cval is {self.cval}; it must be in 0 <= value <= 255.")
        if self.brightness_range is not None and not 0 <= self.brightness_range[0] <= self.brightness_range[1]:
            raise UserError(f"augmentation.brightness_range is {self.brightness_range}; it must be 0 <= low <= high.")


@dataclass(frozen=True)
class Architecture:
    """Choices within a family of models; a family refuses those that it does not have.

    The defaults are the network as published.
    """

    width: float = 1.0  # factor of the number of channels
    depth: float = 1.0  # factor of the number of blocks in each stage
    head_rank: int = 0  # features that the classifier sees, which keeps thousands of classes small; 0: all
    stochastic_depth: float = 0.0  # chance to skip the last residual block for an image; linearly less before it
    stem_stride: int = 0  # stride of the first convolution; 0: the family's own
    reconstruction: float = 0.0  # weight of the squared error of redrawing the image (capsnet); published: 0.0005

    def __post_init__(self) -> None:
        require_finite(self, "architecture.")
        require(POSITIVE, self, ("width", "depth"), "architecture.")
        require(at_most(LARGEST_FACTOR), self, ("width", "depth"), "architecture.")
        require(NOT_NEGATIVE, self, ("head_rank", "reconstruction"), "architecture.")
        require(BELOW_ONE, self, ("stochastic_depth",), "architecture.")
        if self.stem_stride not in (0, 1, 2):
            raise UserError(f"architecture.stem_stride is {self.stem_stride}; it must be 0, 1 or 2.")


@dataclass(frozen=True)
class Neighbors:
    """How the nearest training images decide (model = nearest_neighbors or pca_nearest_neighbors)."""

    neighbors: int = 4  # how many training images decide
    weighting: Literal["distance", "uniform"] = "distance"  # a neighbor counts by 1 / distance, or as any other
    components: int = 60  # principal components that stand for the pixels (pca_nearest_neighbors)

    def __post_init__(self) -> None:
        require_finite(self, "neighbors.")
        require(AT_LEAST_ONE, self, ("neighbors", "components"), "neighbors.")


@dataclass(frozen=True)
class Distillation:
    """Learning a trained recognizer's probabilities beside the labels (Hinton et al. 2015)."""

    teacher: str | None = None  # a run's work directory or a .keras file; of the same classes and image size
    teacher_weight: float = 0.7  # share of the teacher in the loss; the labels have the rest
    temperature: float = 2.0  # softens the probabilities of both, so that the small ones count

    def __post_init__(self) -> None:
        require_finite(self, "distillation.")
        require(POSITIVE, self, ("teacher_weight", "temperature"), "distillation.")
        if self.teacher_weight > 1:
            raise UserError(f"distillation.teacher_weight is {self.teacher_weight}; it must be in 0 < value <= 1.")


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. The defaults train the kana recognizer in a few minutes on two cores."""

    dataset: str = "kana"  # a registered data set, several joined by +, or a folder or .npz file of your own
    classes: str | None = None  # keep only these: a file, the characters, or joyo, kanji, hiragana, katakana, k49
    per_class: int = 450  # images drawn of each class, for data sets drawn from strokes
    rare_kanji: float = 1 / 3  # how often the touch sets draw a rare kanji where a common one is drawn once
    forms: tuple[str, ...] = ()  # fonts and .npz files with more ways to write what is drawn from strokes
    image_size: int | None = None  # height and width in pixels; default: the data set's own
    random_split: bool = False  # draw the test images from all, by class, instead of by writer as the data set has it
    validation_fraction: float = 0.05  # share of each class of the training split; the test split is never touched
    # share of the images that are scribbles, other scripts, noise and the like, which the recognizer learns to refuse:
    # a class of their own; 0: none
    refuse: float = 0.0
    # how often a class of n images is shown: in proportion to n, to the square root of n, or as often as any other
    sampling: Literal["natural", "square_root", "balanced"] = "natural"
    balance: int = 0  # virtual images of each class: its originals first, then augmented copies; 0: originals only
    epoch_images: int = 0  # images in one epoch; 0: all there are
    model: str = "preact_resnet20"  # the name of a registered model
    # a run's work directory, an exported folder or a .keras file of the same model, whose weights training starts from
    initial_weights: str | None = None
    # layers that keep the initial weights, by patterns of their names such as stage1/*; *: all but the classifier
    freeze: tuple[str, ...] = ()
    seed: int = 0  # seed of everything random: weights, order, augmentation, dropout
    epochs: int = 3  # how many times the training images are gone through
    batch_size: int = 128  # images in one step, on all devices together
    plain_epochs: int = 0  # how many of the last epochs show the images unaugmented: sharp, whole and upright
    optimizer: Literal["sgd", "adamw", "adadelta"] = "sgd"  # how the weights are updated; sgd has Nesterov momentum 0.9
    learning_rate: float = 0.2  # the highest rate that the schedule reaches
    weight_decay: float = 5e-4  # decay of the weights, decoupled: multiplied by the learning rate only
    # how the learning rate falls: along a cosine to 0, whenever the validation loss stops falling, or not at all
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: float = 0.5  # how many of the first epochs the rate rises in, from 0 (schedule = cosine)
    plateau_patience: int = 3  # epochs without a better validation loss before the rate falls (schedule = plateau)
    plateau_factor: float = 0.3  # what the rate is then multiplied by (schedule = plateau)
    early_stopping_patience: int = 0  # epochs without a better validation loss before the run ends; 0: never
    loss: Literal["crossentropy", "margin"] = "crossentropy"  # what is minimized; margin: for capsnet only
    label_smoothing: float = 0.0  # share of a label's probability that is spread over all classes
    mixing: Literal["none", "input", "manifold", "cutmix"] = "none"  # mix pairs of images, or their hidden features
    mixing_alpha: float = 1.0  # the share of the first of a pair is drawn from Beta(alpha, alpha)
    # decay per step of the moving average of the weights, which is then what is validated and exported; 0: no average
    ema_decay: float = 0.0
    # training images whose statistics batch normalization gets at the end; 0: it keeps its moving averages
    population_images: int = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # the type of number that the layers compute with
    jit: bool = False  # compile the training step with XLA
    # batch normalization over the images of a step on all devices together, instead of over each device's own
    synchronize: bool = False
    steps_per_execution: int = 1  # steps that the devices take before they report; an epoch is a multiple of it
    deterministic: bool = False  # equal runs give equal bits on GPUs too, where that makes training slower
    architecture: Architecture = field(default_factory=Architecture)
    neighbors: Neighbors = field(default_factory=Neighbors)
    distillation: Distillation = field(default_factory=Distillation)
    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)

    def __post_init__(self) -> None:
        require_finite(self)
        if not self.dataset.strip() or (self.classes is not None and not self.classes.strip()):
            empty = "classes" if self.dataset.strip() else "dataset"
            raise UserError(f"{empty} is empty; name some, or leave it out.")
        require(AT_LEAST_ONE, self, ("per_class", "epochs", "batch_size", "steps_per_execution"))
        if self.image_size is not None and not SMALLEST_SIZE <= self.image_size <= LARGEST_SIZE:
            raise UserError(
                f"image_size is {self.image_size}; it must be in {SMALLEST_SIZE} <= value <= {LARGEST_SIZE:,}."
            )
        require(at_most(LARGEST_CLASS), self, ("balance", "per_class"))
        require(BELOW_ONE, self, ("validation_fraction", "label_smoothing", "ema_decay", "refuse"))
        require(POSITIVE, self, ("learning_rate", "plateau_factor", "mixing_alpha", "rare_kanji"))
        numbers = ("seed", "balance", "epoch_images", "plain_epochs", "weight_decay", "warmup_epochs")
        require(NOT_NEGATIVE, self, (*numbers, "population_images", "plateau_patience", "early_stopping_patience"))
        self._check_combinations()
        self._check_population()

    def _check_combinations(self) -> None:
        if self.plain_epochs > self.epochs:
            raise UserError(f"plain_epochs is {self.plain_epochs}; it must not be above epochs ({self.epochs}).")
        if self.plain_epochs and self.balance:
            raise UserError("plain_epochs cannot be combined with balance, whose copies are part of the data.")
        if self.loss == "margin" and self.model != "capsnet":
            raise UserError(f"loss = margin is made for the lengths of capsules: {self.model} needs crossentropy.")
        if self.mixing != "none" and (self.loss == "margin" or self.architecture.reconstruction):
            raise UserError(
                f"mixing = {self.mixing} cannot be combined with loss = margin or architecture.reconstruction."
            )
        if self.distillation.teacher is not None and (
            self.loss == "margin" or self.architecture.reconstruction or self.mixing == "manifold"
        ):
            raise UserError(
                "distillation.teacher cannot be combined with loss = margin, architecture.reconstruction or "
                "mixing = manifold."
            )
        if self.balance and self.refuse:
            raise UserError("refuse cannot be combined with balance, which shows every class equally often.")
        if self.balance and self.sampling != "natural":
            raise UserError("balance already shows every class equally often: leave sampling out.")
        needs_validation = self.schedule == "plateau" or self.early_stopping_patience
        if needs_validation and not self.validation_fraction:
            raise UserError(
                "schedule = plateau and early stopping watch the validation loss: set validation_fraction above 0."
            )

    def _check_population(self) -> None:
        if self.population_images and self.early_stopping_patience:
            raise UserError(
                "population_images cannot be combined with early_stopping_patience, which keeps an epoch as it was "
                "validated."
            )
        if self.freeze and self.population_images:
            raise UserError("population_images cannot be combined with freeze, which keeps layers as they were.")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, as JSON has them."""
        settings: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return settings

    @property
    def sha256(self) -> str:
        """Hash (hex) of all settings: equal for runs that were told the same."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()
