"""Tables, discussions and plots of results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["discussion", "plots", "tables"]
)
