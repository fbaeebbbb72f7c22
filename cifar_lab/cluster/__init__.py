"""Dask: many runs and many submissions on many machines."""
