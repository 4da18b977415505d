"""A `.tflite` file in use, through LiteRT; TensorFlow is never imported here."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.runtime import native_notes_hidden


class LiteRTModel:
    """A `.tflite` file that maps one gray image to one row of class probabilities.

    Attributes:
        path: the file.
        image_size: height and width in pixels; None where the file takes images of any size.
        classes: length of a row.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable `.tflite` file, or it has other inputs or outputs.
    """

    def __init__(self, path: str | Path, num_threads: int = 1):
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"There is no file {path}.")
        self._interpreter = _open(self.path, num_threads)
        self._input = _only(self._interpreter.get_input_details(), "input", self.path)
        self._output = _only(self._interpreter.get_output_details(), "output", self.path)
        shape = tuple(map(int, self._input["shape_signature"]))
        output = tuple(map(int, self._output["shape"]))
        if len(shape) != 4 or shape[3] != 1 or len(output) != 2:
            raise UserError(
                f"{path} maps {list(shape)} to {list(output)}; "
                "a recognizer maps one gray image [1, h, w, 1] to [1, classes]."
            )
        self.image_size = None if -1 in shape[1:3] else shape[1:3]
        self.classes = output[1]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities `[n, classes]` of uint8 images `[n, h, w]`, one image after the other."""
        probabilities = np.empty((len(images), self.classes), np.float32)
        self._fit_to(images.shape[1:3])
        for row, image in enumerate(_to_tensor(images, self._input)):
            self._interpreter.set_tensor(self._input["index"], image[None])
            self._interpreter.invoke()
            output = self._interpreter.get_tensor(self._output["index"])
            probabilities[row] = _from_tensor(output[0], self._output)
        return probabilities

    def latency_ms(self, images: np.ndarray, repeats: int = 100) -> float:
        """Return the median milliseconds of one image, after ten runs to warm up; images are uint8 `[n, h, w]`."""
        durations = []
        for number in range(repeats + 10):
            row = number % len(images)
            start = time.perf_counter()
            self.predict(images[row : row + 1])
            durations.append(time.perf_counter() - start)
        return 1e3 * statistics.median(durations[10:])

    def _fit_to(self, image_size: tuple[int, int]) -> None:
        shape = [1, *image_size, 1]
        if self.image_size is None and self._input["shape"].tolist() != shape:
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]


class LiteRTFunction:
    """A `.tflite` file with named float32 inputs and outputs for a batch of one, run row by row.

    Attributes:
        path: the file.
        inputs: name -> shape of a row, e.g. `(64, 64, 1)`.
        outputs: the same of what it returns.

    Raises:
        MissingFileError: no such file.
        UserError: not a readable `.tflite` file, or its inputs and outputs have no names.
    """

    def __init__(self, path: str | Path, num_threads: int = 1):
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"There is no file {path}.")
        self._interpreter = _open(self.path, num_threads)
        try:
            signature = self._interpreter.get_signature_runner()
        except ValueError:
            raise UserError(f"{path} does not name its inputs and outputs; export it again.") from None
        # Its own call would allocate all tensors anew each time.
        self._inputs, self._outputs = signature.get_input_details(), signature.get_output_details()
        self.inputs, self.outputs = (
            {name: tuple(map(int, details["shape"][1:])) for name, details in of.items()}
            for of in (self._inputs, self._outputs)
        )

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return float32 arrays `[n, ...]` by their names, of arrays `[n, ...]` by theirs."""
        count = len(next(iter(inputs.values())))
        rows = {name: np.asarray(inputs[name], np.float32) for name in self._inputs}
        results = {name: np.empty((count, *shape), np.float32) for name, shape in self.outputs.items()}
        for row in range(count):
            for name, details in self._inputs.items():
                self._interpreter.set_tensor(details["index"], rows[name][row : row + 1])
            self._interpreter.invoke()
            for name, details in self._outputs.items():
                results[name][row] = self._interpreter.get_tensor(details["index"])[0]
        return results


def _open(path: Path, num_threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        # By content: a mapped file that is replaced while in use would end the process.
        with native_notes_hidden():
            interpreter = Interpreter(model_content=path.read_bytes(), num_threads=num_threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = reason_of(error)
        raise UserError(f"{path} is not a .tflite file that LiteRT can run ({reason}); export it again.") from None
    return interpreter


def _only(details: list[dict[str, Any]], kind: str, path: Path) -> dict[str, Any]:
    if len(details) != 1:
        raise UserError(f"{path} has {len(details)} {kind}s; a recognizer has one.")
    return details[0]


def _to_tensor(images: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Return the images as the input tensor holds them: integers stand for (value / scale) + zero point."""
    dtype = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if scale and np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        images = np.clip(np.rint(images / np.float32(scale)) + zero_point, limits.min, limits.max)
    return images[..., None].astype(dtype)


def _from_tensor(row: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    row = row.astype(np.float32)
    return (row - zero_point) * np.float32(scale) if scale else row
