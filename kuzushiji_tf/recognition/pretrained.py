"""The recognizers that come with this package: exported folders, of which a wheel has the int8 files."""

from pathlib import Path

from kuzushiji_tf.errors import unknown_name
from kuzushiji_tf.models.registry import model_names
from kuzushiji_tf.recognition.cards import CARD

# In a checkout a link to its `saved_models`, which is the place that people know.
PRETRAINED = (Path(__file__).parent / "saved_models").resolve()


def pretrained_names() -> list[str]:
    """Return the names that `Recognizer.pretrained` takes."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CARD}"))


def list_models(pretrained: bool = False) -> list[str]:
    """Return the names of the models that can be trained, or of the recognizers that are trained already.

    The first are what `build_model` and `TrainingConfig.model` take, the others what `Recognizer.pretrained` takes.
    """
    return pretrained_names() if pretrained else model_names()


def pretrained_folder(name: str) -> Path:
    """Return the exported folder of a recognizer that comes with this package.

    Raises:
        UserError: there is none of that name.
    """
    names = pretrained_names()
    if name not in names:
        raise unknown_name("pretrained recognizer", name, names)
    return PRETRAINED / name
