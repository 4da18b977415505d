"""Which file of a folder is the recognizer, what its classes are, and how its images are brought to size."""

from dataclasses import dataclass
from pathlib import Path

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError, unknown_name
from kuzushiji_tf.files import content_sha256
from kuzushiji_tf.recognition.cards import CARD, EXPORTED_FILES, LABELS, find_embedded, read_card
from kuzushiji_tf.workdirs import WorkDirectory

SUFFIXES = (".keras", ".tflite", ".npz")
UNSAFE = (".h5", ".hdf5", ".pkl", ".pickle", ".joblib", ".pt", ".pth")  # may run code when they are read


@dataclass(frozen=True)
class Located:
    """A file that holds a recognizer.

    Attributes:
        path: the file, or the folder of a SavedModel.
        labels_file: where its classes stand, if there is such a file.
        normalization: as `Predictor.normalization`.
        own_labels: the classes inside the file, where it has them.
    """

    path: Path
    labels_file: Path
    normalization: str = "none"
    own_labels: Labels | None = None

    def labels(self) -> Labels:
        """Read the classes: those beside the file, or, where there are none, those inside.

        Raises:
            UserError: they are damaged, or nowhere.
        """
        if self.labels_file.exists():
            return Labels.read(self.labels_file)
        if self.own_labels is None:
            raise UserError(f"The classes of {self.path} are unknown: put their {LABELS} beside it.")
        return self.own_labels


def locate(path: Path, file: str | None = None) -> Located:
    """Find the recognizer that a path names; the arguments of `predictors.load_predictor`.

    Raises:
        MissingFileError: there is none, or not that file of it.
        UserError: the path is something else, or the file is damaged.
    """
    if not path.exists():
        raise MissingFileError(f"There is no recognizer at {path}.")
    if path.is_dir() and (path / "config.json").exists():
        return _in_work_directory(path, file or "final")
    if path.is_dir() and (path / CARD).exists():
        return _in_exported_folder(path, file or _first_file(path))
    if file is not None:
        raise UserError(
            f"{path} is neither a work directory nor an exported folder, so no file {file!r} can be chosen."
        )
    if path.is_dir() and not (path / "saved_model.pb").exists():
        raise UserError(f"{path} holds no recognizer: it has no config.json, {CARD} or saved_model.pb.")
    if path.is_file() and path.suffix.lower() in UNSAFE:
        raise UserError(
            f"{path} is of a format that can run code when it is read, so it is never read: name a .keras or .tflite "
            "file."
        )
    if path.is_file() and path.suffix not in SUFFIXES:
        raise UserError(f"{path} is not a recognizer: its name must end in one of {', '.join(SUFFIXES)}.")
    return _lone_file(path)


def _lone_file(path: Path) -> Located:
    siblings = path.resolve().parent
    if (siblings / CARD).exists() and path.name in EXPORTED_FILES.values():
        return _in_exported_folder(path.parent, next(key for key, name in EXPORTED_FILES.items() if name == path.name))
    if path.suffix == ".tflite" and (inside := find_embedded(path)):
        labels, card = inside
        return Located(path, siblings / LABELS, card["input"]["normalization"], labels)
    is_of_run = (siblings / "config.json").exists()
    return Located(path, siblings / LABELS, WorkDirectory(siblings).data["normalization"] if is_of_run else "none")


def _in_work_directory(path: Path, file: str) -> Located:
    workdir = WorkDirectory(path)
    files = {"final": workdir.final, "best": workdir.best}
    if file not in files:
        raise unknown_name("file of a work directory", file, files)
    found = files[file]
    if file == "final" and workdir.neighbors.exists() and not found.exists():
        found = workdir.neighbors
    if not found.exists():
        raise MissingFileError(
            f"{path} holds no {found.name}; finish it with: python train.py --resume --workdir {path}"
        )
    return Located(found, workdir.labels_file, workdir.data["normalization"])


def _in_exported_folder(folder: Path, file: str) -> Located:
    if file not in EXPORTED_FILES:
        raise unknown_name("file of an exported folder", file, EXPORTED_FILES)
    card = read_card(folder)
    path = folder / EXPORTED_FILES[file]
    if not path.exists():
        present = ", ".join(key for key, name in EXPORTED_FILES.items() if (folder / name).exists()) or "none"
        raise MissingFileError(f"{folder} holds no {path.name}; the files that it has: {present}.")
    described = card["files"].get(path.name, {}).get("sha256")
    if described is not None and described != content_sha256(path):
        raise UserError(f"{path} is damaged: it is not the file that {folder / CARD} describes; export it again.")
    return Located(path, folder / LABELS, card["input"]["normalization"])


def _first_file(folder: Path) -> str:
    return next((key for key, name in EXPORTED_FILES.items() if (folder / name).exists()), "float32")
