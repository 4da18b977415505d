"""Scores, tables and pictures of a recognizer on a data set."""
