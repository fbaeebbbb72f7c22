"""cifar_lab: a course's image classification experiments on CIFAR-10 and CIFAR-100.

    data = cifar_lab.load("cifar10")
    model = cifar_lab.build_model("convnet")
    history = cifar_lab.fit(model, data.train, cifar_lab.Recipe(...), test=data.test)
    print(cifar_lab.test_accuracy(model, data.test))

The rooms, in the order in which data flows through them: `data`, `models`, `training`,
`evaluation`, `experiments`, `reporting`. The public names stand in `__init__.pyi`; each is loaded
when it is first used, so that importing the package takes no time.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)

# `from cifar_lab import *` brings no rooms, whose names are those of many a notebook's variables.
ROOMS = {"benchmark", "cli", "cluster", "data", "evaluation", "experiments"}
ROOMS |= {"grading", "models", "reporting", "training", "utils"}
__all__ = sorted(set(__all__) - ROOMS)


def __dir__() -> list[str]:
    """Return the public names, without the rooms that nobody needs to look into."""
    return sorted([*__all__, "__version__", "reporting"])
