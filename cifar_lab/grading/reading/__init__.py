"""Figures and sentences, read from what a notebook shows.

`shown` turns outputs into text, `text_tables` reads tables in it, `numerals` reads numbers;
`accuracies` finds the test accuracies, with the help of `accuracy_names`; `report` has what the
checks use, and reads the student's own text.
"""
