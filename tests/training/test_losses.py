"""The margin loss is the one of the paper."""

import keras
import numpy as np
import pytest

from kuzushiji_tf.models.capsnet import LOGIT_SCALE
from kuzushiji_tf.training.losses import MarginLoss


def margin(targets, lengths):
    return float(MarginLoss()(np.float32(targets), LOGIT_SCALE * np.float32(lengths)))


def test_agrees_with_a_sum_by_hand():
    # The present class is 0.2 too short; the absent ones are 0.3 and 0 too long, and count half.
    assert margin([[0, 1, 0]], [[0.4, 0.7, 0.05]]) == pytest.approx(0.2**2 + 0.5 * 0.3**2)


def test_is_nothing_where_every_length_keeps_its_margin():
    assert margin([[1, 0]], [[0.95, 0.08]]) == 0


def test_is_the_mean_over_images():
    one, other = margin([[1, 0]], [[0.5, 0.5]]), margin([[0, 1]], [[0.2, 0.3]])
    assert margin([[1, 0], [0, 1]], [[0.5, 0.5], [0.2, 0.3]]) == pytest.approx((one + other) / 2)


def test_soft_targets_share_the_loss_between_presence_and_absence():
    lengths = [[0.4, 0.7]]
    first, second = margin([[1, 0]], lengths), margin([[0, 1]], lengths)
    assert margin([[0.3, 0.7]], lengths) == pytest.approx(0.3 * first + 0.7 * second)


def test_is_made_again_from_its_config():
    loss = MarginLoss(present=0.8, absent=0.2, absent_weight=0.25)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(again, MarginLoss) and again.get_config() == loss.get_config()
    targets, logits = np.eye(3, dtype=np.float32), np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert float(again(targets, logits)) == pytest.approx(float(loss(targets, logits)))
