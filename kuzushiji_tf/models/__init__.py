"""The model registry: name -> functional `keras.Model`; Keras layers and `keras.ops` only, for any backend.

One family a file, on what `building` gives them. `mixing` and `distilling` add graphs for training alone, `complexity`
counts operations, `loading` opens `.keras` files, and `neighbors` is the baseline without a network.
"""

from kuzushiji_tf.models.registry import ModelEntry, build_model, model_names, register_model, require_model

__all__ = ["ModelEntry", "build_model", "model_names", "register_model", "require_model"]
