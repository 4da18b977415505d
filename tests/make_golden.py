"""Makes the tiny files of tests/golden: one of each family, with what they predict. Run: python -m tests.make_golden.

Make a family's files anew only if files of earlier versions need not load any more.
"""

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.exporting.conversion import write_float32
from kuzushiji_tf.files import atomic_path, write_json
from kuzushiji_tf.models import build_model
from kuzushiji_tf.models.loading import with_probabilities

GOLDEN = Path(__file__).parent / "golden"
CLASSES = 4
# Family -> model, pixels, architecture.
FAMILIES = {
    "capsnet": ("capsnet", 12, Architecture(width=1 / 32)),
    "efficientnet": ("efficientnet_b0", 12, Architecture()),
    "preact_resnet": ("preact_resnet20", 12, Architecture(width=1 / 8, depth=1 / 3)),
    "resnet": ("resnet18", 12, Architecture(width=1 / 32)),
    "simple_cnn": ("simple_cnn", 8, Architecture()),
    "small_cnn": ("small_cnn", 16, Architecture(width=1 / 8, head_rank=8)),
    "vgg": ("vgg", 16, Architecture(width=1 / 32)),
}


def golden_images(size: int) -> np.ndarray:
    """Return a ramp, a square and a texture, uint8 `[3, size, size]`, without any generator of random numbers."""
    places = np.arange(size * size).reshape(size, size)
    square = np.zeros((size, size), np.uint8)
    square[: size // 2, size // 4 : size // 2] = 255
    return np.stack([(places * 255 // places.max()).astype(np.uint8), square, (places * 37 % 256).astype(np.uint8)])


def main() -> None:
    """Write the files of the families named on the command line, or of all."""
    expected_file = GOLDEN / "expected.json"
    expected = json.loads(expected_file.read_text()) if expected_file.exists() else {}
    for family in sys.argv[1:] or FAMILIES:
        name, size, architecture = FAMILIES[family]
        model = _with_other_weights(_small(build_model(name, (size, size), CLASSES, architecture=architecture)))
        with atomic_path(GOLDEN / f"{family}.keras") as path:
            model.save(path)
            _compress(path)
        recognizer = with_probabilities(model)
        with atomic_path(GOLDEN / f"{family}.tflite") as path:
            write_float32(recognizer, path)
        probabilities = np.asarray(recognizer(golden_images(size)[..., None].astype(np.float32)))
        expected[family] = {"size": size, "probabilities": np.round(probabilities, 6).tolist()}
    write_json(expected_file, dict(sorted(expected.items())))


def _small(model: keras.Model) -> keras.Model:
    """Return the model, or of EfficientNet-B0 (16 MB) what comes before its third stage, with a classifier."""
    if not model.name.startswith("efficientnet"):
        return model
    features = keras.layers.GlobalAveragePooling2D()(model.get_layer("mixable_2").output)
    return keras.Model(model.inputs, keras.layers.Dense(CLASSES, name="logits")(features), name=model.name)


def _with_other_weights(model: keras.Model) -> keras.Model:
    """Change biases and batch normalizations, so that none of them is the identity."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Normalization):  # which reads its numbers when it is loaded only
            for weight in layer.weights:
                if len(weight.shape) == 1:
                    weight.assign(np.asarray(weight) + 0.3 * random.random(weight.shape))
    return model


def _compress(path: Path) -> None:
    """Deflate the files of a `.keras` archive, which Keras stores as they are: most of a tiny HDF5 file is zeros."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    main()
