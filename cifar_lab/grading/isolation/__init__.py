"""The sandbox in which code that nobody has read is run. It imports nothing of the package."""
