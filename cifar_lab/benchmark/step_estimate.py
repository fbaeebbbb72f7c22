"""An estimate of a training step's time on a GPU that is not at hand, from what the step does.

The operations of a step are counted on the CPU: how many kernels they launch, how many bytes they
move, and how many floating-point operations they do. A GPU's step takes at least as long as the
host needs to launch it, and as long as memory or matrix units need, kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from cifar_lab.data import synthetic
from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.image_set import ImageSet, Role, from_numpy
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import convolution_backward_flops
from cifar_lab.reporting.tables import markdown_table
from cifar_lab.training.acceleration import find_acceleration
from cifar_lab.training.custom import loss_function
from cifar_lab.training.data_checks import first_batch
from cifar_lab.training.loop import train_epoch
from cifar_lab.training.prepare import training_loader
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.seeding import random_state_kept

SIZES = 2, 4  # images in the two batches that are counted: bytes and products grow in proportion
# Kernels of an operation, where it is not one; those of none allocate, look or draw on the host.
KERNELS = {
    "convolution_backward": 2,
    "native_batch_norm": 2,
    "native_batch_norm_backward": 2,
    "_foreach_norm": 2,
    **dict.fromkeys(("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"), 0),
    **dict.fromkeys(("_local_scalar_dense", "_unsafe_view", "rand", "randint", "randperm"), 0),
    **dict.fromkeys(("_is_all_true", "_record_function_enter_new", "_record_function_exit"), 0),
    "aminmax": 0,  # of the labels, which are looked at on the CPU alone
}

GATHERING = {"index", "index_select", "gather", "embedding"}  # they read what they return
OVERWRITING = {"copy_", "fill_", "zero_"}  # they don't read what they change


@dataclass(frozen=True)
class GPU:
    """A GPU's speeds, as they are reached, not as they are advertised.

    Attributes:
        bytes_per_second: The bytes that it moves to and from its memory.
        flops_per_second: The floating-point operations of its matrix units, in fp16.
        kernel_seconds: The least time that a kernel takes.
        launch_seconds: The time that the host takes to launch a kernel from Python.
    """

    bytes_per_second: float
    flops_per_second: float
    kernel_seconds: float = 3e-6
    launch_seconds: float = 10e-6


# Assumed, not measured: three quarters of the 320 GB/s and 40 % of the 6.5e13 FLOPs a second that
# NVIDIA states for a T4.
GPUS = {"t4": GPU(bytes_per_second=2.4e11, flops_per_second=2.6e13)}


@dataclass(frozen=True)
class StepEstimate:
    """What a training step does, and the time that it is estimated to take.

    Attributes:
        batch_size: The images in a batch.
        kernels: The kernels that it launches.
        moved_bytes: The bytes that its kernels read and write, were nothing kept in caches.
        flops: The floating-point operations of its matrix products and convolutions.
        host_seconds: The time to launch its kernels.
        gpu_seconds: The time of its kernels.
    """

    batch_size: int
    kernels: int
    moved_bytes: float
    flops: float
    host_seconds: float
    gpu_seconds: float

    @property
    def seconds(self) -> float:
        """The seconds of a step: the host launches the next one while the GPU computes."""
        return max(self.host_seconds, self.gpu_seconds)

    def epoch_seconds(self, images: float = 50_000) -> float:
        """Return the seconds of an epoch, evaluations not included."""
        return self.seconds * images / self.batch_size


def estimate_step(experiment: Experiment, gpu: GPU = GPUS["t4"]) -> StepEstimate:
    """Estimate the time of an experiment's training step in mixed precision on a GPU.

    Copies from the host and a network's `DataParallel` are not counted.

    Args:
        experiment: The experiment; two short trainings on drawn images count what its step does.
        gpu: The speeds of the GPU.

    Returns:
        The estimate for the recipe's batches.

    Raises:
        ValueError: Its steps do other operations from batch to batch, as with random transforms
            that look at their images.
    """
    few, more = (_operations(experiment, size) for size in SIZES)
    if [each.name for each in few] != [each.name for each in more]:
        raise ValueError(
            f"The steps of {experiment.name} do other operations in other batches, as with random "
            "transforms of some images; expected the same ones, which can be counted on a few "
            "images. Leave such transforms out, or time it on the GPU."
        )
    batch_size = experiment.recipe.batch_size
    kernels, moved_bytes, flops, seconds = 0, 0.0, 0.0, 0.0
    for one, other in zip(few, more, strict=True):
        moved = _at(batch_size, one.moved_bytes, other.moved_bytes)
        done = _at(batch_size, one.flops, other.flops)
        kernels += one.kernels
        moved_bytes += moved
        flops += done
        seconds += max(
            moved / gpu.bytes_per_second,
            done / gpu.flops_per_second,
            one.kernels * gpu.kernel_seconds,
        )
    return StepEstimate(
        batch_size, kernels, moved_bytes, flops, kernels * gpu.launch_seconds, seconds
    )


def estimates_table(estimates: Sequence[tuple[Experiment, StepEstimate]]) -> str:
    """Return a Markdown table of experiments and the estimates of their steps."""
    header = ["experiment", "batch", "kernels", "GB", "FLOPs", "ms to launch", "ms on the GPU"]
    header += ["s per epoch", "minutes in all"]
    rows = []
    for experiment, step in estimates:
        epoch = step.epoch_seconds(50_000 * (1 - experiment.validation_fraction))
        rows.append(
            [
                experiment.title,
                step.batch_size,
                step.kernels,
                f"{step.moved_bytes / 1e9:.2f}",
                f"{step.flops:.2e}",
                f"{1e3 * step.host_seconds:.1f}",
                f"{1e3 * step.gpu_seconds:.1f}",
                f"{epoch:.2f}",
                f"{epoch * experiment.recipe.epochs / 60:.3g}",
            ]
        )
    return markdown_table(header, rows)


def _at(batch_size: int, few: float, more: float) -> float:
    """Return what grows in proportion to the batch, from its values for the two `SIZES`."""
    return few + (more - few) * (batch_size - SIZES[0]) / (SIZES[1] - SIZES[0])


@dataclass(frozen=True)
class _Operation:
    name: str
    kernels: int
    moved_bytes: int
    flops: int


@dataclass
class _Counting(TorchDispatchMode):
    """Notes the operations in its block that launch kernels."""

    done: list[_Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        returned = [each.alias_info for each in func._schema.returns]
        is_view = any(alias is not None and not alias.is_write for alias in returned)
        kernels = _kernels(name, args)
        if kernels and not is_view:
            given = dict(zip((each.name for each in func._schema.arguments), args, strict=False))
            changed = [
                (given | kwargs).get(each.name)
                for each in func._schema.arguments
                if each.alias_info is not None and each.alias_info.is_write
            ]
            written = _bytes(changed or result)
            read = written if name in GATHERING else _bytes([args, kwargs])
            if name in OVERWRITING:
                read -= written
            flops = _flops(func, args, kwargs, result)
            self.done.append(_Operation(name, kernels, read + written, flops))
        return result


def _kernels(name: str, args: Sequence[Any]) -> int:
    """Return the kernels of an operation; those on lists need one for each tensor if unlike."""
    if not name.startswith("_foreach_"):
        return KERNELS.get(name, 1)
    sequences = [each for each in args if isinstance(each, list | tuple)]
    lists = [each for each in sequences if each and isinstance(each[0], Tensor)]
    alike = all(
        len({(one.shape, one.stride(), one.dtype) for one in together}) == 1
        for together in zip(*lists, strict=True)
    )
    return KERNELS.get(name, 1) if alike else len(lists[0])


def _flops(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    packet = func._overloadpacket
    if packet is torch.ops.aten.convolution_backward:
        grad_out, images, weights, *rest = args
        shapes = grad_out.shape, images.shape, weights.shape
        return convolution_backward_flops(*shapes, *rest, out_shape=None)
    count = flop_registry.get(packet)
    return 0 if count is None else int(count(*args, **kwargs, out_val=result))


def _bytes(values: Any) -> int:
    tensors = [each for each in tree_leaves(values) if isinstance(each, Tensor)]
    return sum(each.numel() * each.element_size() for each in tensors)


@random_state_kept(gpus=False)
def _operations(experiment: Experiment, size: int) -> list[_Operation]:
    """Return the operations of one of an experiment's steps, with batches of this size."""
    torch.manual_seed(0)
    classes = DATASETS[experiment.dataset].num_classes
    model, recipe = experiment.build_model(classes), experiment.recipe
    recipe, cpu = replace(recipe, batch_size=size), torch.device("cpu")
    loader = training_loader(_drawn(4 * size, classes), recipe, 0, cpu)
    acceleration = find_acceleration(recipe, model, first_batch(loader, cpu)[0])
    state = TrainingState(model, recipe, "fp16")
    ends: list[int] = []

    def after_step(step: int) -> None:
        state.after_step(recipe.learning_rate)
        ends.append(len(counting.done))

    with acceleration.within(model), _Counting() as counting:
        train_epoch(
            model,
            loader,
            state.optimizer,
            loss_function(None, recipe, cpu),
            precision="bf16",  # in place of fp16, which the CPU lacks: as many bytes
            scaler=state.scaler,
            gradient_clip=recipe.gradient_clip,
            after_step=after_step,
        )
    return counting.done[ends[1] : ends[2]]  # the first ones make buffers, the last gets no batch


def _drawn(count: int, classes: int) -> ImageSet:
    names = tuple(map(str, range(classes)))
    return from_numpy(*synthetic.draw(count, seed=0), Role.TRAIN, names, "synthetic")
