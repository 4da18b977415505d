"""How much a recognizer computes and holds: operations and numbers of one image, from the shapes in its graph."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
        raise ValueError(
            f"{model.name} is not a functional model: it has no graph in which operations could be counted."
        )
    nodes = itertools.chain.from_iterable(graph._nodes_by_depth.values())
    return sum(_of_node(node) for node in nodes if not node.is_input)


def layer_outputs(model: keras.Model) -> int:
    """Return how many numbers the layers of a functional model return for one image, all together."""
    outputs = [tensor for layer in model.layers for tensor in keras.tree.flatten(layer.output)]
    return sum(_size(tensor.shape[1:]) for tensor in outputs)


@dataclass(frozen=True)
class _Use:
    """One use of a layer in a graph: what it takes and makes there, shapes with a batch dimension."""

    layer: Any
    taken: tuple[int | None, ...]
    made: tuple[int | None, ...]

    def pixels(self, shape: tuple[int | None, ...]) -> int:
        """Return how many there are in the shape of a feature map."""
        return _size(shape[1:-1] if self.layer.data_format == "channels_last" else shape[2:])


def _of_node(node: Any) -> int:
    operation = node.operation
    if isinstance(operation, keras.Model):
        return multiply_accumulates(operation)
    inputs = [tuple(tensor.shape) for tensor in node.arguments.keras_tensors]
    for kinds, count in _COUNTS.items():
        if isinstance(operation, kinds):
            return count(_Use(operation, inputs[0], tuple(node.outputs[0].shape)))
    kind = type(operation).__name__
    if kind == "Matmul":
        return _product(node)
    weights = operation.weights if isinstance(operation, layers.Layer) else []
    if kind in _OTHER_PRODUCTS or any(len(weight.shape) > 1 for weight in weights):
        raise ValueError(f"The operations of {operation.name}, a {kind}, cannot be counted; teach {__name__} to.")
    return 0


def _size(shape: Sequence[int | None]) -> int:
    """Return the numbers in a shape without its batch dimension."""
    if None in shape:
        raise ValueError("The model takes images of any size: operations can be counted for a fixed one only.")
    return math.prod(side for side in shape if side is not None)


def _convolution(use: _Use) -> int:
    return use.pixels(use.made) * _size(use.layer.kernel.shape)


def _separable(use: _Use) -> int:
    kernels = _size(use.layer.depthwise_kernel.shape) + _size(use.layer.pointwise_kernel.shape)
    return use.pixels(use.made) * kernels


def _transposed(use: _Use) -> int:
    return use.pixels(use.taken) * _size(use.layer.kernel.shape)


def _dense(use: _Use) -> int:
    return _size(use.taken[1:]) * int(use.layer.kernel.shape[-1])


def _einsum_dense(use: _Use) -> int:
    """Each number that comes out is a sum over those letters of the kernel that it does not have itself."""
    kernel, output = use.layer.equation.split(",")[1].split("->")
    sizes = zip(kernel, use.layer.kernel.shape, strict=True)
    return _size(use.made[1:]) * _size([size for letter, size in sizes if letter not in output])


def _product(node: Any) -> int:
    """Return the operations of `ops.matmul`; an open batch dimension, where there is one, is one image."""
    made = tuple(node.outputs[0].shape)
    return _size((1, *made[1:]) if made[0] is None else made) * _size(node.arguments.args[0].shape[-1:])


_COUNTS: dict[Any, Callable[[_Use], int]] = {
    layers.SeparableConv2D: _separable,
    layers.Conv2DTranspose: _transposed,
    (layers.Conv2D, layers.DepthwiseConv2D): _convolution,
    layers.Dense: _dense,
    layers.EinsumDense: _einsum_dense,
}
_OTHER_PRODUCTS = ("Conv", "DepthwiseConv", "Dot", "Einsum", "Inner", "Outer", "SeparableConv", "Tensordot", "Vdot")
