"""Images in memory, from the official files to batches on a device.

- `cifar`: One row per dataset (a new dataset is a row here), and CIFAR-100's superclasses.
- `datasets`: `load`, which returns a dataset by its name.
- `image_set`: Labelled images with a role, and `split`; `image_checks`, `indices`: their checks.
- `batches`: Batches of an image set, and the checks of a student's own loader.
- `augment`: Random transforms of whole batches (a new transform is a class there).
- `leakage`: Test images are refused in training.
- `download`, `mirrors`, `transfer`: The official archives: verified, downloaded, resumed.
- `synthetic`: Images drawn by code. `substitutes`: Other images in place of the datasets.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["augment"],
    submod_attrs={
        "cifar": ["CIFAR10_MEAN", "CIFAR10_STD", "CIFAR100_MEAN", "CIFAR100_STD"],
        "datasets": ["load", "load_or_stand_in", "load_or_synthetic"],
        "image_set": ["Data", "ImageSet", "Role", "split", "to_unit_interval"],
        "batches": ["Batches"],
    },
)
