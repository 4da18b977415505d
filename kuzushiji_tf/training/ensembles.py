"""Several trained runs as one recognizer: the weighted mean of their probabilities, in one Keras model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from scipy.optimize import minimize

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.config import SCHEMA
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.splits import validation_rows
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.metrics import SMALLEST_PROBABILITY
from kuzushiji_tf.files import atomic_path, content_sha256, write_json
from kuzushiji_tf.models.loading import PROBABILITIES, load_keras, with_probabilities
from kuzushiji_tf.models.registry import ENSEMBLE
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.training.extending import finish
from kuzushiji_tf.training.matching import difference
from kuzushiji_tf.workdirs import WorkDirectory, reserved


def build_ensemble(members: Sequence[keras.Model], weights: Sequence[float]) -> keras.Model:
    """Return one functional model of several: `image` in, the weighted mean of their probabilities out.

    Args:
        members: models with one image input of the same size and the same classes; logits or probabilities out.
        weights: of each; they sum to 1.
    """
    image = keras.Input(members[0].inputs[0].shape[1:], name="image")
    parts = []
    for number, (member, weight) in enumerate(zip(members, weights, strict=True), start=1):
        probable = with_probabilities(member)
        named = keras.Model(probable.inputs[0], probable.outputs[0], name=f"member_{number}")
        parts.append(keras.layers.Rescaling(float(weight), name=f"weight_{number}")(named(image)))
    return keras.Model(image, keras.layers.Add(name=PROBABILITIES)(parts), name=ENSEMBLE)


def fit_weights(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the weights of least negative log-likelihood, float64 `[members]`, none negative, of sum 1.

    The likelihood of a mixture is concave in its weights, so what is found from equal ones is the best there is.

    Args:
        probabilities: float `[members, n, classes]`, of images that no member was trained on.
        labels: int `[n]`, the true classes.
    """
    likelihoods = probabilities[:, np.arange(len(labels)), labels].astype(np.float64)
    likelihoods = np.maximum(likelihoods, SMALLEST_PROBABILITY)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = weights @ likelihoods
        return -np.log(mixed).mean(), -(likelihoods / mixed).mean(axis=1)

    count = len(probabilities)
    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10, "maxiter": 1000},
    )
    weights: np.ndarray = np.clip(found.x, 0, 1)
    return weights / weights.sum()


def join_runs(
    paths: Sequence[Path],
    output: Path,
    *,
    weighting: Literal["equal", "validation"] = "equal",
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> WorkDirectory:
    """Write a work directory whose model is the ensemble of finished runs; it is evaluated and exported as they are.

    Args:
        paths: the runs' work directories, two or more; the weights of their last epoch are used.
        output: the work directory.
        weighting: `equal`, or `validation`: of least negative log-likelihood on the images that every run held out.
        data_dir: as `datasets.registry.LoadOptions`; for `validation` alone.
        overwrite: replace an earlier run in `output`.

    Raises:
        MissingFileError: one of them is not a run, or the data set's files are not there.
        UserError: too few runs; one that is not finished, is not a network or is an ensemble itself; runs of different
            data sets, classes or image sizes; no image that all held out; or `output` is a run or something else.
    """
    runs = [WorkDirectory(path) for path in paths]
    _check_runs(runs, output, overwrite)
    predictors = [load_predictor(run.path) for run in runs]
    for run, predictor in zip(runs[1:], predictors[1:], strict=True):
        differing = difference(predictors[0].labels, predictors[0].image_size, predictor.labels, predictor.image_size)
        if differing:
            raise UserError(
                f"{runs[0].path} and {run.path} cannot be averaged ({differing}); choose runs of the same classes and "
                "image size."
            )
    members = [load_keras(predictor.path) for predictor in predictors]
    weights, images = np.full(len(runs), 1 / len(runs)), 0
    if weighting == "validation":
        dataset = held_out_by_all(runs, data_dir)
        images = len(dataset)
        weights = fit_weights(np.stack([predictor.predict(dataset.images) for predictor in predictors]), dataset.labels)
    model = build_ensemble(members, weights.tolist())
    with reserved(output, runs[0].config, overwrite, resume=False) as workdir:
        workdir.clear()
        entry = {"weights": weighting, "validation_images": images, "members": _describe(runs, predictors, weights)}
        config = {**runs[0].config.to_dict(), "model": ENSEMBLE}
        write_json(
            workdir.config_file,
            {
                "schema": SCHEMA,
                "config": config,
                "versions": runs[0].description["versions"],
                "data": runs[0].data,
                "ensemble": entry,
            },
        )
        predictors[0].labels.write(workdir.labels_file)
        with atomic_path(workdir.final) as temporary:
            model.save(temporary)
        results = [run.description["result"] for run in runs]
        minutes = sum(result.get("minutes", 0.0) for result in results)
        devices = dict.fromkeys(result["device"] for result in results if "device" in result)
        result = {"parameters": model.count_params(), "minutes": minutes, "device": " and ".join(devices)}
        finish(workdir, workdir.config, result)
    return workdir


def holds_ensemble_of(
    workdir: WorkDirectory, runs: Sequence[WorkDirectory], weighting: Literal["equal", "validation"]
) -> bool:
    """Return whether a work directory's ensemble is finished and has the weights of these runs as they are today.

    Raises:
        UserError: it holds a run that is not an ensemble.
    """
    if not workdir.config_file.exists():
        return False
    description = workdir.description
    if "ensemble" not in description:
        raise UserError(f"{workdir.path} holds a run that is not an ensemble: move it away.")
    entry = description["ensemble"]
    joined = [member["sha256"] for member in entry["members"]]
    today = [content_sha256(run.final) for run in runs if run.final.exists()]
    return "result" in description and (entry["weights"], joined) == (weighting, today)


def held_out_by_all(runs: Sequence[WorkDirectory], data_dir: Path | None = None) -> CharacterDataset:
    """Return the training split's images that none of the runs was trained on.

    Raises:
        MissingFileError: the data set's files are not there.
        UserError: the runs' training splits are not the same, that split has changed since, or no image is left.
    """
    config = runs[0].config
    dataset = load_dataset(config.dataset, "train", options_of_run(config, data_dir))
    for run in runs:
        if run.description["data"].get("content_hash") != dataset.content_hash:
            raise UserError(
                f"{run.path} was trained on other images of {config.dataset} than those of {runs[0].path} today, so "
                "nobody can tell which of them it held out; use equal weights."
            )
    rows = np.arange(len(dataset))
    for run in runs:
        rows = np.intersect1d(rows, validation_rows(dataset, run.config.validation_fraction, run.config.seed)[1])
        if not len(rows):
            raise UserError(
                f"No image was held out by all the runs up to {run.path}: train them with the same "
                "validation_fraction above 0 and the same seed, or use equal weights."
            )
    return dataset.select(rows)


def _check_runs(runs: Sequence[WorkDirectory], output: Path, overwrite: bool) -> None:
    """Refuse, before any model is loaded, what cannot become an ensemble."""
    paths = [run.path.resolve() for run in runs]
    if len(runs) < 2 or len(set(paths)) < len(runs):
        raise UserError(f"An ensemble needs two or more different runs, not: {' '.join(map(str, paths)) or 'none'}.")
    for run in runs:
        if "result" not in run.description:
            raise UserError(
                f"{run.path} is not finished; resume it with: python train.py --resume --workdir {run.path}"
            )
        if run.config.model == ENSEMBLE:
            raise UserError(f"{run.path} is an ensemble itself; name its members instead.")
        if run.config.dataset != runs[0].config.dataset:
            raise UserError(
                f"{runs[0].path} was trained on {runs[0].config.dataset} and {run.path} on {run.config.dataset}; "
                "choose runs of one data set."
            )
    if output.resolve() in paths:
        raise UserError(f"{output} is one of the runs; choose another --output.")
    if not overwrite and WorkDirectory(output).config_file.exists():
        raise UserError(f"{output} already holds a run; choose another --output, or replace it with --overwrite.")


def _describe(
    runs: Sequence[WorkDirectory], predictors: Sequence[Predictor], weights: np.ndarray
) -> list[dict[str, Any]]:
    return [
        {
            "path": str(run.path),
            "model": run.config.model,
            "weight": float(weight),
            "recipe": run.config.to_dict(),
            "recipe_sha256": run.config.sha256,
            "sha256": content_sha256(predictor.path),
        }
        for run, predictor, weight in zip(runs, predictors, weights, strict=True)
    ]
