"""Characters: the ordered classes of a recognizer, code points, and which script a character belongs to."""
