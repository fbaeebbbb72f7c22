"""Grading sessions: of one submission, of a class, of a student's own work.

`grade` makes all checks on a submission. `test_checks` and `plugin` do so as a pytest session,
`grade_class` for a class (`class_session` is its pytest session), `self_check` in a notebook.
"""
