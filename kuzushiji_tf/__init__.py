"""Recognizers of Japanese characters, cursive (kuzushiji) and modern: train, evaluate, export, embed."""

__version__ = "0.1.0"
