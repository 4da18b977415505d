"""A trained recognizer in use: pictures or strokes in, ranked characters out, without TensorFlow."""
