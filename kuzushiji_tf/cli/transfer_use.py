"""`transfer generate`, `evaluate`, `figure` and `export`: what is done with a trained chain."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.cli.answers import SomeFailedError
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.recognition.pretrained import PRETRAINED
from kuzushiji_tf.transfer.workdirs import ChainFolder, find_last_chain

if TYPE_CHECKING:
    from kuzushiji_tf.recognition.predictors import Predictor
    from kuzushiji_tf.transfer.scores import Scoring

SHIPPED_CHAIN, SHIPPED_RECOGNIZER, SHIPPED_CLASSIFIER = (
    PRETRAINED / name for name in ("transfer", "touch-joyo", "kkanji")
)
_SHOWN = 5  # candidates printed for each picture
_SIDED = {
    "retrieval_top1": ("found among all modern characters", "8.2%"),
    "retrieval_top5": ("  among the first 5", "8.2%"),
    "retrieval_top10": ("  among the first 10", "8.2%"),
    "mrr": ("  mean reciprocal rank", "8.3f"),
    "pixels_top1": ("pixels read as the right one", "8.2%"),
    "strokes_top1": ("strokes read as the right one", "8.2%"),
    "strokes_top5": ("  among the first 5", "8.2%"),
    "stroke_count_error": ("strokes too many or too few", "8.2f"),
    "mdn_nll": ("MDN, negative log-likelihood", "8.2f"),
    "mdn_nll_unigram": ("  of one mixture for all", "8.2f"),
    "classifier_top1": ("a classifier of kuzushiji", "8.2%"),
    "left_out": ("characters the reader lacks", "8,d"),
}
_SINGLE = {
    "ceiling_strokes_top1": ("KanjiVG's own strokes read (ceiling)", "9.2%"),
    "floor_strokes_top1": ("strokes read, pairs shuffled (floor)", "9.2%"),
    "mdn_nll": ("MDN, of held-out characters", "9.2f"),
    "mdn_nll_unigram": ("  of one mixture for all", "9.2f"),
    "vae_old_error": ("kuzushiji VAE, squared error", "9.2f"),
    "vae_old_kl": ("  KL divergence", "9.2f"),
    "vae_new_error": ("modern VAE, squared error", "9.2f"),
    "vae_new_kl": ("  KL divergence", "9.2f"),
}

_Target = Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[CHAIN]")]


@dataclass(frozen=True, kw_only=True)
class GenerateFlags:
    """Write the modern form of kuzushiji kanji: a folder for each picture, with drawings, pixels and candidates.

    sample-1.svg holds the strokes in their order, sample-1-animated.svg writes them, sample-1.png shows them;
    pixels.png is the mean of 16 modern images that the chain finds possible, blurred where they differ;
    candidates.json names the most probable modern characters.
    """

    # pictures of one kanji each
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE...")]
    output: Path  # the folder to write them to
    model: Path = SHIPPED_CHAIN  # an exported chain, or the work directory of one
    samples: int = 8  # drawings to make of each picture
    temperature: float = 0.3  # how much the drawings vary; 1: as the chain has learned, 0: always the likeliest one
    seed: int = 0  # seed of the drawings
    polarity: Literal["auto", "dark", "light"] = "auto"  # whether the ink is dark or light against the paper
    overwrite: bool = False  # replace the folders of an earlier run
    json: bool = False  # print the candidates as one JSON object, and all else to standard error


@dataclass(frozen=True, kw_only=True)
class _ScoringFlags:
    """What a chain is scored with."""

    recognizer: Path = SHIPPED_RECOGNIZER  # a recognizer of modern characters: it reads what the chain draws
    classifier: Path = SHIPPED_CLASSIFIER  # a recognizer of kuzushiji, to compare with on seen characters
    test_limit: int = 2000  # measure on so many images of seen and of unseen characters each; a fixed seed chooses them
    data_dir: Path | None = None  # where Kuzushiji-Kanji is; default: KUZUSHIJI_DATA, then a download
    json: bool = False  # print the scores as one JSON object, and all else to standard error


@dataclass(frozen=True, kw_only=True)
class EvaluateFlags(_ScoringFlags):
    """Score a chain: on test images of characters that it was trained on, and on characters it never met."""

    target: _Target = None  # a work directory or an exported chain; default: the last chain, else the one shipped


@dataclass(frozen=True, kw_only=True)
class FigureFlags:
    """Draw what a chain makes of some kuzushiji, step by step: seen characters above, unseen ones below."""

    target: _Target = None  # a work directory or an exported chain; default: the last chain, else the one shipped
    output: Path  # the PNG file to write
    characters: str | None = None  # kanji to show, such as 道心; default: some, chosen by the seed
    count: int = 8  # how many seen and how many unseen kanji, where --characters names none
    samples: int = 5  # drawings to make of each kanji
    temperature: float = 0.3  # how much the drawings vary; 1: as the chain has learned, 0: always the likeliest one
    seed: int = 0  # seed of the choice and of the drawings
    data_dir: Path | None = None  # where Kuzushiji-Kanji is; default: KUZUSHIJI_DATA, then a download


@dataclass(frozen=True, kw_only=True)
class ExportFlags(_ScoringFlags):
    """Write a chain as float16 .tflite files and a SavedModel, verified against Keras; the scores are theirs."""

    target: _Target = None  # the work directory; default: that of the last chain
    output: Path | None = None  # folder of the export; default: export/ in the work directory
    small: bool = False  # leave the SavedModel out
    overwrite: bool = False  # replace the export that --output holds


def generate(flags: GenerateFlags) -> dict[str, Any]:
    """Write the folder of each picture, print and return its candidates; continue after one that cannot be read.

    Raises:
        UserError, MissingFileError: nothing to read, no chain, a folder is there already, or something could not be
            read (at the end).
    """
    if not flags.images:
        raise UserError("Name at least one picture: python -m kuzushiji_tf transfer generate IMAGE --output DIR")
    from kuzushiji_tf.transfer import generation
    from kuzushiji_tf.transfer.opening import load_chain

    folders = [flags.output / name for name in generation.folder_names(flags.images)]
    for folder in folders:
        generation.check_replaceable(folder, flags.overwrite)
    chain = load_chain(flags.model)
    results, failures = [], 0
    for path, folder in zip(flags.images, folders, strict=True):
        try:
            image = generation.read_kuzushiji(path, flags.polarity)
        except UserError as error:
            if len(flags.images) == 1:
                raise
            failures += 1
            print(f"error: {error}", file=sys.stderr)
            results.append({"image": str(path), "error": str(error)})
            continue
        (made,) = generation.transfer(chain, image[None], flags.samples, flags.temperature, flags.seed)
        generation.write_transfer(made, folder)
        results.append({"image": str(path), "folder": str(folder), **generation.describe(made)})
        best = "  ".join(f"{found.character} {found.probability:.1%}" for found in made.candidates[:_SHOWN])
        note = "   (probably no kanji)" if made.is_kanji is False else ""
        print(f"{path} -> {folder}\n  {best}{note}", flush=True)
    answer = {"model": str(flags.model), "results": results}
    if failures:
        sentence = f"{failures} of the {len(flags.images)} pictures could not be read, as said above."
        raise SomeFailedError(sentence, answer)
    return answer


def evaluate(flags: EvaluateFlags) -> dict[str, Any]:
    """Score a chain, print the table and return the scores; a work directory keeps the scores in its evaluation.json.

    Raises:
        UserError, MissingFileError: the chain, a recognizer or Kuzushiji-Kanji is not as it should be.
    """
    from kuzushiji_tf.files import write_json
    from kuzushiji_tf.transfer.opening import EVALUATION, load_chain
    from kuzushiji_tf.transfer.scores import score_chain

    target = flags.target or _default_target()
    readers = _load_readers(flags)
    chain = load_chain(target)
    scores = score_chain(chain, _load_scoring(flags, readers, chain.settings.use_variants))
    _print_scores(target, scores)
    folder = ChainFolder(target)
    if folder.config_file.exists():
        write_json(target / EVALUATION, scores | {"weights": folder.digests()})
    return scores


def figure(flags: FigureFlags) -> None:
    """Draw the figure and write it.

    Raises:
        UserError, MissingFileError: the chain, a character or Kuzushiji-Kanji is not as it should be.
    """
    from kuzushiji_tf.evaluation import figures
    from kuzushiji_tf.files import atomic_path
    from kuzushiji_tf.transfer.figures import choose_figure, transfer_figure
    from kuzushiji_tf.transfer.opening import load_chain

    if flags.output.is_dir():
        raise UserError(f"{flags.output} is a folder; --output names the file to write, such as figure.png.")
    chain = load_chain(flags.target or _default_target())
    sides = choose_figure(flags.data_dir, flags.characters, flags.count, flags.seed, chain.settings.use_variants)
    drawn = transfer_figure(chain, sides, flags.samples, flags.temperature, flags.seed)
    with atomic_path(flags.output) as temporary:
        figures.save(drawn, temporary)
    shown = "; ".join(f"{side}: {''.join(examples.old)}" for side, examples in sides.items() if len(examples))
    print(f"{flags.output}: {shown}")


def export(flags: ExportFlags) -> dict[str, Any]:
    """Export, verify and score a chain, print and return what its files achieve.

    Raises:
        UserError, MissingFileError: as `exporting.export_chain` does.
    """
    folder = ChainFolder(flags.target) if flags.target else find_last_chain()
    folder.require_finished()  # says so at once, before TensorFlow is loaded
    output = flags.output or folder.path / "export"
    readers = _load_readers(flags)
    print(f"exporting {folder.path} to {output}", flush=True)
    start_tensorflow()
    from kuzushiji_tf.transfer.exporting import check_output, export_chain

    check_output(output, flags.overwrite)
    scoring = _load_scoring(flags, readers, folder.config.use_variants)
    card = export_chain(folder, output, scoring, small=flags.small, overwrite=flags.overwrite)
    print(f"\n  {'file':32}{'bytes':>12}{'difference':>12}")
    for name, file in card["files"].items():
        difference = f"{file['max_difference']:.1e}" if "max_difference" in file else ""
        print(f"  {name:32}{file['bytes']:12,}{difference:>12}")
    _print_scores(output, card["evaluation"])
    print(f"\nNext:\n  python -m kuzushiji_tf transfer generate IMAGE --model {output} --output DIR")
    return {"output": str(output), "files": card["files"], **card["evaluation"]}


def _load_readers(flags: _ScoringFlags) -> tuple["Predictor", "Predictor"]:
    from kuzushiji_tf.recognition.predictors import load_predictor

    return load_predictor(flags.recognizer), load_predictor(flags.classifier)


def _load_scoring(flags: _ScoringFlags, readers: tuple["Predictor", "Predictor"], use_variants: bool) -> "Scoring":
    from kuzushiji_tf.transfer.scores import Scoring, load_scoring_data

    _report("loading Kuzushiji-Kanji and KanjiVG")
    return Scoring(load_scoring_data(flags.data_dir, flags.test_limit, use_variants), *readers, _report)


def _default_target() -> Path:
    try:
        return find_last_chain().path
    except MissingFileError:
        if SHIPPED_CHAIN.exists():
            return SHIPPED_CHAIN
        raise


def _report(message: str) -> None:
    print(f"  {message}", flush=True)


def _print_scores(target: Path, scores: dict[str, Any]) -> None:
    print(f"\n{target}, on images of Kuzushiji-Kanji\n")
    print(f"  {'':36}{'seen':>9}{'unseen':>9}")
    rows: dict[str, tuple[str, str]] = {"images": ("images", "8,d"), **_SIDED}
    for key, (title, form) in rows.items():
        cells = [f"{scores[name]:{form}}" if (name := f"{key}_{side}") in scores else "" for side in ("seen", "unseen")]
        print(f"  {title:36}{cells[0]:>9}{cells[1]:>9}".rstrip())
    print()
    for key, (title, form) in _SINGLE.items():
        print(f"  {title:36}{scores[key]:{form}}")
