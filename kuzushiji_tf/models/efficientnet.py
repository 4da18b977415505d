"""EfficientNet B0 to B7 (Tan and Le 2019), built by `keras.applications` and fitted to small gray images."""

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.errors import unknown_name
from kuzushiji_tf.models.building import MIXABLE, Seeds, classify

# Variant -> pixels of the published input, and dropout before the classifier.
_VARIANTS = {
    "b0": (224, 0.2),
    "b1": (240, 0.2),
    "b2": (260, 0.3),
    "b3": (300, 0.3),
    "b4": (380, 0.4),
    "b5": (456, 0.4),
    "b6": (528, 0.5),
    "b7": (600, 0.5),
}
_STAGES = 7
_LARGEST_FOR_STRIDE_1 = 64  # pixels; with stride 2 the last stages of a smaller image would see one or two pixels
_PUBLISHED_SKIP = 0.2  # `keras.applications` builds its networks with this chance to skip the last block


def efficientnet_input_size(variant: str) -> int:
    """Return the pixels of the square image that a variant was published for.

    Args:
        variant: `b0` to `b7`.

    Raises:
        UserError: another variant.
    """
    return _of_variant(variant)[0]


def _logits(
    variant: str, image: keras.KerasTensor, classes: int, seeds: Seeds, architecture: Architecture
) -> keras.KerasTensor:
    """Return the logits of a variant.

    The first convolution has stride 1 for images of at most 64 pixels, else 2 as published. Blocks are skipped at
    random only if `architecture.stochastic_depth` says so; the published chance is 0.2.
    """
    stride = architecture.stem_stride or (1 if max(image.shape[1:3]) <= _LARGEST_FOR_STRIDE_1 else 2)
    x = _features(variant, image, stride, seeds, architecture.stochastic_depth)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(_of_variant(variant)[1], seed=seeds.draw(), name="top_dropout")(x)
    return classify(x, classes, seeds, architecture)


def _features(variant: str, image: keras.KerasTensor, stride: int, seeds: Seeds, skip: float) -> keras.KerasTensor:
    """Return the last feature map: Keras's network layer by layer, each with a seed of its own.

    Keras builds only networks with a first stride of 2 whose layers draw their own seeds. So it builds one for an
    image that this stride halves to the same size, and its layers' configs say what to build here.
    """
    height, width = (2 // stride * side for side in image.shape[1:3])
    published = getattr(keras.applications, f"EfficientNet{variant.upper()}")(
        include_top=False, weights=None, input_tensor=keras.Input((height, width, image.shape[-1]))
    )
    names = _mixable_names(published)
    made = {id(published.inputs[0]): image}
    for layer in published.layers[1:]:
        inputs = [made[id(tensor)] for tensor in _listed(layer.input)]
        inputs = inputs if isinstance(layer.input, list) else inputs[0]
        made[id(layer.output)] = _made_again(layer, names.get(layer.name, layer.name), stride, seeds, skip)(inputs)
    return made[id(published.outputs[0])]


def _made_again(
    layer: layers.Layer, name: str, stem_stride: int, seeds: Seeds, skip: float
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Return a new layer like the published one, or the identity for one that is not needed here."""
    config = layer.get_config() | {"name": name}
    # The image is in 0..1 already.
    if isinstance(layer, layers.Rescaling) or (isinstance(layer, layers.Dropout) and not skip):
        return _identity
    if isinstance(layer, layers.Dropout):
        config |= {"rate": layer.rate * skip / _PUBLISHED_SKIP, "seed": seeds.draw()}
    if name == "stem_conv_pad" and stem_stride == 1:
        config["padding"] = 1
    if name == "stem_conv":
        config["strides"] = stem_stride
    for key in ("kernel_initializer", "depthwise_initializer"):
        if config.get(key):
            config[key] = keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal", seed=seeds.draw())
    return type(layer).from_config(config)


def _mixable_names(published: keras.Model) -> dict[str, str]:
    """Return the new names of the last layer of each stage but the last, which all later layers depend on alone."""
    ends = {}
    for layer in published.layers:  # in the order of the graph, so that a stage's last layer comes last
        for stage in range(1, _STAGES):
            if layer.name.startswith(f"block{stage}"):
                ends[stage] = layer.name
    return {name: f"{MIXABLE}_{stage}" for stage, name in ends.items()}


def _identity(x: keras.KerasTensor) -> keras.KerasTensor:
    return x


def _listed(tensors: keras.KerasTensor | list[keras.KerasTensor]) -> list[keras.KerasTensor]:
    return tensors if isinstance(tensors, list) else [tensors]


def _of_variant(variant: str) -> tuple[int, float]:
    if variant not in _VARIANTS:
        raise unknown_name("EfficientNet", variant, _VARIANTS)
    return _VARIANTS[variant]


efficientnet_b0 = partial(_logits, "b0")
efficientnet_b1 = partial(_logits, "b1")
efficientnet_b2 = partial(_logits, "b2")
efficientnet_b3 = partial(_logits, "b3")
efficientnet_b4 = partial(_logits, "b4")
efficientnet_b5 = partial(_logits, "b5")
efficientnet_b6 = partial(_logits, "b6")
efficientnet_b7 = partial(_logits, "b7")
