"""A data set of one's own: the 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels.

For one program, register the loader and go on; this file does so when it is run:

    python examples/digits_dataset/digits_dataset.py

For every program, install the package; its pyproject.toml names the loader as an entry point:

    pip install ./examples/digits_dataset
    python train.py --dataset digits --model simple_cnn
"""

import numpy as np
from sklearn import datasets

from kuzushiji_tf import CharacterDataset, load_dataset, register_dataset
from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import LoadOptions
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.datasets.splits import held_out_rows


def load_digits(split: str, options: LoadOptions) -> CharacterDataset:  # noqa: ARG001 (nothing of them concerns it)
    """Return the handwritten digits of scikit-learn; a seventh of each is for testing, chosen by content."""
    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 levels, high where there is ink
    labels = digits.target.astype(np.int32)
    is_test = held_out_rows(content_keys(images), labels, classes=10)
    rows = np.flatnonzero(is_test == (split == "test"))
    return CharacterDataset(
        "digits",
        split,
        images[rows],
        labels[rows],
        Labels(tuple("0123456789")),
        licence="CC BY 4.0",
        credit="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI), as in scikit-learn",
    )


def main() -> None:
    """Register the data set and look at both of its splits."""
    register_dataset("digits", load_digits)
    for split in ("train", "test"):
        print(load_dataset("digits", split))


if __name__ == "__main__":
    main()
