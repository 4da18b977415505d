"""What each stage trains: its model, its batches, and what it leaves behind."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.datasets import CharacterDataset
from kuzushiji_tf.files import atomic_path
from kuzushiji_tf.models.loading import open_keras
from kuzushiji_tf.training.checkpoints import save_for_use
from kuzushiji_tf.transfer.batches import (
    Batches,
    DrawingLatents,
    Posteriors,
    Variation,
    draw_from,
    drawing_batches,
    encode,
    image_batches,
    latent_batches,
    ordered_images,
)
from kuzushiji_tf.transfer.config import STAGES, TransferConfig
from kuzushiji_tf.transfer.data import ChainData
from kuzushiji_tf.transfer.gaussians import log_density
from kuzushiji_tf.transfer.latent_pictures import LatentPictures
from kuzushiji_tf.transfer.mdn import build_mdn, compile_mdn, fit_unigram
from kuzushiji_tf.transfer.sequences import make_table
from kuzushiji_tf.transfer.sketch import build_decoder as build_sketch
from kuzushiji_tf.transfer.sketch import compile_sketch, previous_rows
from kuzushiji_tf.transfer.vae import build_decoder, build_encoder, build_vae, compile_vae
from kuzushiji_tf.transfer.workdirs import ChainFolder

UNIGRAM_POINTS = 20_000  # that the baseline is fitted to; many more than it has parameters


@dataclass(frozen=True)
class Setup:
    """A stage that is ready to be trained.

    Attributes:
        model: compiled.
        plan: the order of what it is trained on.
        batches: of it.
        validation: one pass through what it is not trained on.
        epochs: how many.
        figures: names of its loss and metrics.
        data: for stage.json; `content_hash` is of all that the stage looks at, but for its predecessors.
        save: writes the weight files, and returns what else belongs to the result.
        callbacks: of its own.
    """

    model: keras.Model
    plan: EpochPlan
    batches: Batches
    validation: tf.data.Dataset
    epochs: int
    figures: tuple[str, ...]
    data: dict[str, Any]
    save: Callable[[], dict[str, float]]
    callbacks: list[keras.callbacks.Callback] = field(default_factory=list)


def set_up(name: str, config: TransferConfig, chain: ChainFolder, data: ChainData) -> Setup:
    """Return a stage whose predecessors are trained, ready for its own training.

    Raises:
        UserError: no drawing is short enough (`sketch.longest`).
    """
    if name == "mdn":
        return _set_up_mdn(config, chain, data)
    if name == "sketch":
        return _set_up_sketch(config, chain, data)
    return _set_up_vae(name, config, chain, data)


def _set_up_vae(name: str, config: TransferConfig, chain: ChainFolder, data: ChainData) -> Setup:
    settings, folder, seeds = config.vae, chain.stage(name), _seeds(config, name)
    if name == "vae-old":
        images, rows, epochs = data.old.images, np.arange(len(data.old)), settings.epochs_old
        others, held_out = data.old_held_out.images, np.arange(len(data.old_held_out))
    else:
        images, rows, epochs = data.images, np.flatnonzero(~data.held_out), settings.epochs_new
        others, held_out = data.images, np.flatnonzero(data.held_out)
    encoder, decoder = (
        build(settings.width, config.latent, next(seeds), settings.precision)
        for build in (build_encoder, build_decoder)
    )
    model = compile_vae(build_vae(encoder, decoder, next(seeds)), settings.learning_rate, settings.floor, config.jit)
    plan = EpochPlan(len(rows), settings.batch_size, next(seeds))

    def save() -> dict[str, float]:
        for part, file in zip((encoder, decoder), folder.weights, strict=True):
            save_for_use(part, model.optimizer, file)
        return {}

    return Setup(
        model,
        plan,
        image_batches(images, rows, plan),
        ordered_images(others, held_out, settings.batch_size),
        epochs,
        ("loss", "reconstruction_loss", "posterior_loss", "posterior_kl"),
        {
            "content_hash": data.old_hash if name == "vae-old" else data.new_hash,
            "images": len(rows),
            "validation_images": len(held_out),
        },
        save,
        [LatentPictures(folder.tensorboard, encoder, decoder, others[held_out], epochs)],
    )


def _set_up_mdn(config: TransferConfig, chain: ChainFolder, data: ChainData) -> Setup:
    settings, folder, seeds = config.mdn, chain.stage("mdn"), _seeds(config, "mdn")
    known = _encode_both(chain, data)
    old_held_out, partners_held_out = _encode_paired(chain, data, data.old_held_out)
    model = build_mdn(settings, config.latent, next(seeds))
    plan = EpochPlan(len(known.old), settings.batch_size, next(seeds))
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * plan.steps_per_epoch)
    compile_mdn(model, rate, settings.weight_decay, jit=config.jit)
    held_out = draw_from(old_held_out, next(seeds)), draw_from(known.new[partners_held_out], next(seeds))
    unigram_seed = next(seeds)

    def save() -> dict[str, float]:
        model_file, unigram_file = folder.weights
        save_for_use(model, model.optimizer, model_file)
        some = np.random.default_rng(unigram_seed).permutation(len(known.old))[:UNIGRAM_POINTS]
        unigram = fit_unigram(
            draw_from(known.new[known.partners[some]], unigram_seed), settings.components, unigram_seed
        )
        with atomic_path(unigram_file) as temporary:
            np.save(temporary, unigram)
        return {"val_loss_unigram": -float(log_density(unigram, held_out[1]).mean())}

    return Setup(
        model,
        plan,
        latent_batches(known, plan),
        tf.data.Dataset.from_tensor_slices(held_out).batch(settings.batch_size),
        settings.epochs,
        ("loss",),
        {
            "content_hash": _joined(data.old_hash, data.new_hash),
            "images": len(known.old),
            "validation_images": len(old_held_out),
            "characters": len(np.unique(known.partners)),
            "validation_characters": len(np.unique(partners_held_out)),
        },
        save,
    )


def _set_up_sketch(config: TransferConfig, chain: ChainFolder, data: ChainData) -> Setup:
    settings, folder, seeds = config.sketch, chain.stage("sketch"), _seeds(config, "sketch")
    rows, others = np.flatnonzero(~data.held_out), np.flatnonzero(data.held_out)
    table, kept = make_table([data.drawings[row] for row in rows], settings.epsilon, settings.longest)
    held_out, kept_others = make_table(
        [data.drawings[row] for row in others], settings.epsilon, settings.longest, table.scale
    )
    known = _encode_both(chain, data)
    with tf.device("CPU:0"):  # where tf.data makes batches
        mdn = _load(chain, "mdn", 0)
        image_decoder = _load(chain, "vae-new", 1) if settings.glimpse_units else None
    sketch = build_sketch(settings, config.latent, next(seeds), table.scale)
    model = compile_sketch(sketch, settings, config.jit)
    plan = EpochPlan(len(kept), settings.batch_size, next(seeds))
    latents = DrawingLatents(mdn, known, settings.temperature, settings.encoded_share, image_decoder)
    z_held_out = draw_from(known.new[others[kept_others]], next(seeds))
    inputs = {name: np.asarray(value) for name, value in latents.with_ink(z_held_out).items()}
    inputs["previous"] = previous_rows(held_out.rows)

    def save() -> dict[str, float]:
        save_for_use(model, model.optimizer, folder.weights[0])
        return {}

    return Setup(
        model,
        plan,
        drawing_batches(table, rows[kept], latents, plan, Variation(settings.scaling, settings.jitter)),
        tf.data.Dataset.from_tensor_slices((inputs, held_out.rows)).batch(settings.batch_size),
        settings.epochs,
        ("loss", "offset_loss", "pen_loss"),
        {
            "content_hash": _joined(data.old_hash, data.new_hash),
            "drawings": len(kept),
            "validation_drawings": len(kept_others),
            "left_out": table.left_out + held_out.left_out,
            "scale": table.scale,
        },
        save,
    )


def _encode_both(chain: ChainFolder, data: ChainData) -> Posteriors:
    """Return the posteriors of all modern images, and of the kuzushiji images to train on that have one."""
    new = encode(_load(chain, "vae-new", 0), data.images, np.arange(len(data.images)))
    return Posteriors(*_encode_paired(chain, data, data.old), new)


def _encode_paired(chain: ChainFolder, data: ChainData, dataset: CharacterDataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the posteriors of those kuzushiji images that have a modern character, and the row of each one's."""
    partners = data.partners(dataset)
    rows = np.flatnonzero(partners >= 0)
    return encode(_load(chain, "vae-old", 0), dataset.images, rows), partners[rows]


def _load(chain: ChainFolder, stage: str, part: int) -> keras.Model:
    return open_keras(chain.stage(stage).weights[part], f"train {stage} again")


def _seeds(config: TransferConfig, stage: str) -> Iterator[int]:
    """Return seeds for the parts of a stage; small ones, since layers multiply them."""
    return iter((np.random.SeedSequence((config.seed, STAGES.index(stage))).generate_state(8) % 2**16).tolist())


def _joined(*hashes: str) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
