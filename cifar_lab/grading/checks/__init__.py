"""All checks, one function each; the function, its points and its expectation stand together.

`notebook` checks the notebook's file and its run, `model` the network, `training` what happened
in training, `results` weights, accuracy and seeds, `report` what the student writes. `check` has
the decorator that declares a check, `table` all checks in the order of the reports.
"""
