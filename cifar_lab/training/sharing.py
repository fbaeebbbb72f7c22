"""One training that several processes share: each computes a part of every batch.

Every process holds the whole network and takes the same steps. What DistributedDataParallel does
in a wrapper is one call here, after the backward pass: the network stays as it is, parts of it may
be unused or frozen, and the last batch may be of any size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from cifar_lab.models.forward import device_of
from cifar_lab.training.checkpoint import Checkpoint
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.devices import to_device
from cifar_lab.utils.ranks import Ranks

SMALLEST_SHARE = 2  # images: batch norm can't train on one


def share_of_batch(ranks: Ranks, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return this process's part of a batch, and the weight of its mean loss in the batch's.

    The parts follow one another in the batch and differ by one image at most. A batch that is too
    small to share, such as an epoch's last one, is computed by every process, with equal weights.
    """
    count, size = len(labels), ranks.size
    if size == 1:
        return images, labels, 1.0
    if count < SMALLEST_SHARE * size:
        return images, labels, 1 / size
    own = slice(count * ranks.rank // size, count * (ranks.rank + 1) // size)
    return images[own], labels[own], len(labels[own]) / count


@torch.no_grad()
def sum_gradients(
    ranks: Ranks, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor
) -> Tensor:
    """Sum gradients and the loss over the processes, and return the loss of the whole batch.

    The running statistics of batch norm become their mean over the processes. Afterwards all of
    these have the same bits in every process.

    Args:
        ranks: The processes.
        model: The model, after the backward pass of the weighted loss of its part of the batch.
        optimizer: The optimizer, which may hold parameters that are not the model's.
        loss: The weighted loss.
    """
    if ranks.size == 1:
        return loss
    held = (each for group in optimizer.param_groups for each in group["params"])
    trained = [each for each in dict.fromkeys([*model.parameters(), *held]) if each.requires_grad]
    loss = loss.detach().clone()
    used = torch.tensor([float(each.grad is not None) for each in trained])
    used = to_device(used, loss.device)
    unused_here = [number for number, each in enumerate(trained) if each.grad is None]
    for number in unused_here:
        trained[number].grad = torch.zeros_like(trained[number])
    statistics = _running_statistics(model)
    for each in statistics:
        each.div_(ranks.size)
    gradients = [each.grad for each in trained if each.grad is not None]
    ranks.sum_([*gradients, *statistics, loss, used])
    if unused_here:  # read only then: on a GPU the host has to wait for it
        for number, users in enumerate(used.tolist()):
            if not users:
                trained[number].grad = None
    return loss


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """Return the running means and variances that the forward pass has changed."""
    return [
        statistic
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
        for statistic in (module.running_mean, module.running_var)
        if statistic is not None
    ]


@contextmanager
def synchronized_norms(ranks: Ranks, model: nn.Module) -> Iterator[None]:
    """Let batch norm normalise by the whole batch for the block, on a GPU.

    PyTorch's `SyncBatchNorm` needs one; on the CPU each process's part is normalised by its own
    statistics.
    """
    if ranks.size > 1 and device_of(model).type == "cuda":
        with norms_as_sync(model):
            yield
    else:
        yield


@contextmanager
def norms_as_sync(model: nn.Module) -> Iterator[None]:
    """Turn batch norms into `SyncBatchNorm`s for the block: the same layers, in another class.

    Those of a custom class stay as they are.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    found = [(each, type(each)) for each in model.modules() if type(each) in kinds]
    try:
        for module, _ in found:
            module.__class__ = nn.SyncBatchNorm
            module.process_group = None  # type: ignore[assignment]  # all processes
        yield
    finally:
        for module, kind in found:
            module.__class__ = kind
            del module.process_group


def copy_weights_from_first(ranks: Ranks, state: TrainingState) -> None:
    """Give every process the first one's weights, buffers and averages.

    They are the same already, except for buffers of a custom layer, and what a callback changed in
    the first process alone.
    """
    average = [] if state.average is None else state.average.values.values()
    ranks.copy_from_first_([*_tensors(state.model), *average])


def copy_model_from_first(ranks: Ranks, model: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    ranks.copy_from_first_(_tensors(model))


def _tensors(model: nn.Module) -> list[Tensor]:
    return [each.detach() for each in (*model.parameters(), *model.buffers())]


def begin_together(
    ranks: Ranks, checkpoint: Checkpoint, state: TrainingState, *, resume: bool
) -> None:
    """Begin or resume the run in the first process, and give every process its state.

    So all begin with the same weights, and the others need not see the checkpoint's file. Errors
    are those of `begin_or_resume`.
    """

    def begin() -> bytes:
        checkpoint.begin(state, resume=resume)
        content = io.BytesIO()
        if ranks.size > 1:
            torch.save(state.state_dict(), content)
        return content.getvalue()

    content = ranks.from_first(begin)
    if not ranks.is_first:
        # From a process of this very run, so no more is trusted than is running already.
        state.load_state_dict(
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
        )


def refuse_unshareable(ranks: Ranks, model: nn.Module, batch: int) -> None:
    """Raise where several processes can't share the training.

    Args:
        ranks: The processes.
        model: The network.
        batch: The number of images in a batch.

    Raises:
        ValueError: The batches are too small.
        TypeError: The model shares the batches itself.
    """
    if ranks.size == 1:
        return
    if isinstance(model, DistributedDataParallel):
        raise TypeError(
            "The model is in DistributedDataParallel; expected the network itself: fit gives each "
            "process its part of every batch, and sums the gradients. Give model.module."
        )
    if batch < SMALLEST_SHARE * ranks.size:
        raise ValueError(
            f"A batch has {batch} images, which {ranks.size} processes share; expected at least "
            f"{SMALLEST_SHARE} images for each. Start fewer processes, or set a larger batch_size."
        )


def refuse_differing_runs(ranks: Ranks, facts: Mapping[str, Any]) -> None:
    """Raise where the processes were not all asked for the same run.

    Raises:
        ValueError: A fact, such as the seed, is another one in another process.
    """
    everywhere = ranks.gather(dict(facts))
    for rank, there in enumerate(everywhere):
        for name, value in everywhere[0].items():
            if there.get(name) != value:
                raise ValueError(
                    f"{name} is {value!r} in process 0 and {there.get(name)!r} in process {rank}; "
                    f"expected the same run in all {ranks.size} processes that torchrun started. "
                    "Give fit the same arguments in each, also validation and test."
                )


def describe_sharing(ranks: Ranks, model: nn.Module) -> str:
    """Return a sentence on the processes; "" for one process alone."""
    if ranks.size == 1:
        return ""
    text = f"{ranks.size} processes share each batch"
    if not any(isinstance(each, _BatchNorm) for each in model.modules()):
        return f"{text}."
    if device_of(model).type == "cuda":
        return f"{text}; batch norm is synchronised."
    return f"{text}; batch norm normalises each one's part by itself, as smaller batches would."
