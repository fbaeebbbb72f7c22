"""Training: `loop` is read first, then `recipe`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "loop": ["fit", "train_epoch"],
        "recipe": ["Recipe"],
        "state": ["EpochRecord"],
    },
)
