"""Kuzushiji-MNIST and Kuzushiji-49 as published by CODH (https://github.com/rois-codh/kmnist)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.arrays import read_idx, read_npz_array
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.download import fetch
from kuzushiji_tf.datasets.locations import cache_folder, folders_of
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError

LICENCE = "CC BY-SA 4.0"
CREDIT = (
    '"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others), '
    "doi:10.20676/00000341"
)

KMNIST_CLASSES = Labels(tuple("おきすつなはまやれを"))
K49_CLASSES = Labels(
    tuple("あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわゐゑをんゝ")
)

# As published. The four .gz files were rebuilt byte for byte from the .npz files' content, so they are the release of
# February 2019 as well; those without .gz are their content, as torchvision unpacks it.
MD5 = {
    "kmnist-train-imgs.npz": "a183fbc01ed9a345513b145673d3d0bb",
    "kmnist-train-labels.npz": "b0e1d240e8afec72b50437fc3bc5908a",
    "kmnist-test-imgs.npz": "dace6de62ca8b90843cc45366337d02e",
    "kmnist-test-labels.npz": "3ae489a79983d0fe386152684e3b5412",
    "train-images-idx3-ubyte": "92be26ec9822e900ac425d0a0aa84ced",
    "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
    "train-labels-idx1-ubyte": "949e75301f8813e0dc5800dcc320fc52",
    "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
    "t10k-images-idx3-ubyte": "bf305b8cd328700fbc17f5acbc2856d2",
    "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
    "t10k-labels-idx1-ubyte": "9f55f451c0988b028eccdf7d5cc265ab",
    "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    "k49-train-imgs.npz": "7ac088b20481cf51dcd01ceaab89d821",
    "k49-train-labels.npz": "44a8e1b893f81e63ff38d73cad420f7a",
    "k49-test-imgs.npz": "d352e201d846ce6b94f42c990966f374",
    "k49-test-labels.npz": "4da6f7a62e67a832d5eb1bd85c5ee448",
}

OLD_RELEASE = "c8fe4d39f842711ac6cc8c1b4be5ee21"

# The folders a file can be downloaded from, each followed by the file's name. The makers' host is known to time out
# (rois-codh/kmnist#29); its http address comes last, since it hangs whenever the https one does.
KMNIST_MIRRORS = (
    "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/KMNIST/",  # tensorflow/swift-models#450
    "https://huggingface.co/datasets/tanganke/kmnist/resolve/756d43e894032ce8838db8b32e7500c9c3b5d050/raw/",
    "https://web.archive.org/web/2024/http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
)
K49_MIRRORS = ("https://codh.rois.ac.jp/kmnist/dataset/k49/", "http://codh.rois.ac.jp/kmnist/dataset/k49/")


@dataclass(frozen=True)
class _Release:
    """One published data set."""

    name: str
    splits: dict[str, "_Split"]
    classes: Labels
    mirrors: tuple[str, ...]
    folders: tuple[str, ...] = (".",)  # within a place, where its files may lie


@dataclass(frozen=True)
class _Split:
    """The files of one split; the content is in any one of `images` and any one of `labels`.

    The last of each is what is downloaded: for Kuzushiji-MNIST the MNIST format, which more hosts carry.
    """

    count: int
    images: tuple[str, ...]
    labels: tuple[str, ...]


_KMNIST_SPLITS = {
    "train": _Split(
        60_000,
        ("kmnist-train-imgs.npz", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
        ("kmnist-train-labels.npz", "train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz"),
    ),
    "test": _Split(
        10_000,
        ("kmnist-test-imgs.npz", "t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"),
        ("kmnist-test-labels.npz", "t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz"),
    ),
}
_K49_SPLITS = {
    "train": _Split(232_365, ("k49-train-imgs.npz",), ("k49-train-labels.npz",)),
    "test": _Split(38_547, ("k49-test-imgs.npz",), ("k49-test-labels.npz",)),
}
_TORCHVISION = ("KMNIST/raw", "raw")  # below the root that it is given
_KMNIST = _Release("kmnist", _KMNIST_SPLITS, KMNIST_CLASSES, KMNIST_MIRRORS, (".", *_TORCHVISION))
_K49 = _Release("k49", _K49_SPLITS, K49_CLASSES, K49_MIRRORS)


def load_kmnist(split: str, options: LoadOptions) -> CharacterDataset:
    """Load Kuzushiji-MNIST: 10 classes, 60,000 / 10,000 images of 28 x 28 pixels, from `.npz` or MNIST-format files.

    Looked for in `options.data_dir`, or else in `KUZUSHIJI_DATA`, then in the download cache; then downloaded.
    A folder may hold the files as `kmnist/<file>` or directly, or as torchvision leaves them, in `KMNIST/raw`.

    Raises:
        MissingFileError: `options.data_dir` is given and lacks a file.
        UserError: a file is not as published, or cannot be downloaded.
    """
    return _load(_KMNIST, split, options)


def load_k49(split: str, options: LoadOptions) -> CharacterDataset:
    """Load Kuzushiji-49: 49 classes, 232,365 / 38,547 images of 28 x 28 pixels, from `.npz` files.

    Looked for as Kuzushiji-MNIST is, as `k49/<file>` or directly.

    Raises:
        MissingFileError: `options.data_dir` is given and lacks a file.
        UserError: a file is not as published, or cannot be downloaded.
    """
    return _load(_K49, split, options)


def find_kmnist(data_dir: Path | None) -> Path | None:
    """Return the folder with Kuzushiji-MNIST's files, or None where one of them is missing."""
    return _find_all(_KMNIST, data_dir)


def find_k49(data_dir: Path | None) -> Path | None:
    """Return the folder with Kuzushiji-49's files, or None where one of them is missing."""
    return _find_all(_K49, data_dir)


def download_kmnist() -> Path:
    """Download Kuzushiji-MNIST into the cache, unless it is there, and return the folder.

    Raises:
        UserError: no host gave a file.
    """
    return _download(_KMNIST)


def download_k49() -> Path:
    """Download Kuzushiji-49; as `download_kmnist`."""
    return _download(_K49)


def _load(release: _Release, split: str, options: LoadOptions) -> CharacterDataset:
    files = release.splits[split]
    paths = [_locate(release, names, options) for names in (files.images, files.labels)]
    images = _read_array(paths[0], (files.count, 28, 28))
    labels = _read_array(paths[1], (files.count,)).astype(np.int32)
    return CharacterDataset(release.name, split, images, labels, release.classes, LICENCE, CREDIT)


def _locate(release: _Release, names: tuple[str, ...], options: LoadOptions) -> Path:
    """Return the path of one of the named files, as published, wherever it is."""
    if path := _find(release, names, options.data_dir, cached=False):
        _verify(path)
        return path
    if options.data_dir:
        raise MissingFileError(
            f"There is no {' or '.join(names)} in {options.data_dir} or {options.data_dir / release.name}; "
            "put it there, or leave --data-dir out to have it downloaded."
        )
    return _fetch(release, names[-1])


def _find(release: _Release, names: tuple[str, ...], data_dir: Path | None, *, cached: bool) -> Path | None:
    folders = [
        folder / part for folder in folders_of(release.name, data_dir, cached=cached) for part in release.folders
    ]
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.is_file()), None)


def _find_all(release: _Release, data_dir: Path | None) -> Path | None:
    found = [
        _find(release, names, data_dir, cached=True)
        for files in release.splits.values()
        for names in (files.images, files.labels)
    ]
    return found[0].parent if found[0] and all(found) else None


def _download(release: _Release) -> Path:
    paths = [_fetch(release, names[-1]) for files in release.splits.values() for names in (files.images, files.labels)]
    return paths[0].parent


def _fetch(release: _Release, name: str) -> Path:
    return fetch([mirror + name for mirror in release.mirrors], f"md5:{MD5[name]}", cache_folder() / release.name)


def _verify(path: Path) -> None:
    try:
        with open(path, "rb") as stream:
            md5 = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if md5 == OLD_RELEASE:
        raise UserError(
            f"{path} is the old test release from before February 2019, whose figures compare with nothing "
            f"published since; replace it by today's (md5 {MD5['kmnist-test-imgs.npz']})."
        )
    if md5 != MD5[path.name]:
        raise UserError(
            f"{path} is damaged or not the published file (its md5 is {md5}, published is {MD5[path.name]}); "
            "download it again."
        )


def _read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if path.suffix == ".npz":
        return read_npz_array(path, shape=shape, dtype=np.uint8)
    return read_idx(path, shape)
