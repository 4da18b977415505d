"""Bytes on disk -> `CharacterDataset`. NumPy only: TensorFlow is never imported on this floor."""

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.registry import dataset_names, load_dataset

__all__ = ["CharacterDataset", "dataset_names", "load_dataset"]
