"""Keras models of a few thousand parameters, and work directories as a finished run leaves them."""

from pathlib import Path

import numpy as np

from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.files import write_json
from kuzushiji_tf.workdirs import WorkDirectory
from tests.making import CHARACTERS

SIZE = 12


def tiny_model(classes: int, size: int = SIZE, seed: int = 0, **last):
    """Return an untrained Keras model of a few hundred parameters, logits out; `last` goes to its last layer."""
    import keras

    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(16, 5, strides=2, activation="relu")(x)
    x = keras.layers.BatchNormalization(momentum=0.8)(x)
    x = keras.layers.Conv2D(16, 3, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(classes, name="logits", **last)(x), name="tiny")


def trained(dataset: CharacterDataset, epochs: int):
    """Return a tiny model that has learned a data set."""
    import keras

    model = tiny_model(len(dataset.classes), dataset.image_size[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss)
    model.fit(dataset.images[..., None].astype(np.float32), dataset.labels, batch_size=32, epochs=epochs, verbose=0)
    return model


def bars_dataset(count: int, seed: int = 0) -> CharacterDataset:
    """Return ten easy classes, white bars on black with a black margin, each image with a brightness of its own."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 2, (len(CHARACTERS), 4, 4))
    patterns[:, 0, 0] = 1
    labels = random.integers(0, len(CHARACTERS), count).astype(np.int32)
    bars = np.repeat(np.repeat(patterns[labels], 2, axis=1), 2, axis=2) * random.integers(150, 256, (count, 1, 1))
    images = np.pad(bars, [(0, 0), (2, 2), (2, 2)]).astype(np.uint8)
    return CharacterDataset("kmnist", "train", images, labels, CHARACTERS, "a licence", "a credit")


def write_run(path: Path, model, dataset: CharacterDataset, **settings) -> WorkDirectory:
    """Write a work directory as a finished training run leaves it."""
    workdir = WorkDirectory(path)
    config = TrainingConfig(dataset=dataset.name, **settings).to_dict()
    data = {"name": dataset.name, "images": len(dataset), "licence": dataset.licence, "credit": dataset.credit}
    data |= {"ink": dataset.ink, "normalization": dataset.normalization}
    write_json(workdir.config_file, {"config": config, "versions": {"keras": "3"}, "data": data, "result": {}})
    dataset.classes.write(workdir.labels_file)
    model.save(workdir.final)
    return workdir
