"""Training of a model by a recipe. Read `loop` first, then `recipe`.

- `loop`: `fit` and `train_epoch`.
- `recipe`: `Recipe`: how to train, as data.
- `prepare`, `data_checks`: Every conversion and check before the first epoch.
- `optimizers`, `muon`: The optimizers (a new one is a row in `optimizers` and a name in `recipe`).
- `schedule`: The learning rate at each step.
- `state`, `checkpoint`: Everything that training changes, and the files that it is saved in.
- `losses`, `estimate`: The losses of an epoch, and the estimate of the time.
- `batch_norm`: Batch norm's statistics, computed again at the end.
- `acceleration`, `faster_layers`, `allocator`: Faster training of any network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "loop": ["fit", "train_epoch"],
        "recipe": ["Recipe"],
        "state": ["EpochRecord"],
    },
)
