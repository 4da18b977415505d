"""A recognizer and a test set -> scores, tables and pictures.

`evaluating.evaluate` takes both by name or path; `scoring.score` takes them loaded and writes the files. `metrics`,
`script_scores` and `refusals` count, `reports`, `contact_sheets` and `figures` draw. Nothing is imported here: whoever
only draws needs no scikit-learn.
"""
