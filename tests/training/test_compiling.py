import numpy as np
import pytest

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.training.compiling import compiled_models


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adadelta"])
def test_weight_decay_shrinks_what_no_gradient_moves_and_none_leaves_it(optimizer):
    """A dead input pixel's weights get no gradient: what changes them is the decay alone."""
    targets, plan = np.eye(4, 3, dtype=np.float32), EpochPlan(40, 4, seed=0)
    for weight_decay, shrinks in ((0.0, False), (0.1, True)):
        settings = {"optimizer": optimizer, "weight_decay": weight_decay, "schedule": "constant", "learning_rate": 0.1}
        _, model = compiled_models(TrainingConfig(model="simple_cnn", **settings), (16, 16), 3, plan)
        kernel = model.trainable_variables[0]
        before = np.abs(np.array(kernel)).sum()
        model.train_on_batch(np.zeros((4, 16, 16, 1), np.float32), targets)
        after = np.abs(np.array(kernel)).sum()
        assert (after < before) if shrinks else (after == before)
