"""The nearest images decide: by hand-computed cases, from a file without pickles, and as published on KMNIST."""

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.config import Neighbors, TrainingConfig, load_recipe
from kuzushiji_tf.datasets import CharacterDataset, load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.models.neighbors import fit_neighbors, is_neighbors, load_neighbors, save_neighbors

PLAIN, COMPONENTS = "nearest_neighbors", "pca_nearest_neighbors"


def _dataset(pixels, labels, classes="あいう") -> CharacterDataset:
    images = np.array(pixels, np.uint8).reshape(len(labels), 1, -1)
    return CharacterDataset("kmnist", "train", images, np.array(labels, np.int32), Labels(tuple(classes)), "CC0", "x")


def _model(path, dataset, model=PLAIN, rows=None, **settings):
    config = TrainingConfig(dataset="kmnist", model=model, neighbors=Neighbors(**settings))
    result = save_neighbors(fit_neighbors(config, dataset, np.arange(len(dataset)) if rows is None else rows), path)
    return *load_neighbors(path), result


@pytest.fixture
def path(tmp_path):
    return tmp_path / "final.npz"


# Distances from 12: 2 and 2 to class 0, 1 and 8 to class 1.
LINE = _dataset([10, 14, 13, 20, 200], [0, 0, 1, 1, 2])


def test_each_of_the_nearest_counts_by_one_over_its_distance(path):
    size, classes, run, _ = _model(path, LINE)
    found = run(np.full((1, 1, 1), 12, np.uint8))
    assert (size, classes, found.dtype) == ((1, 1), 3, np.float32)
    np.testing.assert_allclose(found, [[1 / 2.125, 1.125 / 2.125, 0]], rtol=1e-5)


def test_with_uniform_weighting_each_of_the_nearest_counts_alike(path):
    run = _model(path, LINE, weighting="uniform")[2]
    np.testing.assert_allclose(run(np.full((1, 1, 1), 12, np.uint8)), [[0.5, 0.5, 0]])


def test_a_training_image_is_its_own_class(path):
    run = _model(path, LINE)[2]
    np.testing.assert_array_equal(run(LINE.images), np.eye(3)[LINE.labels])


def test_only_the_rows_given_count_and_a_class_without_any_gets_nothing(path):
    run = _model(path, LINE, rows=np.array([3, 4]), neighbors=1)[2]
    np.testing.assert_array_equal(run(LINE.images[:1]), [[0, 1, 0]])
    run = _model(path, LINE, rows=np.array([0, 4]), neighbors=2)[2]
    assert run(LINE.images[2:3])[0, 1] == 0


def test_no_images_give_no_rows(path):
    assert _model(path, LINE)[2](np.zeros((0, 1, 1), np.uint8)).shape == (0, 3)


def test_components_leave_out_the_direction_in_which_images_differ_least(path):
    # Along the first pixel the query is nearest to class 1, over both pixels to class 0.
    dataset = _dataset([[0, 10], [40, 30], [100, 10], [50, 50], [150, 30], [200, 10]], [2, 0, 2, 1, 2, 2])
    query = np.array([[[47, 30]]], np.uint8)
    assert _model(path, dataset, neighbors=1)[2](query).argmax() == 0
    assert _model(path, dataset, COMPONENTS, neighbors=1, components=1)[2](query).argmax() == 1


def test_all_components_compare_as_the_pixels_do(path):
    random = np.random.default_rng(0)
    dataset = _dataset(random.integers(0, 256, (60, 12)), random.integers(0, 3, 60))
    queries = random.integers(0, 256, (20, 1, 12)).astype(np.uint8)
    plain = _model(path, dataset)[2](queries)
    np.testing.assert_allclose(_model(path, dataset, COMPONENTS, components=12)[2](queries), plain, atol=1e-4)


@pytest.mark.parametrize(("model", "learned"), [(PLAIN, {}), (COMPONENTS, {"mean": 2, "components": 2})])
def test_the_file_holds_plain_arrays_and_its_figure_counts_them(path, model, learned):
    dataset = _dataset(np.arange(20), np.arange(10) % 3)
    result = _model(path, dataset, model, components=60 if model == PLAIN else 1)[3]
    with np.load(path, allow_pickle=False) as archive:
        parts = dict(archive)
    assert {name: values.size for name, values in parts.items()} == {
        **{"images": 20, "labels": 10, "classes": 1, "neighbors": 1, "weighting": 1},
        **learned,
    }
    assert parts["images"].dtype == np.uint8
    assert result == {"parameters": 30 + sum(learned.values())}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (PLAIN, {"neighbors": 6}, r"neighbors\.neighbors is 6, .* 5 training"),
        (PLAIN, {"components": 2}, r"a choice of pca_nearest_neighbors"),
        (COMPONENTS, {"components": 2}, r"neighbors\.components is 2; these training images have at most 1"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(path, model, settings, message):
    with pytest.raises(UserError, match=message):
        _model(path, LINE, model, **settings)
    assert not list(path.parent.iterdir())


def _spoil(path, **changes):
    with np.load(path) as archive:
        parts = {**archive, **changes}
    np.savez(path, **{name: values for name, values in parts.items() if values is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"images": None},
        {"images": np.zeros((5, 1, 1), np.float32)},
        {"labels": np.zeros(4, np.int32)},
        {"labels": np.full(5, 3, np.int32)},
        {"labels": np.array([None] * 5)},
        {"neighbors": 0},
        {"neighbors": "four"},
        {"weighting": "other"},
        {"components": np.zeros((1, 2), np.float32), "mean": np.zeros(2, np.float32)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_file_whose_arrays_do_not_fit_is_refused_in_one_sentence(path, changes):
    _model(path, LINE)
    _spoil(path, **changes)
    with pytest.raises(UserError, match=r"nearest-neighbor") as caught:
        load_neighbors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model\n" * 40, b"PK\3\4" + bytes(100)])
def test_a_foreign_file_is_refused_in_one_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"nearest-neighbor") as caught:
        load_neighbors(path)
    assert "\n" not in str(caught.value)


def test_a_network_is_no_nearest_neighbor_model():
    assert [is_neighbors(name) for name in (PLAIN, COMPONENTS, "preact_resnet20")] == [True, True, False]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "accuracy"), [("kmnist-4nn", "92.10"), ("kmnist-pca-4nn", "93.98")])
def test_the_published_accuracy_is_reached_to_the_second_decimal(path, data_dir, recipe, accuracy):
    config = load_recipe(f"recipes/{recipe}.toml")
    train, test = (load_dataset("kmnist", split, LoadOptions(data_dir)) for split in ("train", "test"))
    save_neighbors(fit_neighbors(config, train, np.arange(len(train))), path)
    run = load_neighbors(path)[2]
    predicted = np.concatenate([run(images).argmax(axis=1) for images in np.array_split(test.images, 20)])
    assert f"{np.mean(predicted == test.labels):.2%}" == f"{accuracy}%"
