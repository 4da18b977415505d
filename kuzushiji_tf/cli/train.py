"""`train`: a recipe or flags -> a trained recognizer in a work directory."""

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from kuzushiji_tf.batches.loading import with_absolute_paths
from kuzushiji_tf.batches.startup import start_tensorflow
from kuzushiji_tf.cli.resuming import Resume
from kuzushiji_tf.config import (
    Cluster,
    TrainingConfig,
    cluster_of_environment,
    cluster_of_flags,
    load_recipe,
    write_environment,
)
from kuzushiji_tf.datasets.registry import parts_of
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import require_model
from kuzushiji_tf.runtime import termination_raised
from kuzushiji_tf.training.resuming import finished_run, resolved
from kuzushiji_tf.workdirs import CHECKPOINT_MINUTES, WorkDirectory, find_last, require_usable


@dataclass(frozen=True)
class TrainFlags:
    """Where the run goes and what it starts from; then every setting of the run itself."""

    recipe: Path | None = None  # a TOML file with the settings; flags given beside it win
    workdir: Path | None = None  # the folder of the run; default: runs/<dataset>-<model>-<number>
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    # continue an interrupted run (that of --workdir, or the last one); auto: if there is one, else start it, and do
    # nothing if it is finished
    resume: Resume = False
    # train a finished run (that of --workdir, or the last one) for so many more epochs; the rate then goes along the
    # schedule of all of them together: a cosine, which had ended at 0, rises to where it would be by then
    extend: int = 0
    overwrite: bool = False  # replace the run that --workdir holds, once nothing is wrong with the new one
    checkpoint_minutes: float = CHECKPOINT_MINUTES  # save within an epoch as often as this; 0: only after each
    dry_run: bool = False  # say what would be trained on what, in how many steps and how much memory, and write nothing
    devices: tuple[str, ...] = ()  # to train on, such as GPU:0 GPU:1; default: all GPUs, or else the processor
    # one device, several mirrored ones of this machine, or several machines; auto: what devices and TF_CONFIG ask for
    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"
    workers: str | None = None  # host:port,host:port of all machines that train together, as TF_CONFIG may name them
    worker_index: int | None = None  # which of the workers this is; 0 is the chief, who alone writes
    config: TrainingConfig = field(default_factory=TrainingConfig)


def default_flags(arguments: list[str]) -> TrainFlags:
    """Return the flags' defaults: those of the recipe, or of the run to resume or extend, that the arguments name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--resume", nargs="?", const=True, choices=["auto"])
    parser.add_argument("--extend", type=int, default=0)
    parser.add_argument("--workers")
    parser.add_argument("--worker-index", type=int)
    parser.add_argument("--strategy", default="auto")
    try:
        early, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return TrainFlags()
    if early.resume and not early.recipe and not _is_chief(_cluster_of(early)):
        return TrainFlags()  # the chief has the folder, and tells the others
    is_auto = early.resume == "auto"
    is_continued = (early.resume and not is_auto) or early.extend
    if early.recipe and is_continued:
        raise UserError(
            "--resume and --extend continue with the settings that the run was started with: leave --recipe out."
        )
    begun = early.workdir and WorkDirectory(early.workdir).config_file.exists()
    if is_continued or (is_auto and begun and not early.recipe):
        workdir = WorkDirectory(early.workdir) if early.workdir else find_last()
        return TrainFlags(workdir=workdir.path, config=workdir.config)
    return TrainFlags(config=load_recipe(early.recipe) if early.recipe else TrainingConfig())


def run(flags: TrainFlags) -> None:
    """Train, and say what to do next.

    Raises:
        UserError, MissingFileError: as `runs.train` does; what can be known before is said before anything is begun.
        KeyboardInterrupt: with a sentence that says how to continue.
    """
    if flags.overwrite and (flags.resume or flags.extend or not flags.workdir):
        raise UserError("--overwrite replaces the run that --workdir names: give both, and no --resume or --extend.")
    config = with_absolute_paths(flags.config)
    require_model(config.model, config.architecture)
    parts_of(config.dataset)  # refuses a name that nothing has
    cluster = _cluster_of(flags)
    if _is_chief(cluster) and not flags.extend and _is_finished(flags, config) and cluster is None:
        print(f"The run in {flags.workdir} is finished.")  # the machines of a cluster are to hear of it together
        return
    if flags.dry_run:
        _rehearse(flags)
        return
    if cluster:
        write_environment(cluster)
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "2":
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # of a worker that is gone TensorFlow says twenty lines
    with termination_raised():
        start_tensorflow(finds_devices=cluster is None)
        from kuzushiji_tf.training.runs import train
        from kuzushiji_tf.training.workers import LostWorkersError

        try:
            workdir = train(
                config,
                flags.workdir,
                data_dir=flags.data_dir,
                overwrite=flags.overwrite,
                resume=flags.resume,
                extend=flags.extend,
                checkpoint_minutes=flags.checkpoint_minutes,
                devices=flags.devices,
                strategy=flags.strategy,
                report=_say,
            )
        except LostWorkersError as lost:
            _end_at_once(lost)
    if not _is_chief(cluster):
        print(f"\nThe chief has the run, in {workdir.path}.")
        return
    result = workdir.description["result"]
    steps = [f"python evaluate.py {workdir.path}    (scores and pictures)"]
    if workdir.final.exists():  # a nearest-neighbor model has neither
        steps += [
            f"python export.py {workdir.path}      (SavedModel and TFLite)",
            f"tensorboard --logdir {workdir.tensorboard}",
        ]
    print(f"\n{result['parameters']:,} parameters, {result['minutes']:.1f} minutes. Next:")
    print("\n".join(f"  {step}" for step in steps))


def _is_finished(flags: TrainFlags, config: TrainingConfig) -> bool:
    """Return whether a run to be continued if need be has ended; refuse a folder that it cannot have, if not."""
    if flags.resume == "auto" and finished_run(flags.workdir, config):
        return True
    if flags.workdir:
        resume, overwrite = resolved(flags.resume, flags.overwrite, flags.workdir)
        require_usable(flags.workdir, config, overwrite, resume)
    return False


def _cluster_of(flags: TrainFlags | argparse.Namespace) -> Cluster | None:
    """Return the machines that train together; None: this one trains alone."""
    named = cluster_of_flags(flags.workers, flags.worker_index)
    if flags.strategy not in ("auto", "multiworker"):
        return None
    return named or cluster_of_environment()


def _is_chief(cluster: Cluster | None) -> bool:
    return cluster is None or cluster.index == 0


def _rehearse(flags: TrainFlags) -> None:
    """Print what a training would be."""
    if flags.resume or flags.extend:
        raise UserError("--dry-run shows a training from its beginning: leave --resume and --extend out.")
    start_tensorflow()
    from kuzushiji_tf.training.rehearsal import rehearse

    run, network = rehearse(flags.config, data_dir=flags.data_dir, devices=flags.devices)
    data, config, (rows, held_out) = run.dataset, run.config, run.rows
    height, width = data.image_size
    print(f"data    {data.name}, {len(data):,} images of {height} x {width} pixels, {len(data.classes):,} classes")
    print(f"split   {len(rows):,} to train on, {len(held_out):,} to validate on; those for testing are apart")
    if network:
        print(
            f"model   {config.model}, {network.parameters:,} parameters; {network.trained:,} of them are trained",
            end="",
        )
        print(f", {network.frozen} of {network.layers} layers before the classifier are not" if network.frozen else "")
        steps, total = network.steps_per_epoch, network.steps_per_epoch * config.epochs
        print(f"steps   {steps:,} of {config.batch_size} images an epoch, {total:,} in {config.epochs} epochs")
        parts = ", ".join(f"{name} {_megabytes(size)}" for name, size in network.memory.items())
        print(f"memory  about {_megabytes(sum(network.memory.values()))} beside TensorFlow's own: {parts}")
    else:
        print(f"model   {config.model}, which keeps the images and has no steps")
    print("Nothing was written.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _end_at_once(lost: UserError) -> NoReturn:
    """End the process with a sentence, without TensorFlow's farewell to machines that are gone, which takes long."""
    sys.stdout.flush()
    print(f"error: {lost}", file=sys.stderr, flush=True)
    os._exit(2)


def _say(message: str) -> None:
    print(message, flush=True)
