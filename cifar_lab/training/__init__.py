"""Training of a model by a recipe. Read `loop` first, then `recipe`.

- `loop`: `fit` and `train_epoch`.
- `recipe`, `recipe_words`: `Recipe`: how to train, as data.
- `prepare`, `data_checks`, `notices`, `whitening`: All conversions and checks before training.
- `setup`: What `fit` does in an epoch besides training.
- `optimizers`, `muon`: The optimizers (a new one is a row in `optimizers` and a name in `recipe`).
- `schedule`: The learning rate at each step.
- `custom`: A loss, optimizer and scheduler of PyTorch in the place of the recipe's.
- `state`, `checkpoint`, `plain_files`: Everything that training changes, and its files.
- `history`, `progress`, `announcer`, `estimate`, `losses`: What a run reports.
- `batch_norm`: Batch norm's statistics, computed again at the end.
- `acceleration`, `faster_layers`, `allocator`: Faster training of any network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["EpochRecord", "History"],
        "loop": ["fit", "train_epoch"],
        "progress": ["Progress"],
        "recipe": ["Recipe"],
    },
)
