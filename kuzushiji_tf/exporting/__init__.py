"""A trained model -> a folder of SavedModel and TFLite files, each measured over the whole test split."""
