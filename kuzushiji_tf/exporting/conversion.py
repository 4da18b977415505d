"""A Keras model -> the files that phones, pages and servers run: SavedModel and `.tflite`.

A `.tflite` file's only signature, `serving_default`, has the names of a model's inputs and outputs where the model
returns a dict; that of any other model, which is a recognizer, maps `image` to `probabilities`.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.normalization import GRAY_WEIGHTS, fit_image
from kuzushiji_tf.models.loading import PROBABILITIES
from kuzushiji_tf.runtime import native_notes_hidden


def write_saved_model(model: keras.Model, folder: Path, box: bool) -> None:
    """Write a SavedModel that takes white ink on black, 0..255, of any image size.

    Its signatures: `serving_default` takes float32 `[batch, h, w, 1 or 3]` and `serving_uint8` the same in uint8;
    `single` and `single_uint8` take one gray image `[h, w]`; `normalized` takes float32 `[batch, size, size, 1]` that
    is normalized already, like the `.tflite` files. Each returns `probabilities` `[batch, classes]`.

    Args:
        model: a model that ends in a softmax, with a fixed square image size.
        folder: is created.
        box: whether images are normalized by the box around their ink; see `normalization.fit_image`.
    """
    size = model.inputs[0].shape[1]

    def recognize(image: tf.Tensor) -> dict[str, tf.Tensor]:
        gray = _to_gray(tf.cast(image, tf.float32))
        return {PROBABILITIES: model(fit_image(gray, size, box, ops=keras.ops)[..., None], training=False)}

    def recognize_single(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return recognize(image[None, ..., None])

    def recognize_normalized(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: model(image, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, function, shape, dtype in (
        ("serving_default", recognize, [None] * 4, tf.float32),
        ("serving_uint8", recognize, [None] * 4, tf.uint8),
        ("single", recognize_single, [None] * 2, tf.float32),
        ("single_uint8", recognize_single, [None] * 2, tf.uint8),
        ("normalized", recognize_normalized, [None, size, size, 1], tf.float32),
    ):
        archive.add_endpoint(name, function, [tf.TensorSpec(shape, dtype, name="image")])
    with native_notes_hidden():
        archive.write_out(folder, verbose=False)


def write_float32(model: keras.Model, path: Path) -> None:
    """Write a `.tflite` file with float32 weights, for a batch of one: a recognizer's image is 0..255."""
    with _converter(model) as converter:
        path.write_bytes(converter.convert())


def write_float16(model: keras.Model, path: Path) -> None:
    """Write a `.tflite` file with float16 weights; it computes in float32 where the device has nothing faster."""
    _write_compressed(model, path, [tf.float16])


def write_int8(model: keras.Model, path: Path, representative_images: np.ndarray) -> None:
    """Write a `.tflite` file with int8 weights and activations, float32 at its border.

    The softmax, and what follows it, stays float32: an int8 one can say nothing below 1/256, which ties the lower ranks
    of a recognizer with many classes and cost 0.8 nats of log-likelihood in a trial on Kuzushiji-MNIST.

    Args:
        representative_images: uint8 `[n, h, w]` of the training split, to find the range of each activation.
    """
    images = representative_images.astype(np.float32)
    with _converter(model) as converter:
        after_softmax = _after_softmax(converter.convert())
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([image[None, ..., None]] for image in images)
        # The debugger is TensorFlow's public way to leave an operator out of the quantization.
        options = tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=["SOFTMAX"], denylisted_nodes=after_softmax
        )
        debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_options=options)
        path.write_bytes(debugger.get_nondebug_quantized_model())


def write_int8_weights(model: keras.Model, path: Path) -> None:
    """Write a `.tflite` file with int8 weights that computes in float32: for networks whose activations need it.

    It is as small as that of `write_int8`.
    """
    _write_compressed(model, path, [])


def write_dynamic(model: keras.Model, path: Path, box: bool) -> None:
    """Write a float32 `.tflite` file for one gray image `[1, h, w, 1]` of any size: resize its input tensor first.

    The normalization is part of its graph, as in the SavedModel.
    """
    size = model.inputs[0].shape[1]

    def recognize(image: tf.Tensor) -> dict[str, tf.Tensor]:
        fitted = fit_image(image[..., 0], size, box, ops=keras.ops)[..., None]
        return {PROBABILITIES: model(fitted, training=False)}

    with _converter(model, recognize, tf.TensorSpec([1, None, None, 1], tf.float32, name="image")) as converter:
        path.write_bytes(converter.convert())


def builtin_operators(path: Path) -> list[str]:
    """Return the names of a `.tflite` file's operators, in the order of execution.

    Raises:
        UserError: one of them is a Flex (TensorFlow) or custom operator, which LiteRT alone cannot run.
    """
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    # Codes from 127 on do not fit the older, narrower field.
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    for code in model.operatorCodes:
        if code.customCode:
            raise UserError(
                f"{path.name} needs the operator {code.customCode.decode()}, which LiteRT alone cannot run."
            )
    return [names[codes[operator.opcodeIndex]] for graph in model.subgraphs for operator in graph.operators]


def _after_softmax(content: bytes) -> list[str]:
    """Return the tensors of a `.tflite` file that are made of the results of its softmaxes; none where it has none."""
    model = schema.ModelT.InitFromPackedBuf(content)
    graph = model.subgraphs[0]
    made_by = {output: operator for operator in graph.operators for output in operator.outputs}
    names, has_softmax, pending = [], False, list(graph.outputs)
    while pending:
        operator = made_by.get(pending.pop())
        if operator is None:
            continue
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.SOFTMAX:
            has_softmax = True
            continue
        names += [graph.tensors[output].name.decode() for output in operator.outputs]
        pending += operator.inputs.tolist()
    return names if has_softmax else []


def _write_compressed(model: keras.Model, path: Path, weight_types: list[tf.DType]) -> None:
    """Write a `.tflite` file with weights of one of these types, of int8 where none is given."""
    with _converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = weight_types
        path.write_bytes(converter.convert())


@contextmanager
def _converter(
    model: keras.Model, function: Callable[..., dict[str, tf.Tensor]] | None = None, spec: Any = None
) -> Iterator[tf.lite.TFLiteConverter]:
    """Yield a converter for a model, or for a function around it that takes `spec`; it refuses Flex operators.

    The model's own input shapes are fixed wholly, batch included: LiteRT.js runs no other files.
    """
    if function is None:
        function, spec = _served(model)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", function, [spec])
    with tempfile.TemporaryDirectory() as folder, native_notes_hidden(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the quantization debugger warns about the interpreter that it uses itself
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        yield converter


def _served(model: keras.Model) -> tuple[Callable[..., dict[str, tf.Tensor]], Any]:
    """Return what a file's signature computes and takes, under the names that the module's first lines say."""
    if isinstance(model.output, dict):
        specs = {
            name: tf.TensorSpec([1, *tensor.shape[1:]], tf.float32, name=name) for name, tensor in model.input.items()
        }
        return lambda inputs: model(inputs, training=False), specs
    spec = tf.TensorSpec([1, *model.inputs[0].shape[1:]], tf.float32, name="image")
    return lambda image: {PROBABILITIES: model(image, training=False)}, spec


def _to_gray(images: tf.Tensor) -> tf.Tensor:
    """Return `[batch, h, w]` of gray or RGB images `[batch, h, w, 1 or 3]`."""
    gray, weights = images[..., 0], tf.constant(GRAY_WEIGHTS)
    return tf.cond(tf.shape(images)[-1] == 1, lambda: gray, lambda: tf.tensordot(images, weights, axes=1))
