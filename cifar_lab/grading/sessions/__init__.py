"""A grading session: of one submission, of a class, of the own work."""
