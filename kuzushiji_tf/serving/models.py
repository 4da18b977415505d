"""The recognizers that are served, each in as many copies as there are threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from fastapi import HTTPException

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.recognition.cards import CARD, LABELS, read_card
from kuzushiji_tf.recognition.readings import Repertoire
from kuzushiji_tf.recognition.recognizer import Recognizer
from kuzushiji_tf.serving.site import MODEL_FILE, describe_model, find_models, preference

# What is handed out of an exported folder.
SERVED_FILES = {
    MODEL_FILE: "application/octet-stream",
    LABELS: "text/plain; charset=utf-8",
    CARD: "application/json",
}


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One recognizer.

    Attributes:
        name: of its folder.
        folder: as `export.py` wrote it.
        card: its `model.json`.
        labels: its classes.
        repertoire: the characters that it answers with.
        idle: copies that no thread uses: an interpreter serves one thread at a time.
    """

    name: str
    folder: Path
    card: dict[str, Any]
    labels: Labels
    repertoire: Repertoire
    idle: SimpleQueue = field(default_factory=SimpleQueue)

    @contextmanager
    def lend(self) -> Iterator[Recognizer]:
        """Lend a copy, waiting until one is idle."""
        recognizer = self.idle.get()
        try:
            yield recognizer
        finally:
            self.idle.put(recognizer)

    def describe(self) -> dict[str, Any]:
        """Return what a list of recognizers says about this one."""
        training = self.card.get("training", {})
        about = {name: training.get(name, "") for name in ("licence", "credit")}
        return describe_model(self.folder, self.repertoire) | about


def load_models(folder: Path, copies: int) -> dict[str, ServedModel]:
    """Load every exported folder inside a folder, by its name, in the order of `site.preference`.

    The int8 file of each is what reads.

    Raises:
        MissingFileError: nothing exported in it, or an exported folder without an int8 file.
        UserError: a recognizer is damaged.
    """
    models = []
    for path in find_models(folder):
        recognizers = [Recognizer(path, file="int8") for _ in range(copies)]
        first = recognizers[0]
        models.append(ServedModel(path.name, path, read_card(path), first.predictor.labels, first.repertoire))
        for recognizer in recognizers:
            models[-1].idle.put(recognizer)
    return {model.name: model for model in sorted(models, key=lambda model: preference(model.describe()))}


def choose_default(models: dict[str, ServedModel]) -> str:
    """Return the recognizer that is used unless a request names one: the first of `load_models`."""
    return next(iter(models))


def find_model(models: dict[str, ServedModel], name: str | None) -> ServedModel:
    """Return a recognizer by its name, or the default one.

    Raises:
        HTTPException: 404, there is none of that name.
    """
    name = choose_default(models) if name is None else name
    if name not in models:
        raise HTTPException(404, f"There is no model of that name; /v1/models lists: {', '.join(models)}.")
    return models[name]
