"""Experiments by name, their runs and results, and what is compared, submitted or published."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["exercises", "published", "variants"],
    submod_attrs={
        "catalog": ["EXPERIMENTS", "GROUPS", "Experiment"],
        "results": ["Result"],
    },
)
