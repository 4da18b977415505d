"""A data set as plain batches: every image once a pass, in an order that the seed alone decides."""

import numpy as np
import pytest

from kuzushiji_tf.batches.tf_datasets import as_tf_dataset
from kuzushiji_tf.errors import UserError
from tests.making import random_dataset


def labels_of(batches) -> list[int]:
    return np.concatenate([labels for _, labels in batches.as_numpy_iterator()]).tolist()


def test_images_and_labels_come_in_order_and_as_models_take_them():
    dataset = random_dataset(50)
    batches = as_tf_dataset(dataset, batch_size=20)
    assert batches.cardinality() == 3
    (images, labels), *_, (last, _) = batches.as_numpy_iterator()
    assert images.shape == (20, 12, 12, 1) and images.dtype == np.float32 and len(last) == 10
    np.testing.assert_array_equal(images[..., 0], dataset.images[:20])
    np.testing.assert_array_equal(labels, dataset.labels[:20])


def test_labels_may_be_rows_with_a_one():
    dataset = random_dataset(8)
    ((_, labels),) = as_tf_dataset(dataset, one_hot=True).as_numpy_iterator()
    np.testing.assert_array_equal(labels, np.eye(10, dtype=np.float32)[dataset.labels])


def test_every_pass_has_another_order_and_the_seed_decides_them_all():
    dataset = random_dataset(200)
    first, again, other = (as_tf_dataset(dataset, 32, shuffle_seed=seed) for seed in (1, 1, 2))
    passes = [labels_of(first) for _ in range(3)]
    assert passes == [labels_of(again) for _ in range(3)]
    assert labels_of(other) not in passes
    assert passes[0] != passes[1] != passes[2] != dataset.labels.tolist()
    for order in passes:
        assert sorted(order) == sorted(dataset.labels.tolist())


def test_a_shuffled_label_stays_with_its_image():
    dataset = random_dataset(60)
    by_image = {image.tobytes(): label for image, label in zip(dataset.images, dataset.labels, strict=True)}
    for images, labels in as_tf_dataset(dataset, 16, shuffle_seed=3).as_numpy_iterator():
        assert [by_image[image.astype(np.uint8).tobytes()] for image in images] == labels.tolist()


def test_keras_learns_from_it():
    import keras

    dataset = random_dataset(200, learnable=True)
    model = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(as_tf_dataset(dataset, 20, shuffle_seed=0), epochs=5, shuffle=False, verbose=0).history
    assert history["accuracy"][-1] > 0.9


def test_nothing_and_no_batch_are_refused():
    with pytest.raises(UserError, match="batch_size is 0"):
        as_tf_dataset(random_dataset(5), 0)
    with pytest.raises(UserError, match="no image"):
        as_tf_dataset(random_dataset(5).select(np.zeros(0, np.int64)))
