"""Which models there are, and how one is built."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import keras

from kuzushiji_tf.config import SMALLEST_SIZE, Architecture
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.models.building import Seeds, policy_of
from kuzushiji_tf.models.capsnet import capsnet
from kuzushiji_tf.models.efficientnet import EFFICIENTNETS, efficientnet_input_size
from kuzushiji_tf.models.preact_resnet import preact_resnet12, preact_resnet18, preact_resnet20
from kuzushiji_tf.models.resnet import resnet18, resnet18_classic
from kuzushiji_tf.models.simple_cnn import simple_cnn
from kuzushiji_tf.models.small_cnn import small_cnn
from kuzushiji_tf.models.vgg import vgg, vgg_etl


@dataclass(frozen=True)
class _Entry:
    """A registered model: from (image 0..1, classes, seeds, architecture) to logits, and the knobs that it has."""

    build: Callable[[keras.KerasTensor, int, Seeds, Architecture], keras.KerasTensor]
    knobs: tuple[str, ...]


_RESIDUAL = ("width", "depth", "head_rank", "stochastic_depth", "stem_stride")
_ENTRIES: dict[str, _Entry] = {
    "capsnet": _Entry(capsnet, ("width", "reconstruction")),
    "preact_resnet12": _Entry(preact_resnet12, _RESIDUAL),
    "preact_resnet18": _Entry(preact_resnet18, _RESIDUAL),
    "preact_resnet20": _Entry(preact_resnet20, _RESIDUAL),
    "resnet18": _Entry(resnet18, _RESIDUAL),
    "resnet18_classic": _Entry(resnet18_classic, _RESIDUAL),
    "simple_cnn": _Entry(simple_cnn, ("head_rank",)),
    "small_cnn": _Entry(small_cnn, ("width", "depth", "head_rank", "stem_stride")),
    "vgg": _Entry(vgg, ("width", "head_rank")),
    "vgg_etl": _Entry(vgg_etl, ("width", "head_rank")),
} | {name: _Entry(build, ("head_rank", "stochastic_depth", "stem_stride")) for name, build in EFFICIENTNETS.items()}


def model_names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_ENTRIES)


def require_model(name: str, architecture: Architecture | None = None, others: tuple[str, ...] = ()) -> None:
    """Refuse a name that is not registered, or a choice that the model of this name does not have.

    Args:
        others: names of what is trained without being a network.

    Raises:
        UserError: with the nearest registered name, or the choices that there are.
    """
    if name not in (*_ENTRIES, *others):
        raise unknown_name("model", name, (*_ENTRIES, *others))
    known = () if name in others else _ENTRIES[name].knobs
    for knob in fields(Architecture):
        value = getattr(architecture, knob.name, knob.default)
        if value != knob.default and knob.name not in known:
            names = ", ".join(known) or "none"
            raise UserError(f"architecture.{knob.name} is {value}, but {name} has no such choice; it has: {names}.")


def build_model(
    name: str,
    image_size: tuple[int, int],
    classes: int,
    seed: int = 0,
    precision: str = "float32",
    architecture: Architecture | None = None,
) -> keras.Model:
    """Return a new functional model.

    Its input is `image`, float32 or uint8 `[batch, height, width, 1]`, 0..255, ink white on black, scaled to 0..1 in
    the graph; its output is `logits`, float32 `[batch, classes]`.

    Args:
        seed: of the initial weights and of dropout; equal seeds give equal models.
        precision: of the layers' arithmetic: float32, bfloat16 or float16 (weights and logits stay float32).
        architecture: choices within the family; None is the network as published.

    Raises:
        UserError: an unknown name, a choice that the family does not have, fewer than two classes, or an image smaller
            than 8 pixels.
    """
    require_model(name, architecture)
    if classes < 2:
        raise UserError(f"A recognizer needs at least 2 classes; the data set has {classes}.")
    if min(image_size) < SMALLEST_SIZE:
        raise UserError(f"Images of {image_size[0]} x {image_size[1]} pixels are too small: use at least 8 x 8.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy_of(precision))
    try:
        image = keras.Input((*image_size, 1), name="image")
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(image)
        logits = _ENTRIES[name].build(scaled, classes, Seeds(seed), architecture or Architecture())
        return keras.Model(image, logits, name=name)
    finally:
        keras.config.set_dtype_policy(before)


def efficientnet(variant: str, classes: int, image_size: int | None = None, seed: int = 0) -> keras.Model:
    """Return a new EfficientNet, as `build_model("efficientnet_b0", ...)` builds it.

    Args:
        variant: `b0` to `b7`.
        image_size: pixels of the square image; None is the size that the variant was published for.

    Raises:
        UserError: another variant, fewer than two classes, or an image that is too small.
    """
    published_size = efficientnet_input_size(variant)
    size = published_size if image_size is None else image_size
    return build_model(f"efficientnet_{variant}", (size, size), classes, seed)
