"""What is shown to a recognizer that it should refuse, and what it should not."""

import numpy as np
import rejection
from PIL import Image

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.recognition.predictors import Predictor


def pictures(kind):
    return list(kind(np.random.default_rng(0), 6))


def test_no_two_photos_are_the_same_and_no_noise_is():
    for kind in (rejection.photos, rejection.noise):
        found = [np.asarray(picture) for picture in pictures(kind)]
        assert {picture.shape for picture in found} == {(rejection.SIDE, rejection.SIDE)}
        assert len({picture.tobytes() for picture in found}) == 6


def test_scribbles_come_as_a_recognizer_gets_them(tmp_path):
    for normalization in ("none", "ink-box"):
        predictor = Predictor(tmp_path / "model.tflite", Labels(("あ", "い")), (28, 28), normalization, None)
        images = rejection.scribbles(predictor, 5)
        assert images.shape == (5, 28, 28) and images.dtype == np.uint8
        assert (images.reshape(5, -1).max(axis=1) > 150).all()


def test_what_shows_no_ink_is_black(tmp_path):
    predictor = Predictor(tmp_path / "model.tflite", Labels(("あ", "い")), (28, 28), "none", None)
    assert not rejection.looked_at([Image.new("L", (50, 50), 200)], predictor).any()


def test_drawn_sets_are_held_to_hands_and_others_to_their_own_test_images(tmp_path):
    hands = rejection.real_sets({"test": {"synthetic": True, "dataset": "touch-kana"}}, tmp_path)
    assert hands["tomoe"] == ("tomoe", "test")
    assert hands["ndl-hiragana"] == (str(tmp_path / "hands" / "ndl-hiragana.npz"), "test")  # a part is trained on
    assert {split for _, split in hands.values()} == {"test", "all"}
    own = rejection.real_sets({"test": {"synthetic": False, "dataset": "kkanji"}}, tmp_path)
    assert own == {"kkanji": ("kkanji", "test")}
