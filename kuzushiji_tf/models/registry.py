"""Which models there are, and how one is built; Keras is imported when the first is built, not to know their names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from importlib import import_module
from numbers import Integral
from typing import TYPE_CHECKING, Any

from kuzushiji_tf.config import SMALLEST_SIZE, Architecture
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.runtime import extra_needed, load_plugin, plugins_of

if TYPE_CHECKING:
    import keras

ENTRY_POINTS = "kuzushiji_tf.models"  # the group in which packages name their own
_Builder = Callable[..., "keras.KerasTensor"]


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        build: (image float32 `[batch, h, w, 1]` 0..1, number of classes, `Seeds`, `Architecture`) -> logits float32
            `[batch, classes]`; or `module:function` in this package, imported when first asked for.
        choices: the fields of `Architecture` that it looks at; others are refused.
    """

    build: _Builder | str
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [choice.name for choice in fields(Architecture)]
        for choice in self.choices:
            if choice not in known:
                raise unknown_name("choice of an architecture", choice, known)

    @property
    def builder(self) -> _Builder:
        """The function itself."""
        if not isinstance(self.build, str):
            return self.build
        module, function = self.build.split(":")
        builder: _Builder = getattr(import_module(f"kuzushiji_tf.models.{module}"), function)
        return builder


_RESIDUAL = ("width", "depth", "head_rank", "stochastic_depth", "stem_stride")
_ENTRIES: dict[str, ModelEntry] = {
    "capsnet": ModelEntry("capsnet:capsnet", ("width", "reconstruction")),
    "preact_resnet12": ModelEntry("preact_resnet:preact_resnet12", _RESIDUAL),
    "preact_resnet18": ModelEntry("preact_resnet:preact_resnet18", _RESIDUAL),
    "preact_resnet20": ModelEntry("preact_resnet:preact_resnet20", _RESIDUAL),
    "resnet18": ModelEntry("resnet:resnet18", _RESIDUAL),
    "resnet18_classic": ModelEntry("resnet:resnet18_classic", _RESIDUAL),
    "simple_cnn": ModelEntry("simple_cnn:simple_cnn", ("head_rank",)),
    "small_cnn": ModelEntry("small_cnn:small_cnn", ("width", "depth", "head_rank", "stem_stride")),
    "vgg": ModelEntry("vgg:vgg", ("width", "head_rank")),
    "vgg_etl": ModelEntry("vgg:vgg_etl", ("width", "head_rank")),
} | {
    f"efficientnet_b{number}": ModelEntry(
        f"efficientnet:efficientnet_b{number}", ("head_rank", "stochastic_depth", "stem_stride")
    )
    for number in range(8)
}
NEIGHBOR_MODELS = ("nearest_neighbors", "pca_nearest_neighbors")  # trained too, but no networks: `neighbors` has them
ENSEMBLE = "ensemble"  # what the config of several runs joined in one calls its model
_RESERVED = (*NEIGHBOR_MODELS, ENSEMBLE)


def model_names() -> list[str]:
    """Return the registered names, those of installed packages too, sorted."""
    return sorted({*_ENTRIES, *plugins_of(ENTRY_POINTS)})


def register_model(name: str, build: _Builder, choices: Iterable[str] = ()) -> None:
    """Register a model of one's own: from now on it is trained, exported and named in recipes as the others are.

    An installed package does the same for good by an entry point of the group `kuzushiji_tf.models` that names its
    builder, or a `ModelEntry`.

    Args:
        name: by which it is asked for.
        build: `build(image, classes, seeds, architecture)` returns logits, as `ModelEntry.build`.
        choices: the fields of `Architecture` that it looks at.

    Raises:
        UserError: the name is taken, or an unknown choice.
    """
    if name in (*_ENTRIES, *_RESERVED, *plugins_of(ENTRY_POINTS)):
        raise UserError(f"There is already a model named {name!r}; choose another name.")
    _ENTRIES[name] = ModelEntry(build, tuple(choices))


def require_model(name: str, architecture: Architecture | None = None) -> None:
    """Refuse a name that nothing can be trained by, or a choice that the model of this name does not have.

    Raises:
        UserError: with the nearest name, or the choices that there are.
    """
    choices = () if name in NEIGHBOR_MODELS else _entry_of(name, NEIGHBOR_MODELS).choices
    _require_choices(name, choices, architecture)


@extra_needed()
def build_model(  # noqa: PLR0913 -- what a network depends on, each with a name of its own
    name: str,
    image_size: int | tuple[int, int],
    classes: int,
    seed: int = 0,
    precision: str = "float32",
    architecture: Architecture | None = None,
) -> "keras.Model":
    """Return a new functional model.

    Its input is `image`, float32 or uint8 `[batch, height, width, 1]`, 0..255, ink white on black, scaled to 0..1 in
    the graph; its output is `logits`, float32 `[batch, classes]`.

    Args:
        name: of a registered model.
        image_size: height and width in pixels, or one number for both.
        classes: how many.
        seed: of the initial weights and of dropout; equal seeds give equal models.
        precision: of the layers' arithmetic: float32, bfloat16 or float16 (weights and logits stay float32).
        architecture: choices within the family; None is the network as published.

    Raises:
        UserError: an unknown name, a choice that the family does not have, fewer than two classes, an image smaller
            than 8 pixels or of no size, or a model of one's own that returns something other than logits.
    """
    entry = _entry_of(name)
    _require_choices(name, entry.choices, architecture)
    if classes < 2:
        raise UserError(f"A recognizer needs at least 2 classes; the data set has {classes}.")
    height, width = _sides_of(image_size)
    import keras

    from kuzushiji_tf.models.building import Seeds, policy_of

    build = entry.builder
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy_of(precision))
    try:
        image = keras.Input((height, width, 1), name="image")
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(image)
        logits = build(scaled, classes, Seeds(seed), architecture or Architecture())
        _require_logits(name, logits, classes)
        return keras.Model(image, logits, name=name)
    finally:
        keras.config.set_dtype_policy(before)


def efficientnet(variant: str, classes: int, image_size: int | None = None, seed: int = 0) -> "keras.Model":
    """Return a new EfficientNet, as `build_model("efficientnet_b0", ...)` builds it.

    Args:
        variant: `b0` to `b7`.
        classes: how many.
        image_size: pixels of the square image; None is the size that the variant was published for.
        seed: as `build_model`.

    Raises:
        UserError: another variant, fewer than two classes, or an image that is too small.
    """
    from kuzushiji_tf.models.efficientnet import efficientnet_input_size

    published_size = efficientnet_input_size(variant)
    size = published_size if image_size is None else image_size
    return build_model(f"efficientnet_{variant}", size, classes, seed)


def _entry_of(name: str, others: tuple[str, ...] = ()) -> ModelEntry:
    """Return a registered model's entry; `others` are further names to suggest."""
    plugins = plugins_of(ENTRY_POINTS)
    if name in _ENTRIES and name not in plugins:
        return _ENTRIES[name]
    if name not in plugins:
        raise unknown_name("model", name, (*_ENTRIES, *plugins, *others))
    if name in _ENTRIES:
        raise UserError(
            f"An installed package offers a model named {name!r}, a name that is taken: uninstall that package, or "
            f"rename its entry point of the group {ENTRY_POINTS}."
        )
    found = load_plugin(plugins[name])
    if not isinstance(found, ModelEntry) and not callable(found):
        raise UserError(
            f"The entry point {name!r} of the group {ENTRY_POINTS} names neither a function nor a ModelEntry."
        )
    return found if isinstance(found, ModelEntry) else ModelEntry(found)


def _require_choices(name: str, choices: tuple[str, ...], architecture: Architecture | None) -> None:
    for choice in fields(Architecture):
        value = getattr(architecture, choice.name, choice.default)
        if value != choice.default and choice.name not in choices:
            names = ", ".join(choices) or "none"
            raise UserError(
                f"architecture.{choice.name} is {value}, but {name} does not have this choice; it has: {names}."
            )


def _sides_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, Integral) else image_size
    if not isinstance(sides, tuple | list) or [isinstance(side, Integral) for side in sides] != [True, True]:
        raise UserError(f"image_size is {image_size!r}; it must be a whole number of pixels, or two: (height, width).")
    height, width = sides
    if min(height, width) < SMALLEST_SIZE:
        raise UserError(f"Images of {height} x {width} pixels are too small: use at least 8 x 8.")
    return height, width


def _require_logits(name: str, logits: Any, classes: int) -> None:
    import keras

    is_tensor = isinstance(logits, keras.KerasTensor)
    if not is_tensor or (logits.shape, logits.dtype) != ((None, classes), "float32"):
        found = f"{logits.dtype} {list(logits.shape)}" if is_tensor else f"a {type(logits).__name__}"
        raise UserError(
            f"The model {name!r} returns {found}; it must return logits, float32 [None, {classes}], as a Dense "
            "layer with dtype='float32' does."
        )
