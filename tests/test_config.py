"""Settings: every default is valid, every mistake is one sentence that names the file and the setting."""

import dataclasses
import json
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from kuzushiji_tf.config import (
    SCHEMA,
    ImageAugmentation,
    Leaderboard,
    TrainingConfig,
    config_as_known,
    config_from_dict,
    load_leaderboard,
    load_recipe,
)
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.workdirs import WorkDirectory

CHANGED = TrainingConfig(
    dataset="kmnist",
    image_size=32,
    schedule="plateau",
    early_stopping_patience=4,
    jit=True,
    augmentation=ImageAugmentation(rotation_range=10.0, brightness_range=(0.5, 1.5), fill_mode="nearest"),
)


def refusal(tmp_path, text: str) -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence.removeprefix(str(path))


@pytest.mark.parametrize("cls", [TrainingConfig, ImageAugmentation])
def test_every_default_has_the_type_that_its_setting_asks_for(cls):
    hints = get_type_hints(cls)
    for setting in dataclasses.fields(cls):
        hint, value = hints[setting.name], getattr(cls(), setting.name)
        if get_origin(hint) is Literal:
            assert value in get_args(hint), setting.name
        elif type(None) not in get_args(hint) or value is not None:
            assert type(value) is (get_origin(hint) or hint), setting.name


@pytest.mark.parametrize("config", [TrainingConfig(), CHANGED], ids=["defaults", "changed"])
def test_config_comes_back_from_json_as_it_was(config):
    assert config_from_dict(json.loads(json.dumps(config.to_dict())), "config.json") == config


def test_recipe_is_read_and_absent_settings_keep_their_defaults(tmp_path):
    (tmp_path / "recipe.toml").write_text(
        'dataset = "kmnist"\nforms = ["a.ttf", "b.npz", "c"]\nlearning_rate = 1\n'
        "[augmentation]\nbrightness_range = [1, 1.5]\n",
        encoding="utf-8",
    )
    expected = TrainingConfig(
        dataset="kmnist",
        forms=("a.ttf", "b.npz", "c"),
        learning_rate=1.0,
        augmentation=ImageAugmentation(brightness_range=(1.0, 1.5)),
    )
    config = load_recipe(tmp_path / "recipe.toml")
    assert config == expected
    assert type(config.learning_rate) is float


def test_empty_recipe_is_the_default_config(tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    assert load_recipe(tmp_path / "recipe.toml") == TrainingConfig()


@pytest.mark.parametrize(
    ("text", "name", "suggestion"),
    [
        ("epoch = 3", "epoch", "epochs"),
        ("Batch_Size = 3", "Batch_Size", "batch_size"),
        ("[augmentation]\nrotation = 3", "augmentation.rotation", "augmentation.rotation_range"),
        ("[augmentations]", "augmentations", "augmentation"),
        ("[leaderboard]\npublishd = 0.9", "leaderboard.publishd", "leaderboard.published"),
    ],
)
def test_unknown_setting_suggests_the_nearest(tmp_path, text, name, suggestion):
    sentence = refusal(tmp_path, text)
    assert f"setting named {name!r}" in sentence and f"{suggestion!r}?" in sentence


@pytest.mark.parametrize(("name", "table"), [("cutout", "augmentation"), ("width", "architecture")])
def test_a_setting_of_a_table_that_stands_outside_of_it_is_sent_there(tmp_path, name, table):
    assert f"[{table}]" in refusal(tmp_path, f"{name} = 1\nepochs = 2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('epochs = "three"', "epochs must be of type int, not 'three'"),
        ("epochs = 1.5", "epochs must be of type int, not 1.5"),
        ("epochs = true", "epochs must be of type int, not True"),
        ("learning_rate = true", "learning_rate must be of type float, not True"),
        ("jit = 1", "jit must be of type bool, not 1"),
        ('[leaderboard]\npublished = "99 %"', "leaderboard.published must be of type float"),
        ("leaderboard = 3", "leaderboard must be a table"),
        ("model = 18", "model must be of type str, not 18"),
        ('image_size = "large"', "image_size must be of type int"),
        ('optimizer = "adam"', "optimizer is 'adam'; it must be one of: sgd, adamw"),
        ("schedule = []", "schedule is []; it must be one of: cosine"),
        ("augmentation = 3", "augmentation must be a table"),
        ("[augmentation]\nbrightness_range = 0.5", "augmentation.brightness_range must be a list of 2 numbers"),
        ("[augmentation]\nbrightness_range = [0.5]", "augmentation.brightness_range must be a list of 2 numbers"),
        ('[augmentation]\nbrightness_range = ["a", 1]', "augmentation.brightness_range must be of type float"),
        ('[augmentation]\nfill_mode = "mirror"', "augmentation.fill_mode is 'mirror'; it must be one of: constant"),
    ],
)
def test_value_of_a_wrong_type_is_named(tmp_path, text, problem):
    assert problem in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs = 0", "epochs is 0"),
        ("per_class = -1", "per_class is -1"),
        ("image_size = 4", "image_size is 4; it must be in 8 <= value"),
        ("seed = -1", "seed is -1"),
        ("image_size = 100000000", "image_size is 100000000; it must be in 8 <= value <= 1,024"),
        ("seed = 99999999999999999999", "seed is 99999999999999999999; it must be at most 2,147,483,647"),
        ("epochs = 2147483648", "epochs is 2147483648"),
        ("balance = 999999999999", "balance is 999999999999"),
        ("balance = 1000001", "balance is 1000001; it must be at most 1,000,000"),
        ("per_class = 1000001", "per_class is 1000001"),
        ("[architecture]\nwidth = 1e9", "architecture.width is 1000000000.0; it must be at most 16"),
        ("[architecture]\ndepth = 17", "architecture.depth is 17.0"),
        ("[architecture]\nhead_rank = 99999999999", "architecture.head_rank is 99999999999"),
        ("[neighbors]\ncomponents = 99999999999", "neighbors.components is 99999999999"),
        ("learning_rate = 0", "learning_rate is 0.0"),
        ("learning_rate = nan", "learning_rate is nan"),
        ("weight_decay = inf", "weight_decay is inf"),
        ("weight_decay = -0.1", "weight_decay is -0.1"),
        ("warmup_epochs = -1", "warmup_epochs is -1.0"),
        ("validation_fraction = 1", "validation_fraction is 1.0"),
        ("ema_decay = 1", "ema_decay is 1.0"),
        ("[leaderboard]\npublished = 99.18", "leaderboard.published is 99.18"),
        ("balance = -1", "balance is -1"),
        ("epoch_images = -1", "epoch_images is -1"),
        ("population_images = -1", "population_images is -1"),
        ("population_images = 9\nearly_stopping_patience = 1", "early_stopping_patience"),
        ("plain_epochs = 4", "plain_epochs is 4"),
        ("plain_epochs = 1\nbalance = 9", "balance"),
        ("[distillation]\nteacher_weight = 1.5", "distillation.teacher_weight is 1.5"),
        ("[distillation]\ntemperature = 0.0", "distillation.temperature is 0.0"),
        ('mixing = "manifold"\n[distillation]\nteacher = "runs/a"', "distillation.teacher"),
        ('balance = 9\nsampling = "square_root"', "sampling"),
        ("balance = 9\nrefuse = 0.1", "refuse"),
        ("refuse = 1", "refuse is 1.0"),
        ("[augmentation]\nelastic_sigma = 0", "augmentation.elastic_sigma is 0.0"),
        ('schedule = "plateau"\nvalidation_fraction = 0', "validation_fraction"),
        ("early_stopping_patience = 2\nvalidation_fraction = 0", "validation_fraction"),
        ("[augmentation]\nrotation_range = -5", "augmentation.rotation_range is -5.0"),
        ("[augmentation]\nzoom_range = 1", "augmentation.zoom_range is 1.0"),
        ("[augmentation]\ncval = 256", "augmentation.cval is 256.0"),
        ("[augmentation]\nshear_range = nan", "augmentation.shear_range is nan"),
        ("[augmentation]\nbrightness_range = [1.5, 0.5]", "augmentation.brightness_range is (1.5, 0.5)"),
        ("[augmentation]\nbrightness_range = [0.5, inf]", "augmentation.brightness_range is (0.5, inf)"),
    ],
)
def test_value_out_of_range_is_named(tmp_path, text, problem):
    assert problem in refusal(tmp_path, text)


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe", b"= 3", b"epochs = 1\nepochs = 2"])
def test_recipe_that_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(UserError, match=r"recipe\.toml"):
        load_recipe(tmp_path / "recipe.toml")


def test_missing_recipe_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"absent\.toml"):
        load_recipe(tmp_path / "absent.toml")


def test_folder_as_a_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match="directory"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("content", [[], None, "kmnist"])
def test_config_that_is_no_table_is_refused(content):
    with pytest.raises(UserError, match=r"config\.json: .*table"):
        config_from_dict(content, "config.json")


def test_what_a_recipe_says_for_the_leaderboard_does_not_change_the_training(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('epochs = 5\n[leaderboard]\npublished = 0.9918\nsource = "somebody"\n', encoding="utf-8")
    assert load_recipe(recipe) == TrainingConfig(epochs=5)
    assert load_leaderboard(recipe) == Leaderboard(0.9918, "somebody")


def test_equal_settings_have_equal_hashes():
    assert TrainingConfig(seed=3).sha256 == TrainingConfig(seed=3).sha256 != TrainingConfig(seed=4).sha256


@pytest.mark.parametrize(
    "value",
    [
        "[" * 3000,
        "9" * 5000,
        "0x" + "f" * 20_000,
        "1" + "0" * 400,
        "-1" + "0" * 400,
        "2026-02-31",
        "'" + "x" * 5000 + "'",
    ],
    ids=["nested", "5,000 digits", "20,000 digits", "beyond floats", "far below", "no date", "long text"],
)
@pytest.mark.parametrize("setting", ["epochs", "learning_rate", "schedule", "augmentation"])
def test_a_value_beyond_all_use_is_refused_in_one_sentence(tmp_path, setting, value):
    assert len(refusal(tmp_path, f"{setting} = {value}")) < 600


def test_what_is_only_measured_is_read_without_the_settings_of_another_version():
    known = TrainingConfig(dataset="kmnist", seed=7, augmentation=ImageAugmentation(cutout=4))
    values = known.to_dict() | {"freeze": True, "renamed": 3}
    values["augmentation"]["swirl"] = 0.5
    assert config_as_known(values, "model.json") == known
    with pytest.raises(UserError, match=r"model\.json.*renamed|model\.json.*freeze"):
        config_from_dict(values, "model.json")


@pytest.mark.parametrize("schema", [SCHEMA + 1, "later"])
def test_what_a_later_version_wrote_otherwise_is_refused(tmp_path, schema):
    card = {"schema": schema, "files": {}, "input": {"shape": [1, 12, 12, 1], "normalization": "none"}}
    run = {"schema": schema, "config": {}, "versions": {}, "data": {}}
    for name, content, read in (
        ("model.json", card, read_card),
        ("config.json", run, lambda folder: WorkDirectory(folder).description),
    ):
        write_json(tmp_path / name, content)
        with pytest.raises(UserError, match=rf"{name}.*later version"):
            read(tmp_path)
        write_json(tmp_path / name, content | {"schema": SCHEMA})
        assert read(tmp_path)["schema"] == SCHEMA
        del content["schema"]
        write_json(tmp_path / name, content)
        assert read(tmp_path) == content
