"""A model file of unknown origin never runs code, and never unpacks to what no model is."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import keras
import pytest

from kuzushiji_tf.cli import run_command
from kuzushiji_tf.config import TrainingConfig
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.evaluation.evaluating import evaluate
from kuzushiji_tf.models.loading import load_keras, open_keras
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training.networks import find_network
from kuzushiji_tf.training.starting import find_start
from tests.making import CHARACTERS, random_dataset
from tests.tiny import tiny_model


class _Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with labels, so that nothing but the model itself can be wrong."""
    CHARACTERS.write(tmp_path / "labels.txt")
    return tmp_path


def _hdf5(path: Path) -> Path:
    tiny_model(len(CHARACTERS)).save(path.with_suffix(".h5"))
    return path.with_suffix(".h5").rename(path)


def _pickle(path: Path) -> Path:
    path.write_bytes(pickle.dumps(_Bomb(path.parent / "exploded")))
    return path


def _lambda(path: Path) -> Path:
    exploded = str(path.parent / "exploded")
    image = keras.Input((12, 12, 1))
    image_again = keras.layers.Lambda(lambda x: (Path(exploded).touch(), x)[1], output_shape=(12, 12, 1))(image)
    keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(image_again))).save(path)
    Path(exploded).unlink(missing_ok=True)  # it ran when the model was made
    return path


BAD = [
    (_hdf5, "a.h5"),
    (_hdf5, "a.hdf5"),
    (_hdf5, "a.keras"),
    (_pickle, "a.pkl"),
    (_pickle, "a.keras"),
    (_pickle, "a.npz"),
    (_lambda, "a.keras"),
]
READERS = {
    "predictor": load_predictor,
    "evaluate": lambda path: evaluate(path, random_dataset(20)),
    "teacher": lambda path: find_network(str(path), "The teacher"),
    "initial weights": lambda path: find_start(TrainingConfig(initial_weights=str(path)), random_dataset(20)),
}


@pytest.mark.parametrize(("make", "name"), BAD)
@pytest.mark.parametrize("reader", READERS)
def test_a_format_that_can_run_code_is_refused_wherever_a_model_is_named(folder, make, name, reader):
    path = make(folder / name)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        READERS[reader](path)
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize(("make", "name"), BAD)
def test_the_final_weights_of_a_run_are_no_exception(folder, make, name):
    with pytest.raises(UserError):
        load_keras(make(folder / name))
    assert not (folder / "exploded").exists()


def test_predict_says_so_in_one_sentence_and_exits_with_2(folder, capsys):
    assert run_command("predict", [str(folder / "a.png"), "--model", str(_hdf5(folder / "a.h5"))]) == 2
    said = capsys.readouterr()
    assert "run code" in said.err and "Traceback" not in said.err


def test_a_python_function_in_a_file_is_named_and_nobody_is_told_to_allow_it(folder):
    with pytest.raises(UserError, match="Python function") as caught:
        open_keras(_lambda(folder / "a.keras"), "train it again")
    assert "safe_mode" not in str(caught.value)


def _repacked(path: Path, **changes: bytes) -> Path:
    tiny_model(len(CHARACTERS)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            members | {name.replace("_json", ".json"): value for name, value in changes.items()}
        ).items():
            archive.writestr(name, content)
    return path


def test_a_small_file_does_not_unpack_to_a_gigabyte_of_layers(folder):
    """20 KB that would unpack to 20 MB; Keras took 18 seconds and 2 GB for 1 MB of it."""
    with pytest.raises(UserError, match="16 MiB"):
        open_keras(_repacked(folder / "a.keras", config_json=b" " * (20 << 20)), "train it again")


def test_a_file_that_was_packed_again_is_read(folder):
    assert load_keras(_repacked(folder / "a.keras")).output_shape == (None, 10)


@pytest.mark.parametrize("config", [b"[" * 100_000, b"{}", b"\xff", b"null"])
def test_layers_that_nobody_described_are_refused(folder, config):
    with pytest.raises(UserError, match="train it again"):
        open_keras(_repacked(folder / "a.keras", config_json=config), "train it again")


@pytest.mark.parametrize("link", ["external", "huge"])
def test_weights_that_are_elsewhere_or_nowhere_are_refused(folder, link):
    """HDF5 can name another file to read from, and claim a data set of any size without holding it."""
    import h5py

    path = _repacked(folder / "a.keras")
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.read("config.json"), io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = next(name for name in names if name.endswith("dense/vars/0"))
        shape = file[name].shape if link == "external" else (10**6, 10**6)
        del file[name]
        if link == "external":
            (folder / "elsewhere").write_bytes(bytes(4 * shape[0] * shape[1]))
            file.create_dataset(name, shape, "f4", external=[(str(folder / "elsewhere"), 0, 4 * shape[0] * shape[1])])
        else:
            file.create_dataset(name, shape, "f4", chunks=(1000, 1000))
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {
            "metadata.json": json.dumps({"keras_version": keras.__version__}),
            "config.json": config,
            "model.weights.h5": weights.getvalue(),
        }.items():
            archive.writestr(member, content)
    with pytest.raises(UserError, match="train it again"):
        open_keras(path, "train it again")
