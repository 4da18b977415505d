"""Whatever happens to a picture, the shipped recognizers read it nearly as well as a clean one."""

from pathlib import Path

import numpy as np
import pictures
import pytest
from picture_conditions import CONDITIONS, Subject

from kuzushiji_tf.ink.strokes import render
from kuzushiji_tf.recognition.pretrained import pretrained_names

MODELS = Path(pictures.__file__).parents[1] / "saved_models"
LEAST = 0.93  # of what is read of clean pictures


@pytest.fixture
def subject() -> Subject:
    ink = render([np.array([[0.1, 0.1], [0.9, 0.9]], np.float32)], 100, 10)
    return Subject(ink, ink.T, np.random.default_rng(0))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_makes_the_same_picture_of_the_same_seed(condition, subject):
    again = Subject(subject.ink, subject.neighbor, np.random.default_rng(0))
    first, second = (np.asarray(CONDITIONS[condition](each)) for each in (subject, again))
    np.testing.assert_array_equal(first, second)
    assert condition == "clean" or first.shape != subject.ink.shape


def test_what_happens_to_a_picture_costs_few_readings(data_dir):
    """Ten pictures of each condition: one or two of them."""
    shares = pictures.read_all(MODELS / "kmnist", pictures.Flags(images=10, data_dir=data_dir))
    assert shares.keys() == CONDITIONS.keys()
    assert np.mean(list(shares.values())) >= 0.9 and min(shares.values()) >= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained_names())
def test_no_condition_costs_more_than_a_few_readings_in_a_hundred(data_dir, name):
    shares = pictures.read_all(MODELS / name, pictures.Flags(images=100, data_dir=data_dir))
    assert min(shares.values()) >= (LEAST - 0.03) * shares["clean"]  # 3 of 100 pictures either way


def test_a_large_photo_costs_little(tmp_path):
    figures = pictures.measure_photo()
    assert figures["photo_mb"] < 60 and figures["photo_ms"] < 600  # 60 on an idle machine
