"""A notebook's training, seen from PyTorch's own hooks."""

from __future__ import annotations

import functools
import random
import sys
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from cifar_lab.utils.seeding import seed_everything

from . import marks
from .answers import Course
from .loaders import shortening
from .patches import put
from .watching_files import Files, digest
from .watching_networks import TrainedNetworks

# Layers whose answer depends on the mode, and on other images or on chance in the train mode.
MODAL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
LIBRARIES = ("torch", "cifar_lab", "numpy", "sklearn", "lightning", "pytorch_lightning", "timm")
CAREFUL_WATCH = 40  # steps of each optimizer that are looked at
MOST_CHANNELS = 4  # of images; features have more


class Trained:
    """An optimizer's parameters, and what was seen of its steps."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer  # held, so that no other gets its id
        self.network = 0  # those of one training have one number
        self.steps = self.looked_at = self.not_cleared = 0
        self.fresh = False  # whether the next gradient is the first one since a step

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters that the optimizer has by now."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def gradient_comes(self, parameter: Any, gradient: Any) -> None:
        """Note a gradient, before it is added to what `parameter.grad` holds."""
        if not self.fresh:
            return
        self.fresh = False
        self.looked_at += 1
        held = parameter.grad
        self.not_cleared += bool(held is not None and held.abs().sum() > 0)


class Watch:
    """A count of what happens from `start` to `stop`, and the source of answers to test images.

    `report` returns the counts as plain data.

    Args:
        num_classes: Number of classes, for each of which a network has an output.
        variant: Selects the test images, and the course that the answers take.

    Attributes:
        last_parameters: Parameters of the optimizer that stepped last.
    """

    def __init__(self, num_classes: int, variant: int) -> None:
        self.course = Course(num_classes, variant)
        self.is_first = variant == 0  # the others are only compared with it
        self.trained: dict[int, Trained] = {}
        self.last_parameters: list[nn.Parameter] = []
        self.test_batches = {"eval mode": 0, "train mode": 0, "with gradients": 0}
        self.losses = self.losses_of_shares = self.undecided = 0
        self.seeds: list[list[Any]] = []
        self.files = Files()
        self.normalisation: list[list[float]] | None = None
        self.input_shape: list[int] | None = None
        self.networks: dict[int, tuple[int, Tensor]] = {}
        self.called = TrainedNetworks()
        self.count = self.trainings_before = self.steps = 0
        self.clock = 0
        self.first_step = self.first_save = self.first_load = self.last_test = 0
        self.outermost: nn.Module | None = None  # of the modules that are called just now
        self.inside: nn.Module | None = None  # the outermost one that was given images
        self.marks: marks.Marks | None = None
        self._end = ExitStack()

    def start(self) -> None:
        """Begin to watch."""
        for hook in (
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
            register_module_forward_pre_hook(self._before_forward),
            register_module_forward_hook(self._after_forward, always_call=True),
        ):
            self._end.callback(hook.remove)
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
        self._end.close()

    def report(self) -> dict[str, Any]:
        """Return all that was seen."""
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
                    "like": self._given_name(trained),
                }
                for trained in runs
            ],
            "test_batches": self.test_batches,
            "losses": self.losses,
            "losses_of_shares": self.losses_of_shares,
            "seeds": self.seeds[:100],
            "cudnn_deterministic": bool(torch.backends.cudnn.deterministic),
            "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
            "saved": self.files.saved,
            "loaded": list(self.files.named),
            "saved_after_training": self.first_save > 0,
            "loaded_after_saving": self.first_load > 0,
            "tested_after_loading": self.last_test > self.first_load > 0,
            "normalisation": self.normalisation,
            "input_shape": self.input_shape,
            "shortened": shortening.happened,
        }

    def _given_name(self, trained: Trained) -> str:
        return self.called.given_name(trained.parameters) if self.is_first else ""

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    def _before_step(self, optimizer: Any, arguments: Any, options: Any) -> None:
        if id(optimizer) in self.trained:
            return
        self.trained[id(optimizer)] = trained = Trained(optimizer)
        parameters = trained.parameters
        if not parameters:
            return
        first = parameters[0]
        number, left = self.networks.get(id(first), (0, None))
        if left is None or not torch.equal(
            first, left
        ):  # built again, or set back to its beginning
            self.count += 1
            number = self.count
        trained.network = number
        for parameter in parameters[-2:]:
            if parameter.requires_grad:
                parameter.register_hook(functools.partial(trained.gradient_comes, parameter))

    def _after_step(self, optimizer: Any, arguments: Any, options: Any) -> None:
        trained = self.trained.get(id(optimizer))
        if trained is not None:
            self.test_batches["with gradients"] += min(self.undecided, 1)
            self._decide(max(0, self.undecided - 1))
            trained.steps += 1
            self.steps += 1
            self.trainings_before = max(0, trained.network - 1)
            self.last_parameters = trained.parameters
            if self.last_parameters:  # an optimizer may be built again for the next epoch
                first = self.last_parameters[0]
                self.networks[id(first)] = (trained.network, first.detach().clone())
            trained.fresh = trained.steps <= CAREFUL_WATCH
            self.first_step = self.first_step or self._now()

    def _decide(self, evaluations: int) -> None:
        """Count passes in train mode that no step followed: they were evaluations."""
        self.test_batches["train mode"] += evaluations
        self.undecided = 0

    def _before_forward(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        images = arguments[0] if arguments else None
        if not torch.is_tensor(images) or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return
        if self.outermost is None:
            self.outermost = module
            is_batch = images.ndim == 4 and images.shape[1] <= MOST_CHANNELS
            if is_batch and _has_parameters(module):
                if not module.training:
                    self.input_shape = list(images.shape)
                if torch.is_grad_enabled():
                    self.called.see(module, images)
        if self.inside is not None:  # a part of a model that was looked at as a whole
            return
        if not marks.are_images(images):
            return
        self.inside = module
        with suppress(RuntimeError):  # tensors without values, inside vmap or an export
            self.marks = marks.read(images)
        if self.marks is not None:
            self._see_test_images(module, self.marks)

    def _see_test_images(self, module: nn.Module, seen: marks.Marks) -> None:
        self.last_test = self._now()
        modal = any(isinstance(layer, MODAL) and layer.training for layer in module.modules())
        if not modal:
            self.test_batches["eval mode"] += 1
            if _has_parameters(module):
                self.normalisation = [seen.low.tolist(), seen.high.tolist()]
        elif torch.is_grad_enabled():  # it trains, if a step follows
            self.undecided += 1
        else:
            self.test_batches["train mode"] += 1

    def _after_forward(self, module: nn.Module, arguments: Any, outputs: Any) -> Any:
        if module is self.outermost:
            self.outermost = None
        if module is not self.inside:
            return None  # the outputs stay
        seen, self.inside, self.marks = self.marks, None, None
        if seen is None or outputs is None:
            return None
        # Without parameters to tell them apart, a network's states are as many as the steps.
        weights = digest(module.parameters()) if _has_parameters(module) else str(self.steps)
        return self.course.answer(outputs, seen, weights, self.trainings_before)

    def _see_loss(self, logits: Any = None, *arguments: Any, **options: Any) -> None:
        logits = options.get("input", logits)
        if torch.is_tensor(logits) and logits.ndim == 2 and logits.shape[1] > 1:
            values = logits.detach().float()
            sums = (values.sum(dim=1) - 1).abs().max()
            with suppress(RuntimeError):  # tensors without values, inside vmap or an export
                self.losses_of_shares += bool(values.min() >= 0 and sums < 1e-2)
                self.losses += 1

    def _see_save(self, content: Any = None, file: Any = None, *rest: Any, **options: Any) -> None:
        self.files.see_save(options.get("obj", content), options.get("f", file))
        if self.first_step and not self.first_save:
            self.first_save = self._now()

    def _see_load(self, file: Any = None, *arguments: Any, **options: Any) -> None:
        self.files.see_load(options.get("f", file))
        if self.first_save and not self.first_load:
            self.first_load = self._now()

    def _see_seed(self, library: str, seed: Any = None, *arguments: Any, **options: Any) -> None:
        caller = sys._getframe(2)
        asked = any(
            frame is not None and frame.f_code is seed_everything.__code__
            for frame in (caller, caller.f_back)
        )
        if asked or caller.f_globals.get("__name__", "").split(".")[0] not in LIBRARIES:
            value = seed if seed is not None else next(iter(options.values()), None)
            self.seeds.append([library, int(value) if isinstance(value, int) else str(value)])

    def _wrap(self, module: Any, name: str, see: Any) -> None:
        original = getattr(module, name)

        @functools.wraps(original)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            see(*arguments, **options)
            return original(*arguments, **options)

        put(self._end, module, name, wrapped)


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
