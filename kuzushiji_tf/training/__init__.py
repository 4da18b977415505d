"""Runs: `runs.train` trains a recognizer in a work directory or resumes it, `ensembles.join_runs` averages several.

`compiling` makes what is trained, `fitting` trains it with the `callbacks` and `checkpoints` that every training has
(the domain transfer's too), `distribution` says on which devices; `starting` begins with the weights of another run,
`distillation` adds a teacher, `calibration` and `population` finish what was trained. Nothing is imported here, since
each needs TensorFlow.
"""
