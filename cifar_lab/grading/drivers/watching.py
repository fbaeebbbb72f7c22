"""What a notebook's training does, seen from PyTorch's own hooks."""

from __future__ import annotations

import functools
import hashlib
import random
import sys
from typing import Any

import numpy as np
import torch
from standin import are_test_images
from torch import nn
from torch.nn import functional
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

# Layers whose answer depends on the mode, and on other images or on chance in the train mode.
MODAL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
LIBRARIES = ("torch", "cifar_lab", "numpy", "sklearn", "lightning", "pytorch_lightning", "timm")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
CAREFUL_WATCH = 40  # steps of each optimizer that are looked at


class Trained:
    """An optimizer's parameters, and what was seen of its steps."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer  # held, so that no other gets its id
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.network = 0  # those of one training have one number
        self.steps = self.looked_at = self.not_cleared = 0
        self.fresh = False  # whether the next gradient is the first one since a step

    def gradient_comes(self, parameter: Any, gradient: Any) -> None:
        """Called before a gradient is added to what `parameter.grad` holds."""
        if not self.fresh:
            return
        self.fresh = False
        self.looked_at += 1
        held = parameter.grad
        self.not_cleared += bool(held is not None and held.abs().sum() > 0)


class Watch:
    """Counts what happens from `start` on; `report` tells it as plain data."""

    def __init__(self) -> None:
        self.trained: dict[int, Trained] = {}
        self.test_batches = {"eval mode": 0, "train mode": 0, "with gradients": 0}
        self.losses = self.losses_of_shares = self.undecided = 0
        self.seeds: list[list[Any]] = []
        self.saved: dict[str, str] = {}
        self.networks: dict[int, tuple[int, torch.Tensor]] = {}
        self.count = 0
        self.clock = 0
        self.first_step = self.first_save = self.first_load = self.last_test = 0
        self.inside: nn.Module | None = None
        self._hooks: list[Any] = []

    def start(self) -> None:
        """Begin to watch."""
        self._hooks = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
            register_module_forward_pre_hook(self._before_forward),
            register_module_forward_hook(self._after_forward, always_call=True),
        ]
        self._wrap(functional, "cross_entropy", self._see_loss)
        self._wrap(torch, "save", self._see_save)
        self._wrap(torch, "load", self._see_load)
        self._wrap(random, "seed", functools.partial(self._see_seed, "random"))
        self._wrap(np.random, "seed", functools.partial(self._see_seed, "numpy"))
        for module in (torch, torch.random):
            self._wrap(module, "manual_seed", functools.partial(self._see_seed, "torch"))
            self._wrap(module, "seed", functools.partial(self._see_seed, "torch"))

    def stop(self) -> None:
        """Leave PyTorch's modules alone from here on."""
        for hook in self._hooks:
            hook.remove()

    def report(self) -> dict[str, Any]:
        """All that was seen."""
        self._decide(self.undecided)
        runs = [trained for trained in self.trained.values() if trained.steps]
        return {
            "optimizers": [
                {
                    "parameters": sum(parameter.numel() for parameter in trained.parameters),
                    "network": trained.network,
                    "steps": trained.steps,
                    "looked_at": trained.looked_at,
                    "not_cleared": trained.not_cleared,
                    "digest": digest(trained.parameters),
                }
                for trained in runs
            ],
            "test_batches": self.test_batches,
            "losses": self.losses,
            "losses_of_shares": self.losses_of_shares,
            "seeds": self.seeds[:100],
            "cudnn_deterministic": bool(torch.backends.cudnn.deterministic),
            "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
            "saved": self.saved,
            "saved_after_training": self.first_save > 0,
            "loaded_after_saving": self.first_load > 0,
            "tested_after_loading": self.last_test > self.first_load > 0,
        }

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    def _before_step(self, optimizer: Any, arguments: Any, options: Any) -> None:
        if id(optimizer) in self.trained:
            return
        self.trained[id(optimizer)] = trained = Trained(optimizer)
        if not trained.parameters:
            return
        first = trained.parameters[0]
        number, left = self.networks.get(id(first), (0, None))
        if left is None or not torch.equal(first, left):  # built anew, or set back to its beginning
            self.count += 1
            number = self.count
        trained.network = number
        for parameter in trained.parameters[-2:]:
            if parameter.requires_grad:
                parameter.register_hook(functools.partial(trained.gradient_comes, parameter))

    def _after_step(self, optimizer: Any, arguments: Any, options: Any) -> None:
        trained = self.trained.get(id(optimizer))
        if trained is not None:
            self.test_batches["with gradients"] += min(self.undecided, 1)
            self._decide(max(0, self.undecided - 1))
            trained.steps += 1
            if trained.parameters:  # an optimizer may be built anew for the next epoch
                first = trained.parameters[0]
                self.networks[id(first)] = (trained.network, first.detach().clone())
            trained.fresh = trained.steps <= CAREFUL_WATCH
            self.first_step = self.first_step or self._now()

    def _decide(self, evaluations: int) -> None:
        """Passes in train mode that no step followed were evaluations."""
        self.test_batches["train mode"] += evaluations
        self.undecided = 0

    def _before_forward(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if self.inside is not None:  # a part of a model that was looked at as a whole
            return
        images = arguments[0] if arguments else None
        if not torch.is_tensor(images) or images.ndim != 4 or images.shape[1:] != (3, 32, 32):
            return
        if not len(images) or not are_test_images(images.detach()):
            return
        self.inside = module
        self.last_test = self._now()
        modal = any(isinstance(layer, MODAL) and layer.training for layer in module.modules())
        if not modal:
            self.test_batches["eval mode"] += 1
        elif torch.is_grad_enabled():  # it trains, if a step follows
            self.undecided += 1
        else:
            self.test_batches["train mode"] += 1

    def _after_forward(self, module: nn.Module, arguments: Any, outputs: Any) -> None:
        if module is self.inside:
            self.inside = None

    def _see_loss(self, logits: Any = None, *arguments: Any, **options: Any) -> None:
        logits = options.get("input", logits)
        if torch.is_tensor(logits) and logits.ndim == 2 and logits.shape[1] > 1:
            self.losses += 1
            values = logits.detach().float()
            sums = (values.sum(dim=1) - 1).abs().max()
            self.losses_of_shares += bool(values.min() >= 0 and sums < 1e-2)

    def _see_save(self, content: Any = None, file: Any = None, *rest: Any, **options: Any) -> None:
        if self.first_step and not self.first_save:
            self.first_save = self._now()
        # A state_dict alone: checkpoints also hold figures, which differ with the test images.
        if isinstance(content, dict) and content and all(map(torch.is_tensor, content.values())):
            shapes = repr({name: list(tensor.shape) for name, tensor in content.items()})
            if "weight" in shapes:
                network = hashlib.sha256(shapes.encode()).hexdigest()[:16]
                self.saved[f"{file} {network}"] = digest(
                    tensor for name, tensor in content.items() if not name.endswith(STATISTICS)
                )

    def _see_load(self, *arguments: Any, **options: Any) -> None:
        if self.first_save and not self.first_load:
            self.first_load = self._now()

    def _see_seed(self, library: str, seed: Any = None, *arguments: Any, **options: Any) -> None:
        caller = sys._getframe(2).f_globals.get("__name__", "")
        inside = caller.split(".")[0] in LIBRARIES and caller != "cifar_lab.reproducibility"
        if not inside:
            value = seed if seed is not None else next(iter(options.values()), None)
            self.seeds.append([library, int(value) if isinstance(value, int) else str(value)])

    @staticmethod
    def _wrap(module: Any, name: str, see: Any) -> None:
        original = getattr(module, name)

        @functools.wraps(original)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            see(*arguments, **options)
            return original(*arguments, **options)

        setattr(module, name, wrapped)


def digest(tensors: Any) -> str:
    """The same for tensors that are equal to the bit."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
