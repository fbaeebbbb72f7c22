"""Small helpers that know nothing of images and models.

- `errors`: Exceptions, and the message for an unknown name.
- `files`: Files that are complete or absent, even after an interruption.
- `plain`: numpy's and PyTorch's numbers as Python's, and JSON.
- `seeding`: Seeds, and a generator for each purpose.
- `devices`, `environment`: The device to run on; the versions and memory that a result records.
- `console`, `markdown`, `wording`: Printed text, tables, counts and durations in words.
- `statistics`, `frames`: Means and standard errors; pandas DataFrames, where pandas is there.
"""
