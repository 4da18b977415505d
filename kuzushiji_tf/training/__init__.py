"""Runs: `runs.train` trains a recognizer in a work directory or resumes it, `ensembles.join_runs` averages several.

`compiling` makes what is trained, `fitting` trains it with the `callbacks` that every training has (the domain
transfer's too) and with those of `saving`, which write `checkpoints`; `resuming` says what a restart comes to,
`distribution` on which devices; `starting` begins with the weights of another run, `distillation` adds a teacher,
`calibration` and `population` finish what was trained. Nothing is imported here, since most need TensorFlow.
"""
