"""The checks of a submission, with their points and tolerances."""
