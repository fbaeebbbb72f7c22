"""Grading sessions: of one submission, of a class, of a student's own work.

`grade` makes all checks on a submission. `test_checks` and `plugin` do so as a pytest session,
`grade_class` for a class, `self_check` in a notebook. A class is `collecting`'s; `class_list` says
what is graded, `running` runs `class_session` on it with pytest, and `class_results` reads and
writes what came of it.
"""
