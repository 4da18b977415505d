"""The model registry: name -> functional `keras.Model`; Keras layers and `keras.ops` only, for any backend."""

from kuzushiji_tf.models.registry import build_model, model_names, require_model

__all__ = ["build_model", "model_names", "require_model"]
