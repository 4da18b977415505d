"""Which models there are, and how one is built."""

from collections.abc import Callable

import keras

from kuzushiji_tf.config import SMALLEST_SIZE
from kuzushiji_tf.errors import UserError, unknown_name
from kuzushiji_tf.models.building import Seeds
from kuzushiji_tf.models.preact_resnet import preact_resnet12, preact_resnet20
from kuzushiji_tf.models.simple_cnn import simple_cnn

_BUILDERS: dict[str, Callable[[keras.KerasTensor, int, Seeds], keras.KerasTensor]] = {
    "preact_resnet12": preact_resnet12,
    "preact_resnet20": preact_resnet20,
    "simple_cnn": simple_cnn,
}


def model_names() -> list[str]:
    """Return the registered names, sorted."""
    return sorted(_BUILDERS)


def require_model(name: str) -> None:
    """Refuse a name that is not registered.

    Raises:
        UserError: with the nearest registered name.
    """
    if name not in _BUILDERS:
        raise unknown_name("model", name, _BUILDERS)


def build_model(
    name: str, image_size: tuple[int, int], classes: int, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """Return a new functional model.

    Its input is `image`, float32 or uint8 `[batch, height, width, 1]`, 0..255, ink white on black, scaled to 0..1 in
    the graph; its output is `logits`, float32 `[batch, classes]`.

    Args:
        seed: of the initial weights and of dropout; equal seeds give equal models.
        precision: of the layers' arithmetic: float32, bfloat16 or float16 (weights and logits stay float32).

    Raises:
        UserError: an unknown name, fewer than two classes, or an image smaller than 8 pixels.
    """
    require_model(name)
    if classes < 2:
        raise UserError(f"A recogniser needs at least 2 classes; the data set has {classes}.")
    if min(image_size) < SMALLEST_SIZE:
        raise UserError(f"Images of {image_size[0]} x {image_size[1]} pixels are too small: use at least 8 x 8.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        image = keras.Input((*image_size, 1), name="image")
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(image)
        logits = _BUILDERS[name](scaled, classes, Seeds(seed))
        return keras.Model(image, logits, name=name)
    finally:
        keras.config.set_dtype_policy(before)
