"""The networks that a notebook trains, and which of them the student was given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cifar_lab.models.structure import library_network_like

MOST_NETWORKS = 200  # that are held until the notebook has run


class TrainedNetworks:
    """The modules that images go through while the notebook runs.

    An optimizer has parameters alone; the network is the module that was called with images and
    holds them all.
    """

    def __init__(self) -> None:
        self._called: dict[int, tuple[nn.Module, tuple[int, ...]]] = {}
        self._names: dict[int, str] = {}

    def see(self, module: nn.Module, images: Tensor) -> None:
        """Note a module that was called with a batch of images."""
        if len(self._called) < MOST_NETWORKS:
            self._called.setdefault(id(module), (module, tuple(images.shape[1:])))

    def networks(self) -> list[nn.Module]:
        """Return the modules, the last one first."""
        return [module for module, _ in self._called.values()][::-1]

    def given_name(self, parameters: Sequence[nn.Parameter]) -> str:
        """Return the name of the network that the student was given, of which these are.

        It is "" for the student's own network, and for one that can't be told.
        """
        wanted = {id(parameter) for parameter in parameters}
        for key, (module, shape) in self._called.items():
            if wanted and wanted <= {id(parameter) for parameter in module.parameters()}:
                if key not in self._names:
                    self._names[key] = _given_name(module, shape)
                return self._names[key]
        return ""


def _given_name(module: nn.Module, shape: tuple[int, ...]) -> str:
    try:
        return library_network_like(module, shape) or ""
    except Exception:  # a student's forward pass may raise anything, and is no less their own
        return ""
