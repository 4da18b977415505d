"""Where chains come from: a work directory, which Keras runs, or an exported folder, which LiteRT alone does.

Of an exported folder TensorFlow is not imported.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError, reason_of
from kuzushiji_tf.files import content_sha256, read_json
from kuzushiji_tf.recognition.cards import CARD as RECOGNIZER_CARD
from kuzushiji_tf.recognition.litert import LiteRTFunction
from kuzushiji_tf.transfer.chain import PARTS, Chain, Modern, Settings
from kuzushiji_tf.transfer.workdirs import ChainFolder

CARD = "chain.json"  # no recognizer's model.json: what looks for those does not find it
# What an exported folder holds beside its card: each part of the chain, and what retrieval compares with.
FILES = {part: f"{part}-float16.tflite" for part in PARTS}
UNIGRAM, LATENTS, CHARACTERS = "unigram.npy", "modern-float16.npy", "modern.txt"
EVALUATION = "evaluation.json"  # in a work directory: its last scores


def load_chain(path: str | Path) -> Chain:
    """Load a chain from a work directory whose stages are all trained, or from an exported folder.

    Raises:
        MissingFileError: there is no such folder, or a file of it is missing.
        UserError: it holds no chain, a stage is not trained or builds on weights that have changed, or a file is
            damaged.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(
            f"There is no chain at {path}; name another, or train one with: python -m kuzushiji_tf transfer train"
        )
    if (path / CARD).exists():
        return _load_exported(path)
    folder = ChainFolder(path)
    if folder.config_file.exists():
        folder.require_finished()  # said at once, before TensorFlow is loaded
        start_tensorflow()
        from kuzushiji_tf.transfer.parts import named_models  # which needs Keras

        return open_work_directory(folder, named_models(folder))
    other = "a recognizer" if (path / RECOGNIZER_CARD).exists() else "no chain"
    raise UserError(f"{path} holds {other}: name a folder that `transfer train` or `transfer export` wrote.")


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of an exported chain.

    Raises:
        MissingFileError: it has none.
        UserError: it is damaged.
    """
    card = read_json(folder / CARD)
    try:
        Settings(**card["settings"])
        known = [file["sha256"] for file in card["files"].values()]
    except (UserError, LookupError, TypeError, AttributeError):
        known = None
    if known is None:
        raise UserError(f"{folder / CARD} is not the card of an exported chain; export it again.")
    return card


def open_exported(folder: Path, settings: Settings) -> Chain:
    """Return the chain of an exported folder's files, which need no card yet.

    Raises:
        MissingFileError, UserError: a file is missing or damaged.
    """
    networks = {part: LiteRTFunction(folder / file) for part, file in FILES.items()}
    characters = Labels.read(folder / CHARACTERS)
    latents = _read_array(folder / LATENTS, (len(characters), settings.latent))
    unigram = _read_array(folder / UNIGRAM, (1, *networks["mdn"].outputs["parameters"]))
    return Chain(folder, settings, unigram, networks, Modern(characters, latents))


def open_work_directory(folder: ChainFolder, models: Mapping[str, Any]) -> Chain:
    """Return the chain of a work directory, given its `parts.named_models`.

    Raises:
        MissingFileError, UserError: a file is missing or damaged.
    """
    from kuzushiji_tf.transfer.parts import in_batches

    config = folder.config
    settings = Settings(
        latent=config.latent,
        scale=float(folder.stage("sketch").description["data"]["scale"]),
        longest=config.sketch.longest,
        epsilon=config.sketch.epsilon,
        use_variants=config.use_variants,
        sees_ink=config.sketch.glimpse_units > 0,
        least_density=_last_evaluation(folder).get("least_density"),
    )
    unigram = _read_array(folder.stage("mdn").weights[1], (1, models["mdn"].output["parameters"].shape[-1]))
    return Chain(folder.path, settings, unigram, {part: in_batches(model) for part, model in models.items()})


def _load_exported(folder: Path) -> Chain:
    card = read_card(folder)
    for name in (*FILES.values(), UNIGRAM, LATENTS, CHARACTERS):
        if not (folder / name).is_file():
            raise MissingFileError(f"{folder} lacks {name}; export the chain again.")
        if card["files"].get(name, {}).get("sha256") != content_sha256(folder / name):
            raise UserError(f"{folder / name} is damaged: it is not the file that {CARD} describes; export it again.")
    return open_exported(folder, Settings(**card["settings"]))


def _last_evaluation(folder: ChainFolder) -> dict[str, Any]:
    """Return the scores of a work directory; none where it was not evaluated since it was trained."""
    file = folder.path / EVALUATION
    try:
        scores = dict(read_json(file)) if file.exists() else {}
    except (ValueError, TypeError):
        raise UserError(f"{file} is damaged; remove it, and evaluate the chain again.") from None
    return scores if scores.get("weights") == folder.digests() else {}


def _read_array(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a stored array as float32.

    Raises:
        MissingFileError, UserError: the file is missing, damaged, or holds an array of another shape.
    """
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)  # nothing is allocated for what a header claims
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {file}.") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} is damaged ({reason_of(error)}); train or export the chain again.") from None
    if array.shape != shape:
        raise UserError(f"{file} holds {list(array.shape)} numbers, not {list(shape)}; train or export it again.")
    return array.astype(np.float32)
