"""Submissions made by code: correct ones of several styles, and broken and hostile ones."""
