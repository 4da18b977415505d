"""`transfer`: a chain from kuzushiji kanji to modern ones, trained, used, scored, drawn and exported."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from kuzushiji_tf.cli import transfer_use as use
from kuzushiji_tf.cli.actions import action_defaults
from kuzushiji_tf.cli.resuming import Resume
from kuzushiji_tf.config import load_recipe
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.runtime import termination_raised
from kuzushiji_tf.training.resuming import require_folder
from kuzushiji_tf.transfer.config import STAGES, TransferConfig
from kuzushiji_tf.transfer.workdirs import KIND, ChainFolder, find_last_chain
from kuzushiji_tf.workdirs import unused_path


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Train the stages of a chain; the later ones build on the earlier ones.

    All stages are kept in one work directory, each in a folder of its own. A finished stage is not trained again.
    """

    # the stage to train; all: those that are not finished, in order
    stage: Literal["vae-old", "vae-new", "mdn", "sketch", "all"] = "all"
    recipe: Path | None = None  # a TOML file with the settings; default: those of the chain in --workdir
    workdir: Path | None = None  # the chain; default: a new runs/transfer-<number>, for one stage the last chain
    data_dir: Path | None = None  # where Kuzushiji-Kanji is; default: KUZUSHIJI_DATA, then a download
    # continue an interrupted training (of --workdir, or the last one); auto: if there is one, else start it, and do
    # nothing if it is finished
    resume: Resume = False
    overwrite: bool = False  # replace the stage that --workdir holds, and all that build on it


TransferFlags = (
    Annotated[TrainFlags, tyro.conf.subcommand("train")]
    | Annotated[use.GenerateFlags, tyro.conf.subcommand("generate")]
    | Annotated[use.EvaluateFlags, tyro.conf.subcommand("evaluate")]
    | Annotated[use.FigureFlags, tyro.conf.subcommand("figure")]
    | Annotated[use.ExportFlags, tyro.conf.subcommand("export")]
)


def default_flags(arguments: list[str]) -> Any:
    """Return the flags' defaults, as `actions.action_defaults`.

    Raises:
        UserError: as that.
    """
    return action_defaults("transfer", arguments, _ACTIONS)


def run(flags: Any) -> dict[str, Any] | None:
    """Do what was asked for, and return the answer of those that have one.

    Raises:
        UserError, MissingFileError: a name, a folder or a file is not as it should be.
        KeyboardInterrupt: with a sentence that says how to continue.
    """
    return _ACTIONS[type(flags)](flags)


def train(flags: TrainFlags) -> None:
    """Train stages of a chain, and say what to do next.

    Raises:
        UserError, MissingFileError: as `stages.train_stages` does, or flags contradict each other.
        KeyboardInterrupt: with a sentence that says how to continue.
    """
    is_auto = flags.resume == "auto"
    if is_auto:
        require_folder(flags.workdir)
    if flags.resume and flags.recipe and not is_auto:
        raise UserError("--resume continues with the settings that the training was started with: leave --recipe out.")
    if flags.overwrite and (flags.resume or not flags.workdir):
        raise UserError("--overwrite needs --workdir and excludes --resume: it replaces what that folder holds.")
    chain = _chain_of(flags)
    config = load_recipe(flags.recipe, TransferConfig) if flags.recipe else _settings_of(chain, flags)
    stages = STAGES if flags.stage == "all" else (flags.stage,)
    chain.require_predecessors(stages[0])  # said at once, before TensorFlow is loaded
    from kuzushiji_tf.batches.startup import start_tensorflow

    with termination_raised():
        start_tensorflow()
        from kuzushiji_tf.transfer.stages import StageOptions, train_stages

        options = StageOptions(stages, flags.data_dir, flags.overwrite, flags.resume, partial(print, flush=True))
        is_new = not (flags.workdir or chain.path.exists())
        chain = train_stages(config, None if is_new else chain.path, options)
    print(f"\nNext:\n{_next_step(chain)}")


def _chain_of(flags: TrainFlags) -> ChainFolder:
    """Return the chain of the flags, which need not be there yet."""
    if flags.workdir:
        return ChainFolder(flags.workdir)
    if flags.resume:
        return find_last_chain()
    new = ChainFolder(unused_path(KIND))
    try:
        return new if flags.stage == "all" else find_last_chain()
    except MissingFileError:
        return new


def _settings_of(chain: ChainFolder, flags: TrainFlags) -> TransferConfig:
    """Return the settings of a chain that exists, or the defaults for a new one."""
    return chain.config if flags.resume is True or chain.config_file.exists() else TransferConfig()


def _next_step(chain: ChainFolder) -> str:
    missing = [name for name in STAGES if not chain.stage(name).is_finished]
    if missing:
        return f"  {chain.command(missing[0])}"
    commands = ("evaluate", "scores"), ("figure", "pictures"), ("export", "files for use")
    return "\n".join(f"  python -m kuzushiji_tf transfer {name} {chain.path}    ({what})" for name, what in commands)


_ACTIONS: dict[type, Callable[[Any], dict[str, Any] | None]] = {
    TrainFlags: train,
    use.GenerateFlags: use.generate,
    use.EvaluateFlags: use.evaluate,
    use.FigureFlags: use.figure,
    use.ExportFlags: use.export,
}
