"""Chains whose answers are known, or whose weights were never trained, over the few characters of `transfer_data`."""

from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.files import write_json
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.transfer import chain as chain_module
from kuzushiji_tf.transfer.chain import Chain, Settings
from kuzushiji_tf.transfer.config import PREDECESSORS, STAGES, TransferConfig
from kuzushiji_tf.transfer.gaussians import LOG_SCALE_BOUND
from kuzushiji_tf.transfer.modern import draw_modern, modern_strokes
from kuzushiji_tf.transfer.sequences import make_table
from kuzushiji_tf.transfer.workdirs import ChainFolder
from tests.transfer_data import KANJI, MODERN_ONLY, QUICK, use_small_data

CHARACTERS = Labels(tuple(sorted(KANJI + MODERN_ONLY)))


def use_few_characters(monkeypatch) -> None:
    """Let Kuzushiji-Kanji and KanjiVG be those of `transfer_data`, for the use of a chain too."""
    use_small_data(monkeypatch)
    monkeypatch.setattr(chain_module, "modern_characters", lambda: tuple(CHARACTERS))


def write_chain(path: Path, seed: int = 0, config: TransferConfig = QUICK) -> ChainFolder:
    """Write a work directory as a finished training leaves it; its weights are those that training begins with."""
    from kuzushiji_tf.transfer.mdn import build_mdn
    from kuzushiji_tf.transfer.sketch import build_decoder as build_sketch
    from kuzushiji_tf.transfer.vae import build_decoder, build_encoder

    folder = ChainFolder(path)
    path.mkdir(parents=True)
    folder.describe(config, {"keras": "3"})
    models = {
        stage: [build(config.vae.width, config.latent, seed + number) for build in (build_encoder, build_decoder)]
        for number, stage in enumerate(("vae-old", "vae-new"))
    }
    models["mdn"] = [build_mdn(config.mdn, config.latent, seed)]
    scale = 0.1
    sketch = build_sketch(config.sketch, config.latent, seed, scale)
    for weight in sketch.trainable_variables:
        weight.assign(3 * weight.numpy())  # so that a drawing depends on its latent vector
    models["sketch"] = [sketch]
    for name in STAGES:
        stage = folder.stage(name)
        stage.path.mkdir()
        for model, file in zip(models[name], stage.weights, strict=False):
            model.save(file)
        if name == "mdn":
            parameters = np.random.default_rng(seed).normal(size=(1, *models["mdn"][0].output.shape[1:]))
            np.save(stage.weights[1], parameters.astype(np.float32))
        description = {
            "stage": name,
            "settings": config.settings_of(name),
            "data": {"scale": scale},
            "predecessors": {other: folder.stage(other).digest() for other in PREDECESSORS[name]},
            "result": {},
        }
        write_json(stage.description_file, description)
    return folder


def modern_recognizer() -> Predictor:
    """Return a recognizer of the modern characters: the nearest of their images, however far, is likeliest."""
    known = draw_modern(modern_strokes(CHARACTERS)).reshape(len(CHARACTERS), -1).astype(np.float32) / 255

    def run(images: np.ndarray) -> np.ndarray:
        shown = images.reshape(len(images), -1).astype(np.float32) / 255
        closeness = -np.square(shown[:, None] - known).sum(axis=2) / 10
        chances = np.exp(closeness - closeness.max(axis=1, keepdims=True))
        return chances / chances.sum(axis=1, keepdims=True)

    return Predictor(Path("nearest"), CHARACTERS, (64, 64), "ink-box", run)


def knowing_chain(confused_by: int = 0, pairs: np.ndarray | None = None) -> Chain:
    """Return a chain that knows each character: what it finds, draws and writes is right.

    Latent vectors are (place of the character, 0). A mixture is one Gaussian of the standard deviation 0.1.

    Args:
        confused_by: so many places beyond the right one it believes each kuzushiji to be.
        pairs: instead, the place that it believes each character to have.
    """
    count = len(CHARACTERS)
    pairs = (np.arange(count) + confused_by) % count if pairs is None else pairs
    drawings = modern_strokes(CHARACTERS)
    images = draw_modern(drawings)
    table, _ = make_table(drawings, QUICK.sketch.epsilon, 60)

    def encode(inputs):
        shown = inputs["image"].reshape(len(inputs["image"]), -1)
        known = images.reshape(count, -1).astype(np.float32)
        places = np.square(shown[:, None] - known).sum(axis=2).argmin(axis=1)
        return {"posterior": np.stack([places, *[np.zeros(len(places))] * 3], axis=1).astype(np.float32)}

    def decode(inputs):
        return {"ink": images[_places(inputs["z"])][..., None].astype(np.float32) / 255}

    def mixture(inputs):
        found = pairs[_places(inputs["z"])]
        raw = LOG_SCALE_BOUND * np.arctanh(np.log(0.1) / LOG_SCALE_BOUND)
        rows = [np.zeros(len(found)), found, np.zeros(len(found)), *[np.full(len(found), raw)] * 2]
        return {"parameters": np.stack(rows, axis=1).astype(np.float32)}

    def start(inputs):
        state = np.zeros((len(inputs["z"]), 1), np.float32)
        return {"hidden": state, "cell": state}

    def step(inputs):
        # The hidden state counts the points.
        rows = table.rows[_places(inputs["z"]), inputs["hidden"][:, 0].astype(int)]
        sharp = np.tile(np.float32([0, -90, -90, 0]), (len(rows), 1))  # two scales, no correlation
        parameters = np.concatenate([90 * rows[:, 2:], sharp[:, :1], rows[:, :2], sharp[:, 1:]], axis=1)
        return {"parameters": parameters, "hidden": inputs["hidden"] + 1, "cell": inputs["cell"]}

    settings = Settings(2, table.scale, 60, QUICK.sketch.epsilon)
    # A Gaussian so wide that each character is about as likely.
    unigram = np.float32([[0, count / 2, 0, LOG_SCALE_BOUND * np.arctanh(np.log(50) / LOG_SCALE_BOUND), 0]])
    networks = {"mdn": mixture, "sketch_start": start, "sketch_step": step}
    networks |= {
        f"{name}_{side}": part for name, part in (("encoder", encode), ("decoder", decode)) for side in ("old", "new")
    }
    return Chain(Path("toy"), settings, unigram, networks)


def _places(z: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(z[:, 0]).astype(int), 0, len(CHARACTERS) - 1)
