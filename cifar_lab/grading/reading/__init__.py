"""Figures and sentences read out of what a notebook shows."""
