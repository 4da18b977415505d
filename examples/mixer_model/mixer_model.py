"""A model of one's own: an MLP-Mixer (Tolstikhin et al. 2021) of two blocks over patches of 4 x 4 pixels.

For one program, register the builder and go on; this file does so when it is run. It trains on five drawn hiragana,
scores and exports, all in about half a minute:

    python examples/mixer_model/mixer_model.py

For every program, install the package; its pyproject.toml names the builder as an entry point:

    pip install ./examples/mixer_model
    python train.py --model mixer
"""

import sys
from pathlib import Path

import keras
from keras import layers

import kuzushiji_tf as kt

PATCH = 4  # pixels
WIDTH = 64


def mixer_logits(
    image: keras.KerasTensor, classes: int, seeds: kt.Seeds, architecture: kt.Architecture
) -> keras.KerasTensor:
    """Return logits `[batch, classes]` of images 0..1 `[batch, h, w, 1]`."""
    width = round(WIDTH * architecture.width)
    x = layers.Conv2D(width, PATCH, strides=PATCH, kernel_initializer=seeds.glorot_uniform())(image)
    patches = x.shape[1] * x.shape[2]
    x = layers.Reshape((patches, width))(x)
    for _ in range(2):
        mixed = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Permute((2, 1))(_perceptron(mixed, patches, seeds))])
        x = layers.Add()([x, _perceptron(layers.LayerNormalization()(x), width, seeds)])
    features = layers.GlobalAveragePooling1D()(x)
    return layers.Dense(classes, kernel_initializer=seeds.glorot_uniform(), dtype="float32")(features)


def _perceptron(x: keras.KerasTensor, units: int, seeds: kt.Seeds) -> keras.KerasTensor:
    hidden = layers.Dense(2 * units, activation="gelu", kernel_initializer=seeds.glorot_uniform())(x)
    return layers.Dense(units, kernel_initializer=seeds.glorot_uniform())(hidden)


CHOICES = ("width",)  # of kt.Architecture, which this builder looks at
MIXER = kt.ModelEntry(mixer_logits, CHOICES)  # what pyproject.toml names


def main(folder: Path) -> None:
    """Register the model, then train, score and export a recognizer in a folder."""
    kt.register_model("mixer", mixer_logits, CHOICES)
    config = kt.TrainingConfig(
        classes="あいうえお",
        per_class=100,
        model="mixer",
        epochs=12,
        batch_size=32,
        optimizer="adamw",
        learning_rate=3e-3,
    )
    run = kt.train(config, folder)
    print(f"accuracy on drawn test images: {kt.evaluate(run.path)['accuracy']:.1%}")
    print("\n".join(kt.export(run)["files"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/mixer"))
