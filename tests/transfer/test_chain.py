"""A chain is used the same way from a work directory and from an exported folder, and a wrong folder is refused."""

import json
import shutil

import numpy as np
import pytest

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.opening import CARD, EVALUATION, FILES, load_chain
from tests.toy_chains import CHARACTERS, write_chain
from tests.transfer_data import PUBLISHED_DECODER, QUICK

pytest_plugins = ["tests.untrained_chain"]


@pytest.fixture(scope="module")
def by_keras(untrained):
    return load_chain(untrained.path)


@pytest.fixture(scope="module")
def by_litert(exported_chain):
    return load_chain(exported_chain)


@pytest.fixture
def copy(untrained, tmp_path):
    """A work directory that a test may change."""
    shutil.copytree(untrained.path, tmp_path / "copy")
    return type(untrained)(tmp_path / "copy")


@pytest.fixture
def exported_copy(exported_chain, tmp_path):
    shutil.copytree(exported_chain, tmp_path / "exported")
    return tmp_path / "exported"


def test_the_settings_are_those_of_the_training(by_keras, by_litert):
    settings = by_keras.settings
    assert (settings.latent, settings.scale) == (4, 0.1)
    assert by_litert.writer.step.outputs["parameters"] == (3 + 6 * QUICK.sketch.mixtures,) == (3 + 6 * 2,)
    assert (settings.longest, settings.epsilon) == (QUICK.sketch.longest, QUICK.sketch.epsilon)
    assert settings.least_density is None and by_litert.settings.least_density is not None
    assert by_litert.settings.to_dict() | {"least_density": None} == settings.to_dict()


def test_both_give_the_same_numbers(by_keras, by_litert, scoring_data):
    images = scoring_data.validation.images[:5]
    z_old, _ = split_posterior(by_keras.encode_old(images))
    state = by_keras.start({"z": z_old})
    previous = np.tile(np.float32([0, 0, 1, 0, 0]), (5, 1))

    def results(chain):
        yield chain.encode_old(images), (5, 8)
        yield chain.encode_new(images), (5, 8)
        yield chain.decode_old(z_old), (5, 64, 64)
        yield chain.decode_new(z_old), (5, 64, 64)
        yield chain.mixture(z_old), (5, 2 * 9)
        yield chain.start({"z": z_old})["cell"], (5, 16)
        after = chain.writer.step({"z": z_old, "previous": previous, **state})
        yield after["parameters"], (5, 15)
        yield after["hidden"], (5, 16)

    for (ours, shape), (theirs, _) in zip(results(by_keras), results(by_litert), strict=True):
        assert ours.shape == theirs.shape == shape and ours.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=0.01 * max(1, np.abs(ours).max()))
    np.testing.assert_array_equal(by_keras.unigram, by_litert.unigram)


def test_drawings_are_written_with_the_ink_in_sight_only_where_that_was_learned(by_keras, tmp_path):
    z = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    given = by_keras.given_at_start(z)
    np.testing.assert_array_equal(given["ink"][..., 0], by_keras.decode_new(z))
    assert set(by_keras.start({"z": z})) == {"hidden", "cell", "position", "pen", "drawn", "canvas"}
    blind = load_chain(write_chain(tmp_path / "blind", config=PUBLISHED_DECODER).path)
    assert set(blind.given_at_start(z)) == {"z"} and set(blind.start({"z": z})) == {"hidden", "cell"}
    assert not blind.settings.sees_ink and by_keras.settings.sees_ink


def test_a_batch_of_one_equals_a_batch_of_many(by_keras, by_litert, scoring_data):
    images = scoring_data.validation.images[:3]
    for chain in (by_keras, by_litert):
        for function, given in ((chain.encode_old, images), (chain.decode_new, chain.encode_new(images)[:, :4])):
            np.testing.assert_allclose(function(given[1:2])[0], function(given)[1], atol=1e-5)


def test_the_modern_characters_are_those_of_kanjivg_where_none_are_stored(by_keras, by_litert, few_characters):
    assert by_keras.modern.characters == by_litert.modern.characters == CHARACTERS
    np.testing.assert_allclose(by_keras.modern.latents, by_litert.modern.latents, atol=0.01)


def test_the_least_density_of_a_work_directory_is_that_of_its_own_evaluation(copy):
    scores = {"least_density": -3.5, "weights": copy.digests()}
    (copy.path / EVALUATION).write_text(json.dumps(scores))
    assert load_chain(copy.path).settings.least_density == -3.5
    (copy.path / EVALUATION).write_text(json.dumps(scores | {"weights": {}}))
    assert load_chain(copy.path).settings.least_density is None
    (copy.path / EVALUATION).write_text("[1]")
    with pytest.raises(UserError, match=r"evaluation\.json"):
        load_chain(copy.path)


def test_a_folder_without_a_chain_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        load_chain(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no chain"):
        load_chain(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="a recognizer"):
        load_chain(tmp_path)


def test_a_chain_whose_stages_disagree_is_refused_by_both_hashes(copy):
    before = copy.stage("vae-new").digest()
    encoder = copy.stage("vae-new").weights[0]
    shutil.copy(copy.stage("vae-old").weights[0], encoder)
    after = copy.stage("vae-new").digest()
    with pytest.raises(UserError, match=f"vae-new .*{before[:12]}.*{after[:12]}.*--overwrite"):
        load_chain(copy.path)


def test_an_unfinished_chain_is_refused(copy):
    copy.stage("sketch").clear()
    with pytest.raises(UserError, match=r"sketch .* --stage sketch"):
        load_chain(copy.path)


@pytest.mark.parametrize("stage", ["vae-old", "sketch"])
def test_damaged_weights_are_refused(copy, stage):
    file = copy.stage(stage).weights[0]
    file.write_bytes(b"nothing")
    for name in ("mdn", "sketch"):  # as if all had been trained on these
        description = copy.stage(name).description
        description["predecessors"] = {other: copy.stage(other).digest() for other in description["predecessors"]}
        copy.stage(name).description_file.write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"{stage}/"):
        load_chain(copy.path)


def test_a_damaged_unigram_is_refused(copy):
    file = copy.stage("mdn").weights[1]
    np.save(file, np.zeros((1, 3), np.float32))
    description = copy.stage("sketch").description
    description["predecessors"]["mdn"] = copy.stage("mdn").digest()
    copy.stage("sketch").description_file.write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"unigram\.npy .*\[1, 3\]"):
        load_chain(copy.path)


@pytest.mark.parametrize("name", [FILES["mdn"], "unigram.npy", "modern.txt"])
def test_a_changed_or_missing_file_of_an_export_is_refused(exported_copy, name):
    content = (exported_copy / name).read_bytes()
    (exported_copy / name).write_bytes(content + b"\n")
    with pytest.raises(UserError, match=name):
        load_chain(exported_copy)
    (exported_copy / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        load_chain(exported_copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {}, "files": {}}', '{"settings": 1, "files": []}'])
def test_a_card_that_is_none_is_refused(exported_copy, text):
    (exported_copy / CARD).write_text(text)
    with pytest.raises(UserError, match=r"chain\.json"):
        load_chain(exported_copy)
