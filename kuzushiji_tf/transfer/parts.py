"""The parts of a chain in a work directory: Keras models with named inputs and outputs."""

import keras
import numpy as np
import tensorflow as tf

from kuzushiji_tf.models.loading import open_keras
from kuzushiji_tf.transfer import vae  # noqa: F401  registers the layers that the encoders' files name
from kuzushiji_tf.transfer.sketch import build_start, build_step
from kuzushiji_tf.transfer.workdirs import ChainFolder
from kuzushiji_tf.transfer.writing import Network

BATCH = 256  # rows that Keras computes together
ADVICE = "train its stage again"  # where a file cannot be loaded


def named_models(folder: ChainFolder) -> dict[str, keras.Model]:
    """Return each of `chain.PARTS` as a Keras model that takes and returns dicts, from the weights of a work directory.

    Raises:
        UserError: a file cannot be loaded.
    """
    models = {}
    for side in ("old", "new"):
        encoder, decoder = (open_keras(file, ADVICE) for file in folder.stage(f"vae-{side}").weights)
        models[f"encoder_{side}"] = _named(encoder, "image", "posterior")
        models[f"decoder_{side}"] = _named(decoder, "z", "ink")
    models["mdn"] = _named(open_keras(folder.stage("mdn").weights[0], ADVICE), "z", "parameters")
    sketch = open_keras(folder.stage("sketch").weights[0], ADVICE)
    return models | {"sketch_start": build_start(sketch), "sketch_step": build_step(sketch)}


def in_batches(model: keras.Model) -> Network:
    """Return a Keras model as a function of NumPy arrays that computes `BATCH` rows at a time."""
    # Of any number of rows: each that `predict_on_batch` has not met yet would be compiled anew. Compiled here, since
    # TensorFlow takes calls that compile one part after the other for one function compiled again and again, and warns.
    given = {name: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for name, tensor in model.input.items()}
    compute = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(given)

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(next(iter(inputs.values())))
        parts = [
            compute({name: value[start : start + BATCH] for name, value in inputs.items()})
            for start in range(0, max(count, 1), BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return run


def _named(model: keras.Model, given: str, returned: str) -> keras.Model:
    return keras.Model({given: model.inputs[0]}, {returned: model.outputs[0]}, name=model.name)
