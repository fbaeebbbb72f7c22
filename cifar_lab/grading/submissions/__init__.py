"""A submission's folder: its notebook, weights and manifest."""
