"""Data sets that a program draws from strokes: kana, what people write on a touchscreen, and what is no character."""
