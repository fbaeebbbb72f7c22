"""Images in memory, from the official files to batches on a device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["augment"],
    submod_attrs={
        "cifar": ["CIFAR10_MEAN", "CIFAR10_STD", "CIFAR100_MEAN", "CIFAR100_STD"],
        "datasets": ["load", "load_or_stand_in"],
        "image_set": ["Data", "ImageSet", "Role", "split", "to_unit_interval"],
        "batches": ["Batches"],
    },
)
