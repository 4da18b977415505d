"""Layers that are left as they were: chosen by names that do not depend on what else a process has built."""

import pytest

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model
from kuzushiji_tf.training.freezing import freeze, layer_names


def built(name="preact_resnet12"):
    return build_model(name, 16, 5)


def frozen(model):
    return {name for layer, name in layer_names(model).items() if not layer.trainable}


def test_layers_have_the_same_names_however_many_models_were_built_before():
    names = [list(layer_names(built()).values()) for _ in range(2)]
    assert names[0] == names[1] and len(set(names[0])) == len(names[0])
    assert names[0][0] == "stage1/conv2d_1" and "stage2/batch_normalization_1" in names[0]


def test_a_stage_is_frozen_by_its_name_and_single_layers_by_theirs():
    model = built()
    freeze(model, ("stage1/*", "*/batch_normalization_1"))
    names = set(layer_names(model).values())
    first = {name for name in names if name.startswith("stage1/")}
    assert frozen(model) == first | {"stage2/batch_normalization_1", "stage3/batch_normalization_1"}
    assert len(first) > 5 and not model.get_layer("mixable_1").weights


def test_names_that_a_model_gave_are_kept():
    assert "stage1/stem_conv" in layer_names(built("efficientnet_b0")).values()
    assert {"stage3/pooling", "stage3/head"} <= set(layer_names(built("small_cnn")).values())


def test_the_classifier_learns_in_any_case():
    model = built()
    freeze(model, ("*",))
    assert [weight.path.split("/")[0] for weight in model.trainable_weights] == ["logits", "logits"]


@pytest.mark.parametrize("pattern", ["stem*", "logits", "stage4/*", ""])
def test_a_pattern_that_fits_no_layer_is_refused_with_some_that_there_are(pattern):
    with pytest.raises(UserError, match=rf"'{pattern.replace('*', '.')}'.*stage1/conv2d_1"):
        freeze(built(), (pattern,))


def test_what_has_no_classifier_cannot_be_frozen_whole():
    freeze(build_model("capsnet", 20, 5), ("stage1/*",))
    with pytest.raises(UserError, match="no classifier"):
        freeze(build_model("capsnet", 20, 5), ("*",))
