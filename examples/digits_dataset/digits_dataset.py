"""A data set of one's own: the 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels.

For one program, register the loader and go on; this file does so when it is run:

    python examples/digits_dataset/digits_dataset.py

For every program, install the package; its pyproject.toml names the loader as an entry point:

    pip install ./examples/digits_dataset
    python train.py --dataset digits --model simple_cnn
"""

import numpy as np
from sklearn import datasets

import kuzushiji_tf as kt


def load_digits(split: str, options: kt.LoadOptions) -> kt.CharacterDataset:  # noqa: ARG001 (it needs none)
    """Return the handwritten digits of scikit-learn; every seventh is for testing."""
    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 17 levels, high where there is ink
    labels = digits.target.astype(np.int32)
    is_test = np.arange(len(images)) % 7 == 0  # no two of them are equal: else they had to stay on one side
    rows = np.flatnonzero(is_test == (split == "test"))
    return kt.CharacterDataset(
        "digits",
        split,
        images[rows],
        labels[rows],
        kt.Labels(tuple("0123456789")),
        licence="CC BY 4.0",
        credit="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI), as in scikit-learn",
    )


def main() -> None:
    """Register the data set and look at both of its splits."""
    kt.register_dataset("digits", load_digits)
    for split in ("train", "test"):
        print(kt.load_dataset("digits", split))


if __name__ == "__main__":
    main()
