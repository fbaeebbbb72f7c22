"""Grading sessions: of one submission, of a class, of a student's own work.

`grade` makes all checks on a submission. `test_checks` and `plugin` do so as a pytest session,
`grade_class` for a class, `self_check` in a notebook. A class is `collecting`'s; `class_list` says
what is graded, `fingerprint` and `keeping` what is kept, and `class_results` reads and writes what
came of it. Two ways to spread a class: `running` runs `class_session` on it with pytest-xdist,
and `on_cluster` sends it, `packing`'s bytes, to `on_worker` on the workers of a Dask cluster.
"""
