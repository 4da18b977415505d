"""Strokes and pictures: how ink is cleaned, normalized and drawn, and how it is found in a picture."""
