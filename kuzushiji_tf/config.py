"""Every knob of a training run, defined once; the flags and the recipes are made from these classes."""

import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kuzushiji_tf.errors import MissingFileError, UserError, unknown_name

SMALLEST_SIZE = 8  # pixels; the smallest image that a model takes

Config = TypeVar("Config")


@dataclass(frozen=True)
class Rule:
    """What a number has to be, and how a sentence says so."""

    holds: Callable[[float], bool]
    says: str


AT_LEAST_ONE = Rule(lambda value: value >= 1, "be at least 1")
POSITIVE = Rule(lambda value: value > 0, "be above 0")
NOT_NEGATIVE = Rule(lambda value: value >= 0, "not be negative")
BELOW_ONE = Rule(lambda value: 0 <= value < 1, "be in 0 <= value < 1")


def require_finite(knobs: Any, prefix: str = "") -> None:
    """Check that no knob of a config is infinite or no number.

    Raises:
        UserError: one is; `prefix` stands before its name.
    """
    for knob in fields(knobs):
        value = getattr(knobs, knob.name)
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise UserError(f"{prefix}{knob.name} is {value}; it must be a finite number.")


def require(rule: Rule, knobs: Any, names: Iterable[str], prefix: str = "") -> None:
    """Check some knobs of a config by a rule.

    Raises:
        UserError: one breaks it; `prefix` stands before its name.
    """
    for name in names:
        if not rule.holds(getattr(knobs, name)):
            raise UserError(f"{prefix}{name} is {getattr(knobs, name)}; it must {rule.says}.")


@dataclass(frozen=True)
class ImageAugmentation:
    """Random changes of the training images; names and meaning are those of Keras's ImageDataGenerator.

    All zeros (the default) changes nothing.
    """

    rotation_range: float = 0.0  # degrees, drawn from [-r, r]
    width_shift_range: float = 0.0  # fraction of the width below 1, pixels from 1 on
    height_shift_range: float = 0.0  # fraction of the height below 1, pixels from 1 on
    shear_range: float = 0.0  # degrees, drawn from [-s, s]
    zoom_range: float = 0.0  # each axis by a factor from [1 - z, 1 + z]
    fill_mode: Literal["constant", "nearest", "reflect", "wrap"] = "constant"
    cval: float = 0.0  # the constant's value, 0..255
    brightness_range: tuple[float, float] | None = None  # a factor from this interval
    elastic: float = 0.0  # largest displacement of a control point of a 4 x 4 grid, fraction of the image size
    elastic_alpha: float = 0.0  # of Simard et al. 2003: smoothed random displacements times this; 0: none
    elastic_sigma: float = 4.0  # standard deviation of that smoothing, pixels
    cutout: int = 0  # side of one zeroed square, pixels
    noise: float = 0.0  # fraction of pixels replaced by a random value

    def __post_init__(self):
        require_finite(self, "augmentation.")
        shifts = ("width_shift_range", "height_shift_range")
        ranges = ("rotation_range", *shifts, "shear_range", "elastic", "elastic_alpha", "cutout")
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

    width: float = 1.0  # channels, times this
    depth: float = 1.0  # blocks of each stage, times this
    head_rank: int = 0  # features that the classifier sees, which keeps thousands of classes small; 0: all
    stochastic_depth: float = 0.0  # chance to skip the last residual block for an image; linearly less before it
    stem_stride: int = 0  # of the first convolution; 0: the family's own
    reconstruction: float = 0.0  # weight of the squared error of redrawing the image (capsnet); published: 0.0005

    def __post_init__(self):
        require_finite(self, "architecture.")
        require(POSITIVE, self, ("width", "depth"), "architecture.")
        require(NOT_NEGATIVE, self, ("head_rank", "reconstruction"), "architecture.")
        require(BELOW_ONE, self, ("stochastic_depth",), "architecture.")
        if self.stem_stride not in (0, 1, 2):
            raise UserError(f"architecture.stem_stride is {self.stem_stride}; it must be 1 or 2, or 0.")


@dataclass(frozen=True)
class Neighbors:
    """How the nearest training images decide (model = nearest_neighbors or pca_nearest_neighbors)."""

    neighbors: int = 4  # how many of them
    weighting: Literal["distance", "uniform"] = "distance"  # a neighbor counts by 1 / distance, or as any other
    components: int = 60  # principal components that stand for the pixels (pca_nearest_neighbors)

    def __post_init__(self):
        require(AT_LEAST_ONE, self, ("neighbors", "components"), "neighbors.")


@dataclass(frozen=True)
class Distillation:
    """Learning a trained recognizer's probabilities beside the labels (Hinton et al. 2015)."""

    teacher: str | None = None  # a run's work directory or a .keras file; of the same classes and image size
    teacher_weight: float = 0.7  # of the teacher in the loss; the labels have the rest
    temperature: float = 2.0  # softens the probabilities of both, so that the small ones count

    def __post_init__(self):
        require_finite(self, "distillation.")
        require(POSITIVE, self, ("teacher_weight", "temperature"), "distillation.")
        if self.teacher_weight > 1:
            raise UserError(f"distillation.teacher_weight is {self.teacher_weight}; it must be in 0 < value <= 1.")


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. The defaults train the kana recognizer in a few minutes on two cores."""

    dataset: str = "kana"  # a registered data set, several joined by +, or a folder of your own images or arrays
    classes: str | None = None  # keep these only: a file, the characters, or joyo, kanji, hiragana, katakana, k49
    per_class: int = 450  # images rendered for each class, for data sets drawn from strokes
    image_size: int | None = None  # pixels; None keeps the data set's own size
    random_split: bool = False  # draw the test images from all, by class, instead of by writer as the data set has it
    validation_fraction: float = 0.05  # of each class of the training split; never of the test split
    sampling: Literal["natural", "square_root", "balanced"] = "natural"  # a class of n images is seen as n, n^0.5, n^0
    balance: int = 0  # virtual images of each class: its originals first, then augmented copies; 0: originals only
    epoch_images: int = 0  # images of one epoch; 0: all there are
    model: str = "preact_resnet20"  # a registered model
    seed: int = 0  # of everything: weights, order, augmentation, dropout
    epochs: int = 3
    batch_size: int = 128  # over all devices together
    plain_epochs: int = 0  # the last ones, which show the images as they are: sharp, whole and upright, as in use
    optimizer: Literal["sgd", "adamw", "adadelta"] = "sgd"  # sgd has Nesterov momentum 0.9
    learning_rate: float = 0.2  # the highest that the schedule reaches
    weight_decay: float = 5e-4  # decoupled: multiplied by the learning rate only
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: float = 0.5  # linear, from 0; part of the epochs (schedule = cosine)
    plateau_patience: int = 3  # epochs without a better validation loss before the rate falls (schedule = plateau)
    plateau_factor: float = 0.3  # what it is then multiplied by
    early_stopping_patience: int = 0  # epochs without a better validation loss before the run ends; 0: never
    loss: Literal["crossentropy", "margin"] = "crossentropy"  # margin is the capsule network's own
    label_smoothing: float = 0.0
    mixing: Literal["none", "input", "manifold", "cutmix"] = "none"  # of pairs of images, or of what is made of them
    mixing_alpha: float = 1.0  # the share of the first of a pair is drawn from Beta(alpha, alpha)
    ema_decay: float = 0.0  # moving average of the weights, used for validation and export; 0: none
    population_images: int = 0  # of training; batch normalization ends with their statistics; 0: with its averages
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # of the layers' arithmetic
    jit: bool = False  # compile the step with XLA
    architecture: Architecture = field(default_factory=Architecture)
    neighbors: Neighbors = field(default_factory=Neighbors)
    distillation: Distillation = field(default_factory=Distillation)
    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)

    def __post_init__(self):
        require_finite(self)
        require(AT_LEAST_ONE, self, ("per_class", "epochs", "batch_size"))
        if self.image_size is not None and self.image_size < 8:
            raise UserError(f"image_size is {self.image_size}; it must be at least 8.")
        require(BELOW_ONE, self, ("validation_fraction", "label_smoothing", "ema_decay"))
        require(POSITIVE, self, ("learning_rate", "plateau_factor", "mixing_alpha"))
        numbers = ("seed", "balance", "epoch_images", "plain_epochs", "weight_decay", "warmup_epochs")
        require(NOT_NEGATIVE, self, (*numbers, "population_images", "plateau_patience", "early_stopping_patience"))
        if self.plain_epochs and (self.balance or self.plain_epochs > self.epochs):
            raise UserError(
                f"plain_epochs is {self.plain_epochs}; it must not be above epochs ({self.epochs}), nor "
                "stand beside balance."
            )
        if self.population_images and self.early_stopping_patience:
            raise UserError(
                "population_images does not go with early_stopping_patience, which keeps an epoch as it was validated."
            )
        if self.loss == "margin" and self.model != "capsnet":
            raise UserError(f"loss = margin is made for the lengths of capsules: {self.model} needs crossentropy.")
        if self.mixing != "none" and (self.loss == "margin" or self.architecture.reconstruction):
            raise UserError(f"mixing = {self.mixing} does not go with loss = margin or architecture.reconstruction.")
        if self.distillation.teacher is not None and (
            self.loss == "margin" or self.architecture.reconstruction or self.mixing == "manifold"
        ):
            raise UserError(
                "distillation.teacher does not go with loss = margin, architecture.reconstruction or mixing = manifold."
            )
        if self.balance and self.sampling != "natural":
            raise UserError("balance already shows every class equally often: leave sampling out.")
        needs_validation = self.schedule == "plateau" or self.early_stopping_patience
        if needs_validation and not self.validation_fraction:
            raise UserError(
                "schedule = plateau and early stopping watch the validation loss: set validation_fraction above 0."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the knobs as plain values, for JSON."""
        return asdict(self)


def config_from_dict(values: dict[str, Any], where: str, kind: type[Config] = TrainingConfig) -> Config:
    """Return the config of a nested table of knobs; absent ones keep their defaults.

    Args:
        values: the table, as `to_dict` gives it.
        where: begins the sentence of an error.
        kind: the class of the config.

    Raises:
        UserError: an unknown knob (with the nearest known one) or a wrong value.
    """
    try:
        return _from_table(kind, values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def load_recipe(path: str | Path, kind: type[Config] = TrainingConfig) -> Config:
    """Read a recipe: a TOML file whose keys are the names of the knobs of a config of class `kind`.

    Raises:
        MissingFileError: no such file.
        UserError: not TOML, an unknown knob or a wrong value.
    """
    try:
        with open(path, "rb") as stream:
            table = tomllib.load(stream)
    except FileNotFoundError:
        raise MissingFileError(f"There is no recipe {path}; the project's own stand in recipes/.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    return config_from_dict(table, str(path), kind)


def _from_table(cls: type, table: Any, prefix: str = "") -> Any:
    if not isinstance(table, dict):
        raise UserError(f"{prefix.removesuffix('.') or 'the content'} must be a table of knobs, not {table!r}.")
    hints = get_type_hints(cls)
    names = [prefix + knob.name for knob in fields(cls)]
    arguments = {}
    for name, value in table.items():
        if prefix + name not in names:
            raise unknown_name("knob", prefix + name, names)
        arguments[name] = _checked(hints[name], value, prefix + name)
    return cls(**arguments)


def _checked(hint: Any, value: Any, name: str) -> Any:
    """Return the value as the type that a knob has, or say which knob is wrong."""
    if is_dataclass(hint):
        return _from_table(hint, value, f"{name}.")
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UserError(f"{name} is {value!r}; it must be one of: {', '.join(map(str, get_args(hint)))}.")
        return value
    if type(None) in get_args(hint):
        if value is None:
            return None
        hint = next(choice for choice in get_args(hint) if choice is not type(None))
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or len(value) != len(get_args(hint)):
            raise UserError(f"{name} must be a list of {len(get_args(hint))} numbers, not {value!r}.")
        return tuple(_checked(part, item, name) for part, item in zip(get_args(hint), value, strict=True))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise UserError(f"{name} must be of type {hint.__name__}, not {value!r}.")
    return value
