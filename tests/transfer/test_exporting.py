"""What an exported chain holds, what its card says, and that a file which disagrees is never kept."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from kuzushiji_tf.cli import main
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.exporting import conversion
from kuzushiji_tf.recognition.litert import LiteRTFunction
from kuzushiji_tf.transfer import exporting
from kuzushiji_tf.transfer.exporting import FLOAT16_BOUND, check_output, compare, export_chain
from kuzushiji_tf.transfer.gaussians import log_density, mode, split_posterior
from kuzushiji_tf.transfer.generation import transfer
from kuzushiji_tf.transfer.opening import CARD, FILES, load_chain
from kuzushiji_tf.transfer.scores import Scoring
from kuzushiji_tf.transfer.writing import Writer, draw_noise, generate
from tests.toy_chains import modern_recognizer, write_chain
from tests.transfer_data import PUBLISHED_DECODER

pytest_plugins = ["tests.untrained_chain"]

STORED = {"unigram.npy", "modern-float16.npy", "modern.txt"}


@pytest.fixture(scope="module")
def card(exported_chain):
    return json.loads((exported_chain / CARD).read_text(encoding="utf-8"))


def test_the_folder_holds_what_the_card_lists_and_nothing_else(exported_chain, card):
    assert {path.name for path in exported_chain.iterdir()} == {CARD, *card["files"]}
    assert set(card["files"]) == {"saved_model", *STORED, *FILES.values()}
    for name in FILES.values():
        assert card["files"][name]["bytes"] == (exported_chain / name).stat().st_size
        assert card["files"][name]["max_difference"] <= FLOAT16_BOUND
    assert card["files"]["saved_model"]["max_difference"] <= 1e-4


def test_the_card_says_what_it_is_and_where_it_comes_from(card, untrained):
    assert card["evaluation"]["images_seen"] > 0 and card["evaluation"]["images_unseen"] > 0
    assert card["settings"]["least_density"] == card["evaluation"]["least_density"]
    assert card["evaluated_with"] == {"recognizer": "nearest", "classifier": "nearest"}
    assert {entry["licence"] for entry in card["data"]} == {"CC BY-SA 4.0", "CC BY-SA 3.0"}
    assert set(card["training"]) == set(untrained.digests()) and card["recipe"]["latent"] == 4
    assert card["split"]["unseen"]["characters"] > 0 and "tensorflow" in card["versions"]


def test_every_file_has_named_inputs_and_outputs_of_one_row(exported_chain):
    shapes = {part: LiteRTFunction(exported_chain / file) for part, file in FILES.items()}
    for side in ("old", "new"):
        encoder, decoder = shapes[f"encoder_{side}"], shapes[f"decoder_{side}"]
        assert (encoder.inputs, encoder.outputs) == ({"image": (64, 64, 1)}, {"posterior": (8,)})
        assert (decoder.inputs, decoder.outputs) == ({"z": (4,)}, {"ink": (64, 64, 1)})
    assert (shapes["mdn"].inputs, shapes["mdn"].outputs) == ({"z": (4,)}, {"parameters": (18,)})
    start, step = shapes["sketch_start"], shapes["sketch_step"]
    state, canvas = {"hidden": (16,), "cell": (16,), "position": (2,), "pen": (1,)}, {"canvas": (32, 32)}
    state["drawn"] = (32, 32)
    assert (start.inputs, start.outputs) == ({"z": (4,), "ink": (64, 64, 1)}, state | canvas)
    assert step.inputs == {"z": (4,), "previous": (5,), **state, **canvas}
    assert step.outputs == {"parameters": (15,), **state}


def test_the_saved_model_draws_and_writes_as_the_chain_does(exported_chain, untrained, scoring_data):
    chain, loaded = load_chain(untrained.path), tf.saved_model.load(exported_chain / "saved_model")
    images = scoring_data.sides["unseen"].images[:3]
    z_old, _ = split_posterior(chain.encode_old(images))
    mixture = chain.mixture(z_old)
    z_new = mode(mixture, 4)
    for name, dtype in (("pixels", np.float32), ("pixels_uint8", np.uint8)):
        found = loaded.signatures[name](image=tf.constant(images[..., None].astype(dtype)))
        np.testing.assert_allclose(found["z_old"], z_old, atol=1e-5)
        np.testing.assert_allclose(found["mixture"], mixture, atol=1e-5)
        chosen = found["z_new"].numpy()  # of components that are about as dense it may be another
        np.testing.assert_allclose(log_density(mixture, chosen), log_density(mixture, z_new), atol=1e-4)
        np.testing.assert_allclose(found["ink"][..., 0], chain.decode_new(chosen), atol=1e-5)

    def served(name):
        return lambda inputs: loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})

    def start(inputs):
        return served("sketch_start")(inputs | served("decoder_new")(inputs))

    noise = draw_noise(0, 3, 10)
    ours, theirs = (
        generate(Writer(*networks, 10, 0.1), z_new, noise, 0.5)
        for networks in ((chain.start, chain.writer.step), (start, served("sketch_step")))
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def convert_only(monkeypatch, exported_chain, *parts):
    """Take the files of other parts, whose weights are the same, from an earlier export."""
    convert = conversion.write_float16

    def write(model, path):
        if path.name in [FILES[part] for part in parts]:
            convert(model, path)
        else:
            shutil.copy(exported_chain / path.name, path)

    monkeypatch.setattr(conversion, "write_float16", write)


def test_a_chain_with_the_published_decoder_is_exported_too(
    scoring_data, few_characters, exported_chain, tmp_path, monkeypatch
):
    blind = write_chain(tmp_path / "chain", config=PUBLISHED_DECODER)
    convert_only(monkeypatch, exported_chain, "sketch_start", "sketch_step")
    card = export_chain(blind, tmp_path / "exported", Scoring(scoring_data, modern_recognizer()))
    assert card["settings"]["sees_ink"] is False
    signatures = tf.saved_model.load(tmp_path / "exported/saved_model").signatures
    assert set(signatures["sketch_start"].structured_input_signature[1]) == {"z"}
    images = scoring_data.sides["seen"].images[:2]
    ours, theirs = (transfer(load_chain(path), images, 1, 0.0, 0) for path in (blind.path, tmp_path / "exported"))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.pixels, other.pixels, atol=3)
        assert len(one.drawings[0]) == len(other.drawings[0])


def test_the_stored_places_are_those_of_the_exported_encoder(exported_chain):
    chain = load_chain(exported_chain)
    assert chain.modern.latents.shape == (len(chain.modern.characters), 4)
    assert np.isfinite(chain.modern.latents).all() and chain.modern.latents.std(axis=0).min() > 0


def test_a_file_that_disagrees_leaves_nothing_behind(untrained, exported_chain, scoring_data, tmp_path, monkeypatch):
    convert_only(monkeypatch, exported_chain)
    honest = exporting.LiteRTFunction

    def bent(path):
        function = honest(path)
        return lambda inputs: {name: value + (path.name == FILES["mdn"]) for name, value in function(inputs).items()}

    monkeypatch.setattr(exporting, "LiteRTFunction", bent)
    with pytest.raises(UserError, match=r"mdn-float16\.tflite"):
        export_chain(untrained, tmp_path / "out", Scoring(scoring_data, modern_recognizer()), small=True)
    assert list(tmp_path.iterdir()) == []


def test_results_that_are_no_numbers_are_refused():
    one = {"a": np.zeros(3), "b": np.ones(3)}
    assert compare("file", one, one, 0.01) == {"max_difference": 0.0, "bound": 0.01}
    with pytest.raises(UserError, match="file"):
        compare("file", {"a": np.zeros(3), "b": np.full(3, np.nan)}, one, 0.01)


def test_only_an_earlier_export_is_replaced_and_only_if_asked(exported_chain, tmp_path):
    check_output(tmp_path / "new", overwrite=False)
    check_output(exported_chain, overwrite=True)
    with pytest.raises(UserError, match="exported chain"):
        check_output(exported_chain, overwrite=False)
    (tmp_path / "photo.png").touch()
    with pytest.raises(UserError, match=r"photo\.png"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(UserError, match=r"photo\.png"):
        check_output(tmp_path / "photo.png", overwrite=True)


def test_the_command_refuses_what_is_no_chain_at_once(tmp_path, capsys):
    assert main(["transfer", "export", str(tmp_path)]) == 2
    assert "work directory" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_exports_to_the_work_directory(untrained, few_characters, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kuzushiji_tf.recognition.predictors.load_predictor", lambda path: modern_recognizer())
    output = tmp_path / "out"
    assert main(["transfer", "export", str(untrained.path), "--output", str(output), "--small", "--json"]) == 0
    printed = capsys.readouterr()
    assert "sketch_step-float16.tflite" in printed.err and "ceiling" in printed.err
    summary = json.loads(printed.out)
    assert summary["output"] == str(output) and set(summary["files"]) == {*STORED, *FILES.values()}
    assert not (output / "saved_model").exists()
    assert load_chain(output).settings.least_density == summary["least_density"]


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"nothing\.tflite"):
        LiteRTFunction(tmp_path / "nothing.tflite")
    (tmp_path / "text.tflite").write_text("no network")
    with pytest.raises(UserError, match=r"text\.tflite"):
        LiteRTFunction(tmp_path / "text.tflite")


def test_a_recognizer_keeps_its_names(tmp_path):
    from tests.tiny import SIZE, tiny_model

    conversion.write_float16(tiny_model(3), tmp_path / "model.tflite")
    file = LiteRTFunction(tmp_path / "model.tflite")
    assert (file.inputs, file.outputs) == ({"image": (SIZE, SIZE, 1)}, {"probabilities": (3,)})
