"""A trained model -> a folder of SavedModel and TFLite files, each measured over the whole test split.

`folders.export` exports a run, `folders.export_model` any Keras model. `conversion` writes the files, `verification`
runs them and holds them to their bounds, `model_card` says what came out; `sources` is what an export is made from.
Nothing is imported here, since each needs TensorFlow.
"""
