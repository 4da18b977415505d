"""Data sets -> batches of tensors: sampling, augmentation, balancing, mixing, and balanced sets written to disk.

`pipeline.training_batches` puts together what `sampling` (the order), `augmentation`, `balancing` (virtual sets) and
`mixup` say. `materializing` writes sets to disk, as arrays, pictures or `records`; `loading` says how a run's data set
is loaded, and `startup` starts TensorFlow quietly. Nothing is imported here, since most of it needs TensorFlow.
"""
