"""Domain transfer: a kuzushiji kanji in, a modern kanji out, stroke by stroke (arXiv 1812.01718, section 3.2)."""
