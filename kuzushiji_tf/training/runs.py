"""Train one recognizer: a function over (config, work directory)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kuzushiji_tf.batches.loading import (
    hash_of_test,
    note_on_few_steps,
    options_of_run,
    require_square,
    with_absolute_paths,
)
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.models import require_model
from kuzushiji_tf.models.neighbors import is_neighbors
from kuzushiji_tf.training.checkpoints import last_checkpoint
from kuzushiji_tf.training.distillation import find_teacher
from kuzushiji_tf.training.distribution import choose_devices, device_name
from kuzushiji_tf.training.preparation import Run
from kuzushiji_tf.training.starting import find_start
from kuzushiji_tf.workdirs import WorkDirectory, find_last, reserved


def train(  # noqa: PLR0913 -- the public function: each is a keyword of its own
    config: TrainingConfig,
    folder: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    devices: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> WorkDirectory:
    """Train a recognizer in a work directory.

    Args:
        config: every setting.
        folder: the work directory, created if need be; None: the next free one in `runs/`, or the last one there to
            `resume`.
        data_dir: where the data set's files are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: replace an earlier run there, once nothing is wrong with the new one.
        resume: continue an interrupted run there; its config must be `config`.
        devices: to train on, such as `GPU:1`; None: all visible GPUs, or the processor where there is none.
        report: is told what begins, once nothing is wrong with the settings, the data and the folder; and which
            checkpoint is damaged.

    Returns:
        The work directory, with the run's result in its `description`.

    Raises:
        UserError: the directory holds another run or is in use, a setting is wrong, the images are not square, the loss
            became NaN, the disk is full, or every checkpoint is damaged.
        MissingFileError: the data set's files are not there.
        KeyboardInterrupt: the user stopped the run; the sentence says how to continue.
    """
    config = with_absolute_paths(config)
    require_model(config.model, config.architecture)
    chosen = ["CPU:0"] if is_neighbors(config.model) else choose_devices(devices)
    path = Path(folder) if folder else find_last().path if resume else None
    options = options_of_run(config, Path(data_dir) if data_dir else None)
    dataset = load_dataset(config.dataset, "train", options)
    require_square(dataset)
    teacher = find_teacher(config.distillation.teacher, dataset) if config.distillation.teacher else None
    start = None if resume else find_start(config, dataset)
    with reserved(path, config, overwrite, resume) as workdir, _told_how_to_continue(workdir):
        run = Run(config, workdir, dataset, teacher, start, resume)
        if resume:
            run.require_unchanged()
        training = run.prepare_neighbors() if is_neighbors(config.model) else run.prepare_network(chosen, report)
        if not resume:
            run.take_folder(hash_of_test(config, options))
        on = f"{', '.join(chosen)} ({device_name(chosen)})"
        report(f"training {config.model} on {config.dataset} in {workdir.path}, computed on {on}")
        if not is_neighbors(config.model) and (note := note_on_few_steps(config, dataset)):
            report(note)
        workdir.finish(training())
    return workdir


@contextmanager
def _told_how_to_continue(workdir: WorkDirectory) -> Iterator[None]:
    """Give a KeyboardInterrupt the sentence that says how to continue the run, where it can be."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not workdir.has_checkpoint or "result" in workdir.description:
            raise
        raise type(stop)(
            f"Stopped; {last_checkpoint(workdir.checkpoints)}; continue with: "
            f"python train.py --resume --workdir {workdir.path}"
        ) from None
