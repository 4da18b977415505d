"""The work directory of a chain: a folder for each stage, and what says whether the stages fit together.

config.json   every setting, versions
vae-old/      a stage, as are vae-new/, mdn/ and sketch/:
  stage.json    its settings, its data, its predecessors' digests and, when it is finished, its result
  history.csv   one row an epoch
  tensorboard/  event files
  checkpoints/  the last two states that were saved, for --resume
  *.keras, *.npy  what it learned: `WEIGHTS`
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuzushiji_tf.config import config_from_dict
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import read_json, write_json
from kuzushiji_tf.transfer.config import PREDECESSORS, STAGES, TransferConfig
from kuzushiji_tf.workdirs import RUNS, TrainingFolder, foreign_files, run_folders

KIND = "transfer"  # says that a config.json is a chain's
WEIGHTS = {
    "vae-old": ("encoder.keras", "decoder.keras"),
    "vae-new": ("encoder.keras", "decoder.keras"),
    "mdn": ("mdn.keras", "unigram.npy"),
    "sketch": ("decoder.keras",),
}


@dataclass(frozen=True)
class StageFolder(TrainingFolder):
    """Paths and contents of one stage's folder."""

    name: str

    @property
    def description_file(self) -> Path:
        return self.path / "stage.json"

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of what the stage learned."""
        return tuple(self.path / name for name in WEIGHTS[self.name])

    @property
    def description(self) -> dict[str, Any]:
        """The contents of stage.json: `settings`, `data`, `predecessors` and, when the stage is finished, `result`.

        Raises:
            UserError: it is damaged.
        """
        return _read(self.description_file, {"settings", "data", "predecessors"})

    @property
    def is_begun(self) -> bool:
        return self.description_file.exists()

    @property
    def is_finished(self) -> bool:
        return self.is_begun and "result" in self.description

    @property
    def is_resumable(self) -> bool:
        return self.is_begun and not self.is_finished and self.has_checkpoint

    def digest(self) -> str:
        """Return the SHA-256 (hex) over the weight files.

        Raises:
            MissingFileError: one is not there.
        """
        digest = hashlib.sha256()
        for file in self.weights:
            if not file.is_file():
                raise MissingFileError(f"{file} is missing: train {self.name} again with --overwrite.")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def finish(self, result: dict[str, Any]) -> None:
        """Mark the stage as finished, with its result."""
        write_json(self.description_file, {**self.description, "result": result})

    def clear(self) -> None:
        """Remove the stage's own files, and nothing else.

        Raises:
            UserError: files with these names are not those of a stage.
        """
        files = (self.description_file, self.history_file, *self.weights)
        folders = (self.tensorboard, self.checkpoints)
        ours = [part for part in (*files, *folders) if part.exists()]
        if ours and not self.is_begun:
            raise UserError(f"{self.path} holds {ours[0].name}, but not a trained stage; choose another --workdir.")
        for part in files:
            part.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class ChainFolder:
    """Paths and contents of a chain's work directory."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def config(self) -> TransferConfig:
        """The chain's settings.

        Raises:
            MissingFileError: this is no work directory of a chain.
            UserError: its config.json is damaged, or not a chain's.
        """
        if not self.config_file.is_file():
            raise MissingFileError(f"{self.path} is not a chain's work directory: it has no config.json.")
        description = _read(self.config_file, {"config", "versions"})
        if description.get("kind") != KIND:
            raise UserError(f"{self.config_file} does not describe a chain: its kind must be {KIND}.")
        return config_from_dict(description["config"], str(self.config_file), TransferConfig)

    def stage(self, name: str) -> StageFolder:
        """Return the folder of a stage, which need not be there."""
        return StageFolder(self.path / name, name)

    def describe(self, config: TransferConfig, versions: dict[str, str]) -> None:
        """Write config.json."""
        write_json(self.config_file, {"kind": KIND, "config": config.to_dict(), "versions": versions})

    def require_ours(self) -> None:
        """Check that the folder holds a chain, or nothing.

        Raises:
            UserError: it holds something else.
        """
        if self.config_file.exists():
            _ = self.config
            return
        others = foreign_files(self.path)
        if others:
            raise UserError(f"{self.path} holds other files ({others[0]}) and no chain; choose another --workdir.")

    def require_predecessors(self, name: str) -> None:
        """Check that what a stage builds on is finished, and has not changed since it was built upon.

        Raises:
            UserError: it is not; the sentence says which command to run.
        """
        for predecessor in PREDECESSORS[name]:
            folder = self.stage(predecessor)
            if not folder.is_finished:
                resume = " --resume" if folder.is_resumable else ""
                raise UserError(
                    f"{name} builds on {predecessor}, which is not trained in {self.path}; train that first with: "
                    f"{self.command(predecessor)}{resume}"
                )
        for predecessor in PREDECESSORS[name]:
            self.require_unchanged(predecessor)

    def require_unchanged(self, name: str) -> None:
        """Check that the predecessors of a begun stage still have the weights that it was built upon.

        Raises:
            UserError: one has others; the sentence says what to do.
        """
        for predecessor, known in self.stage(name).description["predecessors"].items():
            found = self.stage(predecessor).digest()
            if found != known:
                raise UserError(
                    f"{name} in {self.path} was trained on weights of {predecessor} with SHA-256 {known[:12]}, which "
                    f"are {found[:12]} now; train it, and what builds on it, again with: {self.command(name)} "
                    "--overwrite"
                )

    def require_finished(self) -> None:
        """Check that every stage is finished, and builds on the weights that are there.

        Raises:
            MissingFileError: this is no work directory of a chain.
            UserError: a stage is not, or does not; the sentence says which command to run.
        """
        _ = self.config
        for name in STAGES:
            self.require_predecessors(name)
        last = STAGES[-1]
        if not self.stage(last).is_finished:
            raise UserError(f"{last} is not trained in {self.path}; train it with: {self.command(last)}")
        self.require_unchanged(last)

    def digests(self) -> dict[str, str]:
        """Return the digest of each stage's weights, which say what an evaluation was made of."""
        return {name: self.stage(name).digest() for name in STAGES}

    def command(self, stage: str) -> str:
        """Return the command that trains a stage here."""
        return f"python -m kuzushiji_tf transfer train --stage {stage} --workdir {self.path}"


def building_on(names: Sequence[str]) -> tuple[str, ...]:
    """Return stages and all that build on them, in the order of training."""
    return tuple(name for name in STAGES if name in names or set(names) & set(PREDECESSORS[name]))


def find_last_chain(root: Path = RUNS) -> ChainFolder:
    """Return the chain under `root` whose training was begun last.

    Raises:
        MissingFileError: there is none yet.
    """
    folders = run_folders(KIND, root)
    if not folders:
        raise MissingFileError(
            f"There is no chain under {root}/ yet; train one with: python -m kuzushiji_tf transfer train"
        )
    return ChainFolder(folders[-1])


def _read(file: Path, keys: set[str]) -> dict[str, Any]:
    description = read_json(file)
    if not isinstance(description, dict) or not keys <= description.keys():
        raise UserError(f"{file} is damaged: it must hold {', '.join(sorted(keys))}.")
    return description
