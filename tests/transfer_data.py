"""A handful of characters and images on which a whole chain can be trained in seconds."""

from dataclasses import replace

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.transfer import data, pairs
from kuzushiji_tf.transfer.config import Autoencoders, Mixture, Sketch, TransferConfig
from kuzushiji_tf.transfer.modern import draw_modern, modern_strokes

KANJI = "一丁七万三上下不与丑且世丘丙中主乃久之乍乏乗乙九也乳乾了予争事二五井亜亡交京人仁"
MODERN_ONLY = "仏介"  # without kuzushiji images
LACKING = "☃"  # KanjiVG has no such character
QUICK = TransferConfig(
    latent=4,
    vae=Autoencoders(width=1 / 16, batch_size=20, learning_rate=1e-2, epochs_old=3, epochs_new=3),
    mdn=Mixture(components=2, hidden=16, dropout=0.1, weight_decay=1e-3, batch_size=20, learning_rate=1e-2, epochs=3),
    sketch=Sketch(
        epsilon=3.0,
        longest=40,
        units=16,
        latent_units=8,
        glimpse_units=6,
        output_units=8,
        mixtures=2,
        batch_size=10,
        learning_rate=1e-2,
        epochs=3,
    ),
)

PUBLISHED_DECODER = replace(QUICK, sketch=replace(QUICK.sketch, latent_units=0, glimpse_units=0, output_units=0))


def published(split: str) -> CharacterDataset:
    """Return images of each character as its modern form, shaken: three for training and one for testing."""
    classes = Labels((*sorted(KANJI), LACKING))
    drawn = np.concatenate([draw_modern(modern_strokes(classes[:-1])), np.full((1, 64, 64), 100, np.uint8)])
    copies, seed = (3, 0) if split == "train" else (1, 1)
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), copies)
    noise = np.random.default_rng(seed).integers(0, 60, (len(labels), 64, 64))
    images = np.clip(drawn[labels].astype(int) + noise, 0, 255).astype(np.uint8)
    return CharacterDataset("kkanji", split, images, labels, classes, "a licence", "a credit")


def use_small_data(monkeypatch) -> None:
    """Let Kuzushiji-Kanji and KanjiVG be the few characters above."""
    sets = {split: published(split) for split in ("train", "test")}
    monkeypatch.setattr(pairs, "load_dataset", lambda name, split, options: sets[split])
    monkeypatch.setattr(data, "modern_characters", lambda: tuple(sorted(KANJI + MODERN_ONLY)))


def keys_of(side: str) -> set[bytes]:
    """Return what tells the images of the characters of a side from all others."""
    found = set()
    for split in ("train", "test"):
        dataset = published(split)
        rows = [pairs.split_of(dataset.classes[label]) == side for label in dataset.labels]
        found |= set(content_keys(dataset.images[rows]))
    return found
