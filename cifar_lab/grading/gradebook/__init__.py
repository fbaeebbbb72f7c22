"""A course site's gradebook: one column of the CSV that it exported is filled, all else is kept.

`book` reads it and finds the column, `matching` which row is whose, `filling` makes the filled copy
and says what was not filled. `csv_text` keeps every other character of the file as it is.

Rows are found by the site's own numbers: Canvas's `ID`, Moodle's `Identifier` (Participant 123),
Brightspace's `OrgDefinedId`, and by student ids and addresses where the submissions have those.
Only a file that has none of the submissions' numbers is matched by names, and says so.
"""
