"""What `import kuzushiji_tf` offers, frozen: a name that comes or goes has to come or go here too."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import kuzushiji_tf


def test_the_public_names_are_these_and_no_others():
    assert kuzushiji_tf.__all__ == [
        "Architecture",
        "Candidate",
        "CharacterDataset",
        "ImageAugmentation",
        "Labels",
        "LoadOptions",
        "ModelEntry",
        "Reading",
        "Recognizer",
        "Seeds",
        "Segment",
        "TextCandidate",
        "TrainingConfig",
        "UserError",
        "__version__",
        "as_tf_dataset",
        "build_model",
        "dataset_names",
        "draw_ink",
        "evaluate",
        "export",
        "fit_image",
        "list_models",
        "load_dataset",
        "load_recipe",
        "pretrained_names",
        "register_dataset",
        "register_model",
        "train",
    ]
    assert dir(kuzushiji_tf) == kuzushiji_tf.__all__


@pytest.mark.parametrize("name", [name for name in kuzushiji_tf.__all__ if name != "__version__"])
def test_each_public_name_is_there_and_documented(name):
    value = getattr(kuzushiji_tf, name)
    assert value.__name__ == name
    assert len(inspect.getdoc(value)) > 20


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(kuzushiji_tf.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazily = {name: f"kuzushiji_tf.{module}" for name, module in kuzushiji_tf._MODULES.items()}
    assert seen == lazily


def test_the_examples_need_no_other_names():
    examples = Path(kuzushiji_tf.__file__).parents[1] / "examples"
    paths = [*examples.glob("*/*.py"), *examples.glob("*.ipynb")]
    assert len(paths) >= 4
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"(?:from|import) kuzushiji_tf\b[\w. ]*", text) == ["import kuzushiji_tf as kt"], path


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="recogniser"):
        kuzushiji_tf.recogniser  # noqa: B018
