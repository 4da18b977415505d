"""Export a chain: its parts as `.tflite` files and a SavedModel, verified against Keras and scored as they are."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kuzushiji_tf.datasets import kanjivg, kmnist
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.exporting import folders as exporting
from kuzushiji_tf.exporting.model_card import describe_file, describe_input
from kuzushiji_tf.files import atomic_folder, write_json
from kuzushiji_tf.recognition.litert import LiteRTFunction
from kuzushiji_tf.runtime import native_notes_hidden, versions_of
from kuzushiji_tf.transfer.chain import Chain
from kuzushiji_tf.transfer.config import STAGES
from kuzushiji_tf.transfer.gaussians import log_density, mode, split_posterior
from kuzushiji_tf.transfer.modern import IMAGE_SIZE, draw_modern
from kuzushiji_tf.transfer.opening import (
    CARD,
    CHARACTERS,
    FILES,
    LATENTS,
    UNIGRAM,
    open_exported,
    open_work_directory,
    read_card,
)
from kuzushiji_tf.transfer.parts import named_models
from kuzushiji_tf.transfer.scores import Scoring, ScoringData, score_chain
from kuzushiji_tf.transfer.sequences import START
from kuzushiji_tf.transfer.workdirs import ChainFolder

SAVED_MODEL = "saved_model"
# How far a file's numbers may be from Keras's, as a share of the greatest of them, or of 1 if none is greater.
FLOAT16_BOUND = 2e-2  # weights of 11 significant bits
FLOAT32_BOUND = 1e-4  # another order of summation
VERIFIED = 16  # images that the files are compared on

_SAVED_PARTS = ("decoder_new", "sketch_start", "sketch_step")  # that are signatures of the SavedModel
_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy", "kanjivg")


def export_chain(
    folder: ChainFolder, output: Path, scoring: Scoring, *, small: bool = False, overwrite: bool = False
) -> dict[str, Any]:
    """Export a trained chain to a folder and return its card.

    Args:
        folder: the work directory.
        output: the folder to write.
        scoring: what the files are verified and scored on, and with what; its `report` is told what happens.
        small: leave the SavedModel out.
        overwrite: replace an exported chain at `output`.

    Raises:
        MissingFileError: this is no work directory of a chain.
        UserError: a stage is not trained or builds on weights that have changed, the output holds something else, or a
            file differs from the Keras model by more than its bound; then nothing is left behind.
    """
    check_output(output, overwrite)
    report = scoring.report
    folder.require_finished()
    models = named_models(folder)
    chain = open_work_directory(folder, models)
    inputs = inputs_of_parts(chain, scoring.data)
    with atomic_folder(output) as temporary:
        report("converting the parts to .tflite")
        figures = _write_parts(models, chain, inputs, temporary)
        if not small:
            report("writing the SavedModel")
            write_saved_model(models, chain.settings.latent, temporary / SAVED_MODEL)
            figures[SAVED_MODEL] = describe_file(temporary / SAVED_MODEL)
            figures[SAVED_MODEL] |= _verify_saved_model(temporary / SAVED_MODEL, chain, inputs)
        report("encoding the modern characters")
        _write_modern(temporary, chain)
        figures |= {name: describe_file(temporary / name) for name in (UNIGRAM, LATENTS, CHARACTERS)}
        exported = open_exported(temporary, replace(chain.settings, least_density=None))
        scores = score_chain(exported, scoring)
        settings = replace(chain.settings, least_density=scores["least_density"])
        card = _make_card(folder, settings.to_dict(), figures, scores, scoring)
        write_json(temporary / CARD, card)
    return card


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse a folder that an export would damage.

    Raises:
        UserError: as `exporting.check_output`.
    """
    files = (UNIGRAM, LATENTS, CHARACTERS, SAVED_MODEL, *FILES.values())
    exporting.check_output(output, overwrite, exporting.Kind("chain", CARD, files, read_card))


def write_saved_model(models: Mapping[str, keras.Model], latent: int, folder: Path) -> None:
    """Write the chain as a SavedModel.

    Its signatures: `pixels` takes `image`, float32 `[n, 64, 64, 1]`, 0..255, white ink on black, and `pixels_uint8` the
    same in uint8; both return `z_old` (the posterior's mean), `mixture` (the MDN's parameters), `z_new` (its mode) and
    `ink` (the modern image decoded from that, 0..1). `decoder_new` decodes any other `z` to its `ink`. `sketch_start`
    and `sketch_step` are as `sketch.build_start` and `sketch.build_step` say.
    """

    def pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        posterior = models["encoder_old"]({"image": tf.cast(image, tf.float32)}, training=False)["posterior"]
        z_old, _ = split_posterior(posterior)
        mixture = models["mdn"]({"z": z_old}, training=False)["parameters"]
        z_new = mode(mixture, latent, keras.ops)
        ink = models["decoder_new"]({"z": z_new}, training=False)["ink"]
        return {"z_old": z_old, "mixture": mixture, "z_new": z_new, "ink": ink}

    archive = keras.export.ExportArchive()
    for part in ("encoder_old", "mdn", "decoder_new", "sketch_start", "sketch_step"):
        archive.track(models[part])
    for name, dtype in (("pixels", tf.float32), ("pixels_uint8", tf.uint8)):
        shape = [None, IMAGE_SIZE, IMAGE_SIZE, 1]
        archive.add_endpoint(name, pixels, [tf.TensorSpec(shape, dtype, name="image")])
    for name in _SAVED_PARTS:
        specs = {key: tf.TensorSpec(tensor.shape, tf.float32, name=key) for key, tensor in models[name].input.items()}
        archive.add_endpoint(name, partial(models[name], training=False), [specs])
    with native_notes_hidden():
        archive.write_out(folder, verbose=False)


def inputs_of_parts(chain: Chain, data: ScoringData) -> dict[str, dict[str, np.ndarray]]:
    """Return what the parts of a chain are given for a few held-out images, by the part's name."""
    examples = data.validation
    images = examples.images[:VERIFIED]
    modern = draw_modern([data.drawings[character] for character in examples.new[:VERIFIED]])
    z_old, _ = split_posterior(chain.encode_old(images))
    z_new, _ = split_posterior(chain.encode_new(modern))
    previous = np.tile(np.array(START, np.float32), (len(z_new), 1))
    return {
        "encoder_old": {"image": images[..., np.newaxis].astype(np.float32)},
        "encoder_new": {"image": modern[..., np.newaxis].astype(np.float32)},
        "decoder_old": {"z": z_old},
        "decoder_new": {"z": z_new},
        "mdn": {"z": z_old},
        "sketch_start": chain.given_at_start(z_new),
        "sketch_step": {"z": z_new, "previous": previous, **chain.start({"z": z_new})},
    }


def compare(file: str, found: dict[str, np.ndarray], expected: dict[str, np.ndarray], bound: float) -> dict[str, float]:
    """Return how far a file's results are from Keras's: `max_difference`, a share as the bounds are, and the `bound`.

    Raises:
        UserError: they are farther than the bound; the sentence names file, figure and bound.
    """
    differences = [
        float(np.abs(found[name] - value).max() / max(1.0, float(np.abs(value).max())))
        for name, value in expected.items()
    ]
    # Python's max would pass over a NaN that is not the first.
    difference = float(np.max(differences))
    if not difference <= bound:
        raise UserError(
            f"{file} differs from the Keras model by up to {difference:.2g} of the largest number, more than its bound "
            f"of {bound:.2g}; nothing was exported."
        )
    return {"max_difference": difference, "bound": bound}


def _write_parts(
    models: Mapping[str, keras.Model], chain: Chain, inputs: Mapping[str, dict[str, np.ndarray]], folder: Path
) -> dict[str, dict[str, Any]]:
    """Write a `.tflite` file of each part; return the size, hash and verification of each."""
    figures = {}
    for part, file in FILES.items():
        path = folder / file
        conversion.write_float16(models[part], path)
        conversion.builtin_operators(path)
        found, expected = LiteRTFunction(path)(inputs[part]), chain.networks[part](inputs[part])
        figures[file] = describe_file(path) | compare(file, found, expected, FLOAT16_BOUND)
    return figures


def _verify_saved_model(folder: Path, chain: Chain, inputs: Mapping[str, dict[str, np.ndarray]]) -> dict[str, float]:
    """Compare every signature of a SavedModel with the chain; return the farthest."""
    loaded = tf.saved_model.load(folder)

    def served(name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = loaded.signatures[name](**{key: tf.constant(value) for key, value in given.items()})
        return {key: value.numpy() for key, value in results.items()}

    z_old = inputs["decoder_old"]["z"]
    mixture = chain.mixture(z_old)
    densest = log_density(mixture, mode(mixture, chain.settings.latent))
    compared = []
    for name, dtype in (("pixels", np.float32), ("pixels_uint8", np.uint8)):
        found = served(name, {"image": inputs["encoder_old"]["image"].astype(dtype)})
        # Of two components about as dense, rounding may choose the other: what is decoded is the graph's own choice.
        found["density"] = log_density(mixture, found["z_new"])
        ink = chain.decode_new(found["z_new"])[..., np.newaxis]
        expected = {"z_old": z_old, "mixture": mixture, "density": densest, "ink": ink}
        compared.append(compare(f"{SAVED_MODEL} ({name})", found, expected, FLOAT32_BOUND))
    for name in _SAVED_PARTS:
        found, expected = served(name, inputs[name]), chain.networks[name](inputs[name])
        compared.append(compare(f"{SAVED_MODEL} ({name})", found, expected, FLOAT32_BOUND))
    return max(compared, key=lambda figures: figures["max_difference"])


def _write_modern(folder: Path, chain: Chain) -> None:
    """Write what retrieval compares with, as the exported encoder sees it, and the mixture without an image."""
    networks = {"encoder_new": LiteRTFunction(folder / FILES["encoder_new"])}
    modern = replace(chain, networks=networks).modern
    modern.characters.write(folder / CHARACTERS)
    np.save(folder / LATENTS, modern.latents.astype(np.float16))
    np.save(folder / UNIGRAM, chain.unigram)


def _make_card(
    folder: ChainFolder,
    settings: dict[str, Any],
    files: dict[str, dict[str, Any]],
    scores: dict[str, Any],
    scoring: Scoring,
) -> dict[str, Any]:
    """Return the card as plain values, in the order in which a person reads it."""
    readers = {"recognizer": scoring.recognizer, "classifier": scoring.classifier}
    return {
        "name": "transfer",
        "purpose": "a kuzushiji kanji in, its modern form out, as pixels and stroke by stroke (arXiv 1812.01718, 3.2)",
        "created": datetime.now(UTC).date().isoformat(),
        "settings": settings,
        "input": describe_input((IMAGE_SIZE, IMAGE_SIZE), "none"),
        "files": files,
        "evaluation": scores,
        "evaluated_with": {name: reader and "/".join(reader.path.parts[-2:]) for name, reader in readers.items()},
        "split": dict(scoring.data.parts),
        "data": [
            {"name": "Kuzushiji-Kanji", "licence": kmnist.LICENCE, "credit": kmnist.CREDIT},
            {"name": "KanjiVG", "licence": kanjivg.LICENCE, "credit": kanjivg.CREDIT},
        ],
        "training": {stage: folder.stage(stage).description for stage in STAGES},
        "recipe": folder.config.to_dict(),
        "versions": versions_of(_VERSIONED),
    }
