"""Train the stages of a chain, each in a folder of its own, each upon those before it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.runtime import versions_of
from kuzushiji_tf.training.checkpoints import load_checkpoint
from kuzushiji_tf.training.fitting import Sitting
from kuzushiji_tf.training.resuming import Resume
from kuzushiji_tf.transfer.config import PREDECESSORS, STAGES, TransferConfig
from kuzushiji_tf.transfer.data import ChainData, load_chain_data
from kuzushiji_tf.transfer.setups import Setup, set_up
from kuzushiji_tf.transfer.workdirs import KIND, ChainFolder, StageFolder, building_on
from kuzushiji_tf.workdirs import locked, take_unused

_VERSIONED = ("tensorflow", "keras", "numpy", "kanjivg", "shapely")


@dataclass(frozen=True)
class StageOptions:
    """Which stages to train, and how.

    Attributes:
        stages: in the order of `config.STAGES`.
        data_dir: where the files of Kuzushiji-Kanji are; None means `KUZUSHIJI_DATA`, then the download cache.
        overwrite: first remove these stages and all that build on them.
        resume: continue the one that was interrupted; `auto`: if there is one, and do nothing if all are finished.
        report: is told what happens, line by line.
    """

    stages: Sequence[str] = STAGES
    data_dir: Path | None = None
    overwrite: bool = False
    resume: Resume = False
    report: Callable[[str], None] = lambda _: None


def train_stages(config: TransferConfig, path: Path | None, options: StageOptions = StageOptions()) -> ChainFolder:
    """Train stages of a chain in its work directory.

    Of several stages those that are finished already are left as they are.

    Args:
        config: every setting; those of stages that stay must be the ones that they were trained with.
        path: the work directory; created if need be; None: the next free `runs/transfer-<number>`.
        options: which stages, and how.

    Raises:
        UserError: a stage is finished, was begun, builds on one that is not trained or has changed, or had other
            settings; the directory holds something else or is in use; or the loss became NaN.
        MissingFileError: the files of Kuzushiji-Kanji are not there, or there is no chain to resume.
        KeyboardInterrupt: the user stopped the run; its last step is in the stage's `checkpoints/`, and the
            sentence says how to continue.
    """
    chain = ChainFolder(path or take_unused(KIND))
    stages = options.stages
    if options.resume is True:
        _ = chain.config
    chain.require_predecessors(stages[0])  # before anything is written
    options.report(f"training a transfer chain in {chain.path}")
    with locked(chain.path), _told_how_to_continue(chain, stages):
        chain.require_ours()
        replaced = building_on(stages) if options.overwrite else ()
        waiting = _waiting(chain, stages, replaced, options.resume)
        _require_own_settings(chain, config, replaced)
        if not waiting:
            options.report(f"The training in {chain.path} is finished.")
            return chain
        data = load_chain_data(options.data_dir, config.use_variants)
        for name in reversed([name for name in replaced if chain.stage(name).is_begun]):
            options.report(f"removing the earlier {name}")
            chain.stage(name).clear()
        chain.describe(config, versions_of(_VERSIONED))
        for name in waiting:
            chain.require_predecessors(name)
            options.report(f"preparing {name} in {chain.stage(name).path}")
            _train_stage(chain.stage(name), config, chain, data, options.report)
    return chain


@contextmanager
def _told_how_to_continue(chain: ChainFolder, stages: Sequence[str]) -> Iterator[None]:
    """Give a KeyboardInterrupt the sentence that says how to continue the training, where it can be."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not chain.config_file.exists():
            raise
        command = chain.command(stages[0] if len(stages) == 1 else "all")
        raise type(stop)(f"Stopped; the last step is kept; continue with: {command} --resume") from None


def _waiting(chain: ChainFolder, stages: Sequence[str], replaced: Sequence[str], resume: Resume) -> list[str]:
    """Return which of the stages asked for are to be trained."""
    waiting = [name for name in stages if name in replaced or not chain.stage(name).is_finished]
    begun = [name for name in waiting if name not in replaced and chain.stage(name).is_resumable]
    if not waiting:
        for name in stages:
            chain.require_unchanged(name)
        if resume == "auto":
            return []
        what = " and ".join(building_on(stages))
        raise UserError(
            f"In {chain.path} {' and '.join(stages)} {'is' if len(stages) == 1 else 'are'} already trained: replace "
            f"{what} with --overwrite, or choose another --workdir."
        )
    if begun and not resume:
        raise UserError(
            f"{chain.path} already holds an unfinished {begun[0]}: continue it with --resume, or replace it, and "
            "what builds on it, with --overwrite."
        )
    return waiting


def _require_own_settings(chain: ChainFolder, config: TransferConfig, replaced: Sequence[str]) -> None:
    """Check that the stages that stay were trained with the settings that the chain is to have."""
    for name in STAGES:
        folder = chain.stage(name)
        if name in replaced or not (folder.is_finished or folder.is_resumable):
            continue
        before, now = folder.description["settings"], config.settings_of(name)
        changed = [setting for setting in now if now[setting] != before.get(setting)]
        if changed:
            raise UserError(
                f"{name} in {chain.path} has {changed[0]} = {before.get(changed[0])}, not {now[changed[0]]}: keep its "
                f"settings, or train it, and what builds on it, again with --stage {name} --overwrite."
            )


def _train_stage(
    folder: StageFolder, config: TransferConfig, chain: ChainFolder, data: ChainData, report: Callable[[str], None]
) -> None:
    name = folder.name
    if folder.is_resumable:
        chain.require_unchanged(name)
    else:
        folder.clear()
    setup = set_up(name, config, chain, data)
    if folder.is_resumable:
        if setup.data["content_hash"] != folder.description["data"].get("content_hash"):
            raise UserError(
                f"The data is no longer what {name} in {chain.path} was started with: restore that data, or "
                "start again with --overwrite."
            )
    else:
        description = {
            "stage": name,
            "settings": config.settings_of(name),
            "data": setup.data,
            "predecessors": {other: chain.stage(other).digest() for other in PREDECESSORS[name]},
        }
        write_json(folder.description_file, description)
    figures = _fit(setup, folder, report)
    folder.finish({"parameters": setup.model.count_params(), **figures, **setup.save()})


def _fit(setup: Setup, folder: StageFolder, report: Callable[[str], None]) -> dict[str, Any]:
    restored = load_checkpoint(folder.checkpoints, setup.model, report)
    table = folder.name.split("-")[0]
    sitting = Sitting(
        folder,
        setup.plan,
        setup.epochs,
        restored,
        others=setup.callbacks,
        figures=setup.figures,
        shown=setup.figures,
        title=folder.name,
        advice=f"lower {table}.learning_rate in the recipe",
    )
    return sitting.fit(setup.model, setup.batches(restored.first_step(setup.plan.steps_per_epoch)), setup.validation)
