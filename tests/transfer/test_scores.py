"""Scores are right where the right answer is known: a chain that knows everything, and ones that are mistaken."""

import json

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.cli import main
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.transfer import scores as module
from kuzushiji_tf.transfer.opening import EVALUATION
from kuzushiji_tf.transfer.scores import (
    Scoring,
    choose_examples,
    load_scoring_data,
    ranks_of,
    retrieval_scores,
    score_chain,
    top_share,
)
from tests.toy_chains import CHARACTERS, knowing_chain, modern_recognizer
from tests.transfer_data import published

pytest_plugins = ["tests.untrained_chain"]

SIDED = ("retrieval_top1", "retrieval_top10", "mrr", "pixels_top1", "strokes_top1", "strokes_top5")
SINGLE = (
    "ceiling_strokes_top1",
    "floor_strokes_top1",
    "mdn_nll",
    "mdn_nll_unigram",
    "vae_old_error",
    "vae_new_error",
)


@pytest.fixture(autouse=True)
def _few(few_characters):
    """No test here looks for real data."""


@pytest.fixture(scope="module")
def recognizer() -> Predictor:
    return modern_recognizer()


@pytest.fixture(scope="module")
def perfect(scoring_data, recognizer) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kuzushiji_tf.transfer.chain.modern_characters", lambda: tuple(CHARACTERS))
        return score_chain(knowing_chain(), Scoring(scoring_data, recognizer, recognizer))


def test_every_score_is_there_under_its_name(perfect):
    for side in ("seen", "unseen"):
        assert {f"{key}_{side}" for key in SIDED} <= perfect.keys()
        assert {f"{key}_{side}" for key in ("stroke_count_error", "mdn_nll", "images", "left_out")} <= perfect.keys()
    assert {*SINGLE, "vae_old_kl", "vae_new_kl", "classifier_top1_seen", "least_density"} <= perfect.keys()
    assert all(isinstance(value, int | float) and np.isfinite(value) for value in perfect.values())


def test_a_chain_that_knows_everything_scores_all(perfect):
    for side in ("seen", "unseen"):
        assert [perfect[f"{key}_{side}"] for key in SIDED] == [1] * len(SIDED)
        assert perfect[f"stroke_count_error_{side}"] == perfect[f"left_out_{side}"] == 0
    assert perfect["ceiling_strokes_top1"] == 1 and perfect["floor_strokes_top1"] < 0.2
    assert perfect["images_seen"] > perfect["images_unseen"] > 0


def test_likelihoods_and_errors_are_those_of_hand(perfect, scoring_data):
    for key in ("mdn_nll", "mdn_nll_seen", "mdn_nll_unseen"):
        assert perfect[key] == pytest.approx(np.log(2 * np.pi * 0.1**2), rel=1e-4)  # at the Gaussian's mean
    assert perfect["least_density"] == pytest.approx(-perfect["mdn_nll"], rel=1e-4)
    places = np.array([CHARACTERS.index_of(character) for character in scoring_data.validation.new])
    distances = ((places - len(CHARACTERS) / 2) / 50) ** 2 / 2
    assert perfect["mdn_nll_unigram"] == pytest.approx(distances.mean() + np.log(2 * np.pi * 50), rel=1e-4)
    assert perfect["vae_new_error"] == 0
    noise = [
        np.square(image / 255 - module.draw_modern([scoring_data.drawings[name]])[0] / 255).sum()
        for image, name in zip(scoring_data.validation.images, scoring_data.validation.new, strict=True)
    ]
    assert perfect["vae_old_error"] == pytest.approx(np.mean(noise), rel=1e-5)
    # Posteriors have the variance 1: half the squares of the means are left.
    assert perfect["vae_old_kl"] == pytest.approx(np.square(places).mean() / 2)


def test_a_chain_that_takes_each_for_its_neighbor_finds_none_first_but_all_soon(scoring_data, recognizer):
    found = score_chain(knowing_chain(confused_by=1), Scoring(scoring_data, recognizer))
    for side in ("seen", "unseen"):
        assert found[f"retrieval_top1_{side}"] == 0 and found[f"retrieval_top10_{side}"] > 0.9
        assert found[f"pixels_top1_{side}"] == found[f"strokes_top1_{side}"] == 0
        assert 0.3 < found[f"mrr_{side}"] < 0.5
    assert found["mdn_nll"] > 40 and "classifier_top1_seen" not in found
    assert found["ceiling_strokes_top1"] == 1


def test_a_shuffled_chain_scores_about_its_floor(scoring_data, recognizer):
    shuffled = np.random.default_rng(3).permutation(len(CHARACTERS))
    found = score_chain(knowing_chain(pairs=shuffled), Scoring(scoring_data, recognizer))
    assert found["strokes_top1_seen"] < 0.2 and found["floor_strokes_top1"] < 0.2
    assert found["retrieval_top1_seen"] < 0.2


def test_characters_without_a_class_are_left_out_and_counted(scoring_data, recognizer):
    seen = scoring_data.sides["seen"].new
    lacking = sorted(set(seen))[:3]
    classes = Labels(tuple(f"not {name}" if name in lacking else name for name in CHARACTERS))
    forgetful = Predictor(recognizer.path, classes, (64, 64), "ink-box", recognizer.run)
    found = score_chain(knowing_chain(), Scoring(scoring_data, forgetful))
    assert found["left_out_seen"] == sum(name in lacking for name in seen) > 0
    assert found["strokes_top1_seen"] == found["pixels_top1_seen"] == found["ceiling_strokes_top1"] == 1


def test_a_recognizer_of_none_of_them_is_refused(scoring_data, recognizer):
    kana = Labels(tuple(chr(0x3042 + place) for place in range(len(CHARACTERS))))
    of_kana = Predictor(recognizer.path, kana, (64, 64), "ink-box", recognizer.run)
    with pytest.raises(UserError, match="none of the characters"):
        score_chain(knowing_chain(), Scoring(scoring_data, of_kana))


def test_the_mean_reciprocal_rank_is_that_of_hand():
    found = retrieval_scores(np.array([1, 2, 10, 11]))
    assert (found["retrieval_top1"], found["retrieval_top5"], found["retrieval_top10"]) == (0.25, 0.5, 0.75)
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 4)


def test_equal_or_undefined_densities_find_nothing():
    chain = knowing_chain()
    wide = np.float32([[0, 0, 0, 90, 90]])  # scales of e^5 in both directions
    flat = chain.mixture(np.zeros((1, 2), np.float32)) * np.nan
    assert ranks_of(chain, flat, ["一"])[0] == len(CHARACTERS)
    assert ranks_of(chain, wide, [CHARACTERS[0]])[0] == 1 and ranks_of(chain, wide, [CHARACTERS[5]])[0] == 6


def test_a_share_leaves_out_what_has_no_target():
    probabilities = np.float32([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
    assert top_share(probabilities, np.array([0, 1, -1]), 1) == 0.5
    assert top_share(probabilities, np.array([0, 1, -1]), 2) == 1
    with pytest.raises(UserError, match="none of the characters"):
        top_share(probabilities, np.array([-1, -1, -1]), 1)


def test_the_choice_of_images_is_fixed_and_no_part_overlaps():
    few, many = load_scoring_data(None, 3), load_scoring_data(None, 1000)
    assert len(few.sides["seen"]) == 3 < len(many.sides["seen"])
    assert np.array_equal(few.sides["seen"].images, load_scoring_data(None, 3).sides["seen"].images)
    characters = [set(own.old) for own in (*many.sides.values(), many.validation)]
    assert not characters[0] & characters[1] and not (characters[0] | characters[1]) & characters[2]
    assert many.parts["seen"]["images"] == len(many.sides["seen"])
    with pytest.raises(UserError, match="images is 0"):
        load_scoring_data(None, 0)


def test_examples_are_named_by_both_their_characters():
    dataset = published("test")
    modern = {name: name for name in dataset.classes} | {"七": "九"}
    own = choose_examples(dataset, modern, 1000)
    assert own.new[own.old.index("七")] == "九" and len(own) == len(dataset)


@pytest.mark.slow
def test_the_command_prints_the_scores_and_keeps_those_of_a_work_directory(
    untrained, exported_chain, tmp_path, monkeypatch, capsys
):
    import shutil

    monkeypatch.setattr("kuzushiji_tf.recognition.predictors.load_predictor", lambda path: modern_recognizer())
    copy = type(untrained)(tmp_path / "copy")
    shutil.copytree(untrained.path, copy.path)
    found = []
    for target in (copy.path, exported_chain):
        assert main(["transfer", "evaluate", str(target), "--test-limit", "1000", "--json"]) == 0
        printed = capsys.readouterr()
        found.append(json.loads(printed.out))
        assert f"{found[-1]['retrieval_top1_unseen']:.2%}" in printed.err
    kept = json.loads((copy.path / EVALUATION).read_text())
    assert kept == found[0] | {"weights": copy.digests()}
    assert found[0].keys() == found[1].keys()
    assert found[0]["vae_old_error"] == pytest.approx(found[1]["vae_old_error"], rel=0.01)
    assert not (exported_chain / EVALUATION).exists()


def test_an_unknown_recognizer_is_refused(exported_chain, tmp_path, capsys):
    command = ["transfer", "evaluate", str(exported_chain), "--recognizer", str(tmp_path / "nobody")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "nobody") in error and error.count("\n") == 1
