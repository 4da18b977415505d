"""Every registered model keeps the contract: image in, logits out, seeded, savable, exportable, of a known size."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from kuzushiji_tf.config import Architecture
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models import build_model, model_names, register_model, registry, require_model
from kuzushiji_tf.models.building import MIXABLE
from kuzushiji_tf.models.efficientnet import efficientnet_input_size
from kuzushiji_tf.models.registry import efficientnet
from tests.make_golden import FAMILIES, GOLDEN, golden_images

# At 28 x 28 pixels and 10 classes, added up by hand. Those of EfficientNet are Keras's published counts without top,
# less two of three colors (their 9 x 9 weights each and 4 numbers of the normalization), plus the classifier.
GOLDEN_COUNTS = {
    "capsnet": 20_992 + 5_308_672 + 1_152 * 10 * 8 * 16,
    "efficientnet_b0": 4_049_571 - 2 * 9 * 32 - 4 + 1280 * 10 + 10,
    "efficientnet_b1": 6_575_239 - 2 * 9 * 32 - 4 + 1280 * 10 + 10,
    "efficientnet_b2": 7_768_569 - 2 * 9 * 32 - 4 + 1408 * 10 + 10,
    "efficientnet_b3": 10_783_535 - 2 * 9 * 40 - 4 + 1536 * 10 + 10,
    "efficientnet_b4": 17_673_823 - 2 * 9 * 48 - 4 + 1792 * 10 + 10,
    "efficientnet_b5": 28_513_527 - 2 * 9 * 48 - 4 + 2048 * 10 + 10,
    "efficientnet_b6": 40_960_143 - 2 * 9 * 56 - 4 + 2304 * 10 + 10,
    "efficientnet_b7": 64_097_687 - 2 * 9 * 64 - 4 + 2560 * 10 + 10,
    "preact_resnet12": 1_581_482,
    "preact_resnet18": 11_178_826,
    "preact_resnet20": 273_370,
    "resnet18": 11_182_410,
    "resnet18_classic": 11_184_970,
    "simple_cnn": 1_199_882,
    "small_cnn": 708_522,
    "vgg": 3_651_018,
    "vgg_etl": 329_962,
}
# Narrow and shallow members of the large families, for the tests that do not depend on the size.
NARROW = {
    "capsnet": Architecture(width=1 / 16),
    "preact_resnet12": Architecture(width=1 / 4),
    "preact_resnet18": Architecture(width=1 / 8, depth=1 / 2),
    "preact_resnet20": Architecture(width=1 / 2, depth=1 / 3),
    "resnet18": Architecture(width=1 / 8, depth=1 / 2),
    "resnet18_classic": Architecture(width=1 / 8, depth=1 / 2),
    "small_cnn": Architecture(width=1 / 4),
    "vgg": Architecture(width=1 / 8),
    "vgg_etl": Architecture(width=1 / 2),
}
EFFICIENTNETS = [name for name in model_names() if name.startswith("efficientnet")]
LARGE = [f"efficientnet_b{number}" for number in range(3, 8)]


def over(names, slow):
    """Parametrize a test over models; those named `slow` take more than a few seconds."""
    marked = [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]
    return pytest.mark.parametrize("name", marked)


each_model = over(model_names(), slow=EFFICIENTNETS[1:])
each_but_large = over([name for name in model_names() if name not in LARGE], slow=EFFICIENTNETS)


def images(count=4, size=28):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), np.uint8)


def built(name, size, classes, **settings):
    return build_model(name, (size, size), classes, architecture=NARROW.get(name), **settings)


@each_model
def test_parameter_count_is_the_known_one_and_a_small_image_gets_finite_logits(name):
    model = build_model(name, (28, 28), 10)
    assert model.count_params() == GOLDEN_COUNTS[name]
    logits = np.asarray(model(images(1)))
    assert logits.shape == (1, 10) and np.isfinite(logits).all()


@each_but_large
def test_takes_bytes_or_floats_of_an_oblong_image_and_returns_finite_logits(name):
    model = build_model(name, (20, 24), 7, architecture=NARROW.get(name))
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.layers[-1].name == "logits"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 1), np.uint8)
    logits = np.asarray(model(pixels))
    assert logits.shape == (3, 7) and logits.dtype == np.float32 and np.isfinite(logits).all()
    np.testing.assert_allclose(np.asarray(model(pixels.astype(np.float32))), logits, atol=1e-5)


@each_but_large
def test_the_smallest_image_fits(name):
    model = built(name, 8, 3)
    assert model.outputs[0].shape == (None, 3)


@each_but_large
def test_equal_seeds_give_equal_models_and_others_do_not(name):
    some, same, other = (built(name, 12, 5, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(some.weights, same.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), a.path)
    seeded = [[np.asarray(state) for state in model.non_trainable_variables] for model in (some, same)]
    assert all(np.array_equal(a, b) for a, b in zip(*seeded, strict=True)), "dropout draws from elsewhere"
    assert not np.array_equal(some.trainable_weights[0], other.trainable_weights[0])


@each_but_large
def test_mixable_layers_are_all_that_later_layers_depend_on(name):
    model = built(name, 28, 4)
    mixable = [layer for layer in model.layers if layer.name.startswith(MIXABLE)]
    assert [layer.name for layer in mixable] == [f"{MIXABLE}_{n + 1}" for n in range(len(mixable))] and mixable
    for layer in mixable:
        # Keras refuses a graph from here that needs anything from before.
        keras.Model(layer.output, model.outputs)


@over(
    [name for name in model_names() if name not in EFFICIENTNETS[1:]],
    slow=["efficientnet_b0", "preact_resnet18", "resnet18_classic"],
)
def test_a_few_steps_lower_the_loss(name):
    model = built(name, 12, 4)
    targets = np.arange(16) % 4
    pixels = (3 * images(4, 12).astype(np.float32)[targets] + images(16, 12)) / 4  # a class shares a pattern
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    losses = []

    def stop_when_lower(_, logs):
        losses.append(logs["loss"])
        model.stop_training = losses[-1] < 0.8 * losses[0]

    watching = [keras.callbacks.LambdaCallback(on_epoch_end=stop_when_lower)]
    model.fit(pixels, targets, batch_size=16, epochs=60, verbose=0, callbacks=watching)
    assert losses[-1] < 0.8 * losses[0]


@each_but_large
def test_loads_without_this_packages_code_and_predicts_the_same(name, tmp_path):
    model = built(name, 16, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={}, safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(images(4, 16))), np.asarray(model(images(4, 16))))


@each_but_large
def test_bfloat16_computes_nearly_the_same_and_leaves_the_policy_alone(name):
    exact, coarse = (built(name, 16, 4, precision=precision) for precision in ("float32", "bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in coarse.layers} >= {"bfloat16", "float32"}
    logits = np.asarray(exact(images(4, 16)))
    np.testing.assert_allclose(np.asarray(coarse(images(4, 16))), logits, atol=0.05 * np.abs(logits).max())


@each_but_large
def test_the_tflite_file_computes_what_keras_does_with_builtin_operators_only(name, tmp_path):
    from kuzushiji_tf.exporting.conversion import builtin_operators, write_float32
    from kuzushiji_tf.models.loading import with_probabilities
    from kuzushiji_tf.recognition.litert import LiteRTModel

    model = with_probabilities(built(name, 16, 4))
    write_float32(model, tmp_path / "model.tflite")
    assert builtin_operators(tmp_path / "model.tflite")
    exported = LiteRTModel(tmp_path / "model.tflite").predict(images(4, 16)[..., 0])
    np.testing.assert_allclose(exported, np.asarray(model(images(4, 16))), atol=5e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_an_earlier_version_still_loads_and_still_predicts(family):
    from kuzushiji_tf.models.loading import with_probabilities
    from kuzushiji_tf.recognition.litert import LiteRTModel

    expected = json.loads((GOLDEN / "expected.json").read_text())[family]
    pixels, probabilities = golden_images(expected["size"]), expected["probabilities"]
    assert np.std(probabilities, axis=0).max() > 1e-3, "the images should not all look the same to the model"
    with zipfile.ZipFile(GOLDEN / f"{family}.keras") as archive:
        assert b"kuzushiji_tf" not in archive.read("config.json")
    model = keras.models.load_model(GOLDEN / f"{family}.keras", custom_objects={}, safe_mode=True)
    predicted = with_probabilities(model)(pixels[..., None].astype(np.float32))
    np.testing.assert_allclose(np.asarray(predicted), probabilities, atol=2e-5)
    lite = LiteRTModel(GOLDEN / f"{family}.tflite")
    np.testing.assert_allclose(lite.predict(pixels), probabilities, atol=5e-5)


@pytest.mark.parametrize(
    ("name", "choice", "value"),
    [
        ("simple_cnn", "width", 2.0),
        ("vgg", "depth", 2.0),
        ("vgg_etl", "stochastic_depth", 0.2),
        ("small_cnn", "stochastic_depth", 0.2),
        ("capsnet", "head_rank", 64),
        ("capsnet", "stem_stride", 1),
        ("resnet18", "reconstruction", 0.0005),
        ("resnet18_classic", "reconstruction", 0.0005),
        ("preact_resnet20", "reconstruction", 0.0005),
        ("efficientnet_b0", "width", 0.5),
        ("efficientnet_b7", "depth", 0.5),
    ],
)
def test_a_choice_that_the_family_does_not_have_is_refused(name, choice, value):
    with pytest.raises(UserError, match=rf"architecture\.{choice} is {value}, but {name} "):
        build_model(name, (28, 28), 10, architecture=Architecture(**{choice: value}))


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'preact_resnet20'"):
        build_model("preact_resnet2O", (28, 28), 10)


def test_what_cannot_be_recognized_is_refused():
    with pytest.raises(UserError, match="at least 2 classes"):
        build_model("simple_cnn", (28, 28), 1)
    with pytest.raises(UserError, match="at least 8 x 8"):
        build_model("simple_cnn", (28, 4), 10)


def test_an_image_size_is_a_number_or_two():
    assert build_model("small_cnn", 28, 10).inputs[0].shape == (None, 28, 28, 1)
    for size in ("28", 28.0, (28,), (28, "28")):
        with pytest.raises(UserError, match=r"image_size is .*28"):
            build_model("small_cnn", size, 10)


def test_small_cnn_stays_small_with_thousands_of_classes():
    assert build_model("small_cnn", (64, 64), 3832).count_params() == 1_203_480
    ranked = build_model("small_cnn", (64, 64), 3832, architecture=Architecture(head_rank=64))
    assert ranked.count_params() == 1_203_480 - 64 * (160 + 3832)


@pytest.mark.parametrize(("name", "added"), [("resnet18", 16), ("preact_resnet20", 18), ("small_cnn", 8)])
def test_width_depth_and_stride_change_the_graph_as_they_say(name, added):
    plain, changed = (
        [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]
        for model in (
            build_model(name, (16, 16), 4, architecture=Architecture(width=width, depth=depth, stem_stride=stride))
            for width, depth, stride in ((1 / 4, 1, 1), (1 / 8, 2, 2))
        )
    )
    assert len(changed) == len(plain) + added
    assert plain[0].filters == 2 * changed[0].filters
    assert plain[0].output.shape[1] == 16 and changed[0].output.shape[1] == 8


@over(["resnet18", "efficientnet_b0"], slow=EFFICIENTNETS)
def test_stochastic_depth_grows_linearly_to_the_last_block(name):
    model = build_model(name, (32, 32), 4, architecture=Architecture(stochastic_depth=0.5))
    rates = [layer.rate for layer in model.layers if getattr(layer, "noise_shape", None)]
    assert rates == sorted(rates) and 0 < rates[0] < rates[-1] <= 0.5 and len(rates) >= 8
    plain = build_model(name, (32, 32), 4)
    assert not [layer for layer in plain.layers if getattr(layer, "noise_shape", None)]


def test_efficientnet_has_the_published_parameters_and_scales_and_halves_the_image_as_it_should():
    model = build_model("efficientnet_b0", (64, 64), 3832)
    assert model.count_params() == 8_957_783
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Rescaling)] == ["scale"]
    assert model.get_layer("top_conv").output.shape[1] == 4, "a small image is halved once less"
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stride", "side"), [(65, 0, 3), (64, 2, 2), (65, 1, 5)])
def test_efficientnet_halves_a_large_image_as_published(size, stride, side):
    model = build_model("efficientnet_b0", (size, size), 4, architecture=Architecture(stem_stride=stride))
    assert model.get_layer("top_conv").output.shape[1] == side


def test_efficientnet_is_published_for_these_sizes():
    sizes = [efficientnet_input_size(f"b{number}") for number in range(8)]
    assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]


@pytest.mark.slow
def test_efficientnet_is_built_for_its_published_size_unless_told_otherwise():
    assert efficientnet("b0", 5).inputs[0].shape == (None, 224, 224, 1)
    assert efficientnet("b0", 5, image_size=30).inputs[0].shape == (None, 30, 30, 1)


def test_an_unknown_efficientnet_is_refused():
    with pytest.raises(UserError, match="'b8'"):
        efficientnet_input_size("b8")
    with pytest.raises(UserError, match="'b8'"):
        efficientnet("b8", 10)
    with pytest.raises(UserError, match="at least 8 x 8"):
        efficientnet("b0", 10, image_size=0)


@pytest.mark.slow
def test_efficientnet_takes_an_image_of_600_pixels():
    logits = np.asarray(efficientnet("b0", 5, image_size=600)(images(1, 600)))
    assert logits.shape == (1, 5) and np.isfinite(logits).all()


def flat(image, classes, seeds, architecture):
    """A model of somebody's own."""
    features = keras.layers.Flatten()(image)
    return keras.layers.Dense(classes, kernel_initializer=seeds.glorot_uniform(), dtype="float32")(features)


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


def test_a_model_of_ones_own_is_built_under_its_name(own_registry):
    register_model("flat", flat, choices=("width",))
    assert "flat" in model_names()
    model = build_model("flat", (12, 12), 5, precision="bfloat16", architecture=Architecture(width=2.0))
    assert (model.name, model.outputs[0].shape) == ("flat", (None, 5))
    with pytest.raises(UserError, match=r"architecture\.depth"):
        require_model("flat", Architecture(depth=2.0))


@pytest.mark.parametrize("name", ["vgg", "nearest_neighbors", "ensemble"])
def test_a_name_that_is_taken_is_refused(own_registry, name):
    with pytest.raises(UserError, match=name):
        register_model(name, flat)


def test_a_choice_that_no_architecture_has_is_refused(own_registry):
    with pytest.raises(UserError, match="'width'"):
        register_model("flat", flat, choices=("witdh",))


@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        (lambda image, classes, *_: keras.layers.Dense(classes + 1)(keras.layers.Flatten()(image)), r"\[None, 6\]"),
        (lambda image, *_: image, r"\[None, 12, 12, 1\]"),
        (lambda *_: None, "NoneType"),
    ],
)
def test_a_builder_that_returns_no_logits_is_refused(own_registry, wrong, fact):
    register_model("wrong", wrong)
    with pytest.raises(UserError, match=rf"'wrong'.*{fact}.*\[None, 5\]"):
        build_model("wrong", (12, 12), 5)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package whose entry points name models."""
    (tmp_path / "peoples_models.py").write_text(
        "import keras\nfrom kuzushiji_tf.models import ModelEntry\n"
        "def flat(image, classes, seeds, architecture):\n"
        "    return keras.layers.Dense(classes)(keras.layers.Flatten()(image))\n"
        "entry = ModelEntry(flat, ('width',))\nnumber = 5\n"
    )
    (tmp_path / "peoples_models-1.dist-info").mkdir()
    (tmp_path / "peoples_models-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: peoples-models\n")
    monkeypatch.syspath_prepend(tmp_path)

    def install(**names):
        lines = "".join(f"{name} = {target}\n" for name, target in names.items())
        (tmp_path / "peoples_models-1.dist-info" / "entry_points.txt").write_text(f"[kuzushiji_tf.models]\n{lines}")

    return install


def test_an_installed_package_brings_models_by_entry_points(installed):
    installed(peoples="peoples_models:flat", chosen="peoples_models:entry")
    assert {"peoples", "chosen", "vgg"} <= set(model_names())
    assert build_model("peoples", (12, 12), 5).outputs[0].shape == (None, 5)
    require_model("chosen", Architecture(width=2.0))
    with pytest.raises(UserError, match=r"architecture\.width"):
        require_model("peoples", Architecture(width=2.0))


@pytest.mark.parametrize(
    ("name", "target", "fact"),
    [
        ("broken", "peoples_models_of_yesterday:flat", "peoples-models"),
        ("broken", "peoples_models:number", "ModelEntry"),
        ("vgg", "peoples_models:flat", "'vgg'"),
    ],
)
def test_an_entry_point_that_is_of_no_use_is_named_when_it_is_asked_for(installed, name, target, fact):
    installed(**{name: target})
    assert build_model("simple_cnn", (12, 12), 5)
    with pytest.raises(UserError, match=fact):
        build_model(name, (12, 12), 5)


def test_the_names_of_models_are_known_without_keras():
    code = (
        "import sys, kuzushiji_tf.models as models\n"
        "models.model_names(), models.require_model('vgg')\nassert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
