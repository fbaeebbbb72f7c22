"""Dask: many runs and many submissions on many machines.

`distributed` is imported when a command asks for a cluster, so that one machine needs nothing more.
"""
