"""Runs: training a recognizer in a work directory, resuming it, and joining runs in an ensemble."""
