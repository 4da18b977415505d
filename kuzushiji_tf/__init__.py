"""Recognizers of Japanese characters, cursive (kuzushiji) and modern: train, evaluate, export, embed.

Each name below is imported when it is first used: `import kuzushiji_tf` itself costs nothing, and whoever only reads
characters never loads TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # by their own names again, which says that they are re-exported
    from kuzushiji_tf.batches.tf_datasets import as_tf_dataset as as_tf_dataset
    from kuzushiji_tf.characters.labels import Labels as Labels
    from kuzushiji_tf.config import Architecture as Architecture
    from kuzushiji_tf.config import ImageAugmentation as ImageAugmentation
    from kuzushiji_tf.config import TrainingConfig as TrainingConfig
    from kuzushiji_tf.config import load_recipe as load_recipe
    from kuzushiji_tf.datasets.core import CharacterDataset as CharacterDataset
    from kuzushiji_tf.datasets.registry import LoadOptions as LoadOptions
    from kuzushiji_tf.datasets.registry import dataset_names as dataset_names
    from kuzushiji_tf.datasets.registry import load_dataset as load_dataset
    from kuzushiji_tf.datasets.registry import register_dataset as register_dataset
    from kuzushiji_tf.errors import UserError as UserError
    from kuzushiji_tf.evaluation.evaluating import evaluate as evaluate
    from kuzushiji_tf.exporting.folders import export as export
    from kuzushiji_tf.ink.normalization import draw_ink as draw_ink
    from kuzushiji_tf.ink.normalization import fit_image as fit_image
    from kuzushiji_tf.models.building import Seeds as Seeds
    from kuzushiji_tf.models.registry import ModelEntry as ModelEntry
    from kuzushiji_tf.models.registry import build_model as build_model
    from kuzushiji_tf.models.registry import register_model as register_model
    from kuzushiji_tf.recognition.pretrained import list_models as list_models
    from kuzushiji_tf.recognition.pretrained import pretrained_names as pretrained_names
    from kuzushiji_tf.recognition.readings import Candidate as Candidate
    from kuzushiji_tf.recognition.readings import Reading as Reading
    from kuzushiji_tf.recognition.recognizer import Recognizer as Recognizer
    from kuzushiji_tf.recognition.words import Segment as Segment
    from kuzushiji_tf.recognition.words import TextCandidate as TextCandidate
    from kuzushiji_tf.training.runs import train as train

__version__ = "0.2.0"

# Name -> the module that it comes from; the imports above say the same to type checkers.
_MODULES = {
    "Architecture": "config",
    "Candidate": "recognition.readings",
    "CharacterDataset": "datasets.core",
    "ImageAugmentation": "config",
    "Labels": "characters.labels",
    "LoadOptions": "datasets.registry",
    "ModelEntry": "models.registry",
    "Reading": "recognition.readings",
    "Recognizer": "recognition.recognizer",
    "Segment": "recognition.words",
    "Seeds": "models.building",
    "TextCandidate": "recognition.words",
    "TrainingConfig": "config",
    "UserError": "errors",
    "as_tf_dataset": "batches.tf_datasets",
    "build_model": "models.registry",
    "dataset_names": "datasets.registry",
    "draw_ink": "ink.normalization",
    "evaluate": "evaluation.evaluating",
    "export": "exporting.folders",
    "fit_image": "ink.normalization",
    "list_models": "recognition.pretrained",
    "load_dataset": "datasets.registry",
    "load_recipe": "config",
    "pretrained_names": "recognition.pretrained",
    "register_dataset": "datasets.registry",
    "register_model": "models.registry",
    "train": "training.runs",
}

__all__ = sorted([*_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kuzushiji_tf.runtime import extra_needed, native_notes_hidden

    with extra_needed(), native_notes_hidden():
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return __all__
