"""A chain's settings: every default is valid, every mistake is one sentence, each stage knows which are its."""

import dataclasses
import json
from pathlib import Path

import pytest

from kuzushiji_tf.config import config_from_dict, load_recipe
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.transfer.config import PREDECESSORS, STAGES, TransferConfig

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "transfer").glob("*.toml"))


def test_config_comes_back_from_json_as_it_was():
    config = TransferConfig(seed=3, use_variants=True)
    assert config_from_dict(json.loads(json.dumps(config.to_dict())), "config.json", TransferConfig) == config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs = 3", "[mdn]"),
        ("[vae]\nepoch_old = 3", "'vae.epochs_old'"),
        ("[sketh]\nunits = 3", "'sketch'"),
        ("latent = 64.0", "64.0"),
        ("mdn = 3", "mdn"),
        ("seed = -1", "seed is -1"),
        ("latent = 0", "latent is 0"),
        ('[vae]\nprecision = "half"', "vae.precision is 'half'"),
        ("[vae]\nwidth = 0", "vae.width is 0.0"),
        ("[vae]\nfloor = -1", "vae.floor is -1.0"),
        ("[vae]\nepochs_new = 0", "vae.epochs_new is 0"),
        ("[mdn]\ndropout = 1", "mdn.dropout is 1.0"),
        ("[mdn]\nlearning_rate = nan", "mdn.learning_rate is nan"),
        ("[mdn]\ncomponents = 0", "mdn.components is 0"),
        ("[sketch]\nlongest = 0", "sketch.longest is 0"),
        ("[sketch]\nrecurrent_dropout = 1", "sketch.recurrent_dropout is 1.0"),
        ("[sketch]\ndecay = 1.5", "sketch.decay is 1.5"),
        ("[sketch]\nminimum_rate = 0.1", "sketch.learning_rate (0.001)"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, problem):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_recipe(path, TransferConfig)
    assert problem in str(caught.value) and str(caught.value).startswith(str(path))


def test_a_recognizers_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"kmnist\.toml.*'dataset'"):
        load_recipe(RECIPES[0].parents[1] / "kmnist.toml", TransferConfig)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_opens_with_its_command(recipe):
    assert load_recipe(recipe, TransferConfig) != TransferConfig()
    first = recipe.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# python -m kuzushiji_tf transfer train --recipe recipes/transfer/{recipe.name}"


def test_a_setting_belongs_to_the_stages_that_read_it():
    def stages_changed(**settings):
        config = TransferConfig(**settings)
        return {name for name in STAGES if config.settings_of(name) != TransferConfig().settings_of(name)}

    base = TransferConfig()
    assert stages_changed(seed=1) == stages_changed(latent=32) == stages_changed(use_variants=True) == set(STAGES)
    assert stages_changed(jit=True) == set()
    assert stages_changed(vae=dataclasses.replace(base.vae, epochs_old=1)) == {"vae-old"}
    assert stages_changed(vae=dataclasses.replace(base.vae, epochs_new=1)) == {"vae-new"}
    assert stages_changed(vae=dataclasses.replace(base.vae, width=0.5)) == {"vae-old", "vae-new"}
    assert stages_changed(mdn=dataclasses.replace(base.mdn, epochs=1)) == {"mdn"}
    assert stages_changed(sketch=dataclasses.replace(base.sketch, epsilon=2.0)) == {"sketch"}


def test_a_stage_builds_on_earlier_ones():
    for place, name in enumerate(STAGES):
        assert set(PREDECESSORS[name]) <= set(STAGES[:place])
