"""How much a recognizer computes: multiply-accumulate operations of one image, from the shapes in its graph."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers


def multiply_accumulates(model: keras.Model) -> int:
    """Return the multiply-accumulate operations that a functional model takes for one image.

    Convolutions, dense layers and matrix products count, wherever the graph uses them; what goes through the numbers
    once (normalization, activations, pooling, sums) does not, as is the custom in published tables.

    Raises:
        ValueError: the model has no graph, its input size is open, or it multiplies in a way that is not known here.
    """
    # A Sequential model wraps a functional one; the nodes are the uses of layers that belong to this very graph.
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(f"{model.name} is no functional model: it has no graph in which operations could be counted.")
    nodes = itertools.chain.from_iterable(graph._nodes_by_depth.values())
    return sum(_of_node(node) for node in nodes if not node.is_input)


def _of_node(node: Any) -> int:
    operation = node.operation
    if isinstance(operation, keras.Model):
        return multiply_accumulates(operation)
    inputs = [tuple(tensor.shape) for tensor in node.arguments.keras_tensors]
    for kinds, count in _COUNTS.items():
        if isinstance(operation, kinds):
            return count(operation, inputs[0], tuple(node.outputs[0].shape))
    kind = type(operation).__name__
    if kind == "Matmul":
        return _product(operation, node)
    weights = operation.weights if isinstance(operation, layers.Layer) else []
    if kind in _OTHER_PRODUCTS or any(len(weight.shape) > 1 for weight in weights):
        raise ValueError(f"The operations of {operation.name}, a {kind}, cannot be counted; teach {__name__} to.")
    return 0


def _size(shape: Sequence[int | None]) -> int:
    """Return the numbers in a shape without its batch dimension."""
    if None in shape:
        raise ValueError("The model takes images of any size: operations can be counted for a fixed one only.")
    return math.prod(shape)


def _places(shape: tuple[int | None, ...], layer: layers.Layer) -> int:
    return _size(shape[1:-1] if layer.data_format == "channels_last" else shape[2:])


def _convolution(layer: layers.Layer, taken: tuple, made: tuple) -> int:
    return _places(made, layer) * _size(layer.kernel.shape)


def _separable(layer: layers.Layer, taken: tuple, made: tuple) -> int:
    return _places(made, layer) * (_size(layer.depthwise_kernel.shape) + _size(layer.pointwise_kernel.shape))


def _transposed(layer: layers.Layer, taken: tuple, made: tuple) -> int:
    return _places(taken, layer) * _size(layer.kernel.shape)


def _dense(layer: layers.Layer, taken: tuple, made: tuple) -> int:
    return _size(taken[1:]) * layer.kernel.shape[-1]


def _einsum_dense(layer: layers.Layer, taken: tuple, made: tuple) -> int:
    """Each number that comes out is a sum over those letters of the kernel that it does not have itself."""
    kernel, output = layer.equation.split(",")[1].split("->")
    summed = [size for letter, size in zip(kernel, layer.kernel.shape, strict=True) if letter not in output]
    return _size(made[1:]) * _size(summed)


def _product(operation: Any, node: Any) -> int:
    """Return the operations of `ops.matmul`; an open batch dimension, where there is one, is one image."""
    made = tuple(node.outputs[0].shape)
    return _size((1, *made[1:]) if made[0] is None else made) * _size(node.arguments.args[0].shape[-1:])


_COUNTS: dict[Any, Callable[[layers.Layer, tuple, tuple], int]] = {
    layers.SeparableConv2D: _separable,
    layers.Conv2DTranspose: _transposed,
    (layers.Conv2D, layers.DepthwiseConv2D): _convolution,
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
}
_OTHER_PRODUCTS = ("Conv", "DepthwiseConv", "Dot", "Einsum", "Inner", "Outer", "SeparableConv", "Tensordot", "Vdot")
