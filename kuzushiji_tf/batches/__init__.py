"""Data sets -> batches of tensors: sampling, augmentation, balancing, mixing, and balanced sets written to disk."""
