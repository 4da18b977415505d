"""Bytes on disk -> `CharacterDataset`. NumPy only: TensorFlow is never imported on this floor."""

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.registry import load_dataset

__all__ = ["CharacterDataset", "load_dataset"]
