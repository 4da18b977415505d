"""Bytes on disk -> `CharacterDataset`. NumPy only: TensorFlow is never imported on this floor."""

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.registry import LoadOptions, dataset_names, load_dataset, register_dataset

__all__ = ["CharacterDataset", "LoadOptions", "dataset_names", "load_dataset", "register_dataset"]
