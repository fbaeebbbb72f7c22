"""Looks at a model that comes as a program, or from the library: no student's code runs here."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any

import child
import numpy as np
import torch
from loading_model import load_model, load_weights
from torch import Tensor, nn

BATCH_STATISTICS = (3, 4)  # the arguments of a batch normalisation that training does not learn
GRADIENT_TRIES = 5
OVERFIT_STEPS, OVERFIT_RATES = 300, (1e-2, 1e-3, 3e-2, 1e-4)


def main() -> None:
    """Load the model, take every look and answer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arguments = child.arguments()
    try:
        program = load_model(arguments)
    except Exception as error:
        child.answer({"load_error": f"{type(error).__name__}: {error}"[:2000]})
        return
    model = program.module()
    answer: dict[str, Any] = {}
    looks: dict[str, Callable[[], Any]] = {
        "size": lambda: size(program),
        "weights": lambda: compare_weights(program) if arguments["weights"] else None,
        "shapes": lambda: output_shapes(model),
        "alone": lambda: alone_and_together(model),
        "twice": lambda: twice(model),
        "logits": lambda: None,
        "gradients": lambda: without_gradient(model),
        "overfit": lambda: overfit(model, arguments),
    }
    arrays: dict[str, np.ndarray] = {}
    if arguments["images"]:
        looks["logits"] = lambda: arrays.update(logits=logits(model))
    for name, look in looks.items():
        try:
            answer[name] = {"value": look()}
        except MemoryError:
            raise
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            answer[name] = {"error": f"{type(error).__name__}: {text[0]}"[:1000]}
            traceback.print_exc()
    child.answer(answer, **arrays)


def size(program: Any) -> dict[str, int]:
    """Numbers in the parameters, in the batch normalisation's statistics, and in all else."""
    signature = program.graph_signature
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **getattr(signature, "inputs_to_lifted_tensor_constants", {}),
    }
    statistics = set()
    for node in program.graph.nodes:
        if "batch_norm" in str(node.target):
            used = [node.args[place] for place in BATCH_STATISTICS if place < len(node.args)]
            statistics |= {targets.get(str(argument)) for argument in used}
    tensors = {**program.constants, **program.state_dict}
    parameters = set(signature.parameters)
    counts = {"parameters": 0, "statistics": 0, "constants": 0}
    seen = set()
    for name, tensor in tensors.items():
        if not torch.is_tensor(tensor):
            continue
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and place in seen:  # a shared one counts once
            continue
        seen.add(place)
        if name in parameters:
            counts["parameters"] += tensor.numel()
        elif name in statistics or (name.endswith("num_batches_tracked") and tensor.numel() == 1):
            counts["statistics"] += tensor.numel()
        else:
            counts["constants"] += tensor.numel()
    return counts


def compare_weights(program: Any) -> dict[str, Any]:
    """Where the file's tensors differ from the program's."""
    try:
        weights = load_weights(program.state_dict)
    except Exception as error:
        return {"load_error": f"{type(error).__name__}: {error}"[:1500]}
    mine = {name: tensor.detach() for name, tensor in program.state_dict.items()}
    differing = [
        name
        for name in sorted(mine.keys() & weights.keys())
        if mine[name].shape == weights[name].shape
        and not torch.allclose(mine[name].double(), weights[name].double(), rtol=1e-3, atol=1e-5)
    ]
    return {
        "missing": sorted(mine.keys() - weights.keys())[:5],
        "unknown": sorted(weights.keys() - mine.keys())[:5],
        "other_shape": [
            f"{name}: {tuple(weights[name].shape)}, expected {tuple(mine[name].shape)}"
            for name in sorted(mine.keys() & weights.keys())
            if mine[name].shape != weights[name].shape
        ][:5],
        "other_values": differing[:5],
    }


def _images(count: int) -> Tensor:
    """Coarse patterns: of fine noise, every image would have the same average."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))
    return coarse.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


def output_shapes(model: nn.Module) -> list[dict[str, Any]]:
    """What comes out for 1, 2 and 7 images."""
    shapes: list[dict[str, Any]] = []
    for count in (2, 1, 7):
        try:
            with torch.no_grad():
                outputs = model(_images(count))
        except Exception as error:
            text = (str(error).strip().splitlines() or [""])[0]
            shapes.append({"images": count, "error": f"{type(error).__name__}: {text}"[:500]})
            continue
        if not torch.is_tensor(outputs):
            shapes.append({"images": count, "error": f"a {type(outputs).__name__}, not a tensor"})
            continue
        finite = bool(torch.isfinite(outputs).all()) and outputs.is_floating_point()
        shapes.append({"images": count, "shape": list(outputs.shape), "finite": finite})
    return shapes


def alone_and_together(model: nn.Module) -> float:
    """The largest difference between an image's logits alone and among others, as a share of
    the largest logit."""
    images = _images(8)
    images[4:] *= 0.2  # a batch whose other images are unlike
    with torch.no_grad():
        together = model(images)[:2]
        pairs = torch.cat([model(images[:2].flip(0)).flip(0), together])
        expected = torch.cat([model(image[None]) for image in images[:2]])
    scale = float(together.abs().max()) or 1.0
    return float((pairs.reshape(2, 2, -1) - expected).abs().max()) / scale


def twice(model: nn.Module) -> dict[str, Any]:
    """The largest difference between two passes, and which tensors of the model they changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = _images(8)
    with torch.no_grad():
        first, second = model(images), model(images)
    changed = [
        name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])
    ]
    return {"difference": float((first - second).abs().max()), "changed": changed[:5]}


def logits(model: nn.Module) -> np.ndarray:
    """Of all images that were handed over, in their order, (N, classes)."""
    images = torch.from_numpy(child.array("images"))
    with torch.inference_mode():
        parts = [model(part.float() / 255).float() for part in images.split(250)]
    return torch.cat(parts).numpy()


def without_gradient(model: nn.Module) -> list[str]:
    """The parameters that got no gradient from several batches, or only zeros."""
    waiting = dict(model.named_parameters())
    for parameter in waiting.values():
        parameter.requires_grad_(True)
    for attempt in range(GRADIENT_TRIES):
        outputs = model(_images(8 + attempt))
        model.zero_grad()
        (outputs * torch.randn_like(outputs)).sum().backward()
        waiting = {
            name: parameter
            for name, parameter in waiting.items()
            if parameter.grad is None or not parameter.grad.abs().sum() > 0
        }
        if not waiting:
            break
    return list(waiting)


def overfit(model: nn.Module, arguments: dict[str, Any]) -> float:
    """The lowest cross-entropy that Adam reaches on one batch, from the trained weights on."""
    count, goal = arguments["overfit_images"], arguments["overfit_loss"]
    images = _images(count)
    labels = torch.arange(count) % arguments["num_classes"]
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    lowest = math.inf
    for rate in OVERFIT_RATES:
        model.load_state_dict(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for _ in range(OVERFIT_STEPS):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lowest = min(lowest, loss.item())
            if lowest < goal or not math.isfinite(loss.item()):
                break
        if lowest < goal:
            break
    return lowest
