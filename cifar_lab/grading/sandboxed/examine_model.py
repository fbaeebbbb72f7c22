"""Looks at a model, as a program or from the library: then no code of the student's runs.

A network that `torch.export` can't turn into a program is looked at where its notebook ran.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import child
import numpy as np
import torch
from torch import Tensor, nn

from cifar_lab.models.structure import library_network_like

from .loading_model import likeliest_state, load_model, load_weights, shapes_of, ties_of
from .model_gradients import without_gradient
from .model_size import size_of_program
from .seen import EACH_MIRRORED
from .watching_files import STATISTICS
from .weights_likeness import digest_of_numbers, shipped_weights_like

OVERFIT_STEPS, OVERFIT_RATES = 300, (1e-2, 1e-3, 3e-2, 1e-4)
IMAGES_AT_A_TIME = 250
MOST_SECONDS = 90.0  # of measuring the accuracy, beyond which no other images are looked at


@dataclass
class Subject:
    """A model that is looked at.

    Attributes:
        model: Computes logits from images, in eval mode.
        tensors: State_dict of the model, which the weights' file is compared with.
        size: Returns how many numbers it computes with, by kind.
        image_size: Height and width of the images that it takes.
    """

    model: nn.Module
    tensors: Mapping[str, Tensor]
    size: Callable[[], dict[str, int]]
    image_size: int

    def images(self, count: int) -> Tensor:
        """Return coarse patterns: of fine noise, every image would have the same average."""
        coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))
        return nn.functional.interpolate(coarse, size=self.image_size, mode="nearest")


def main() -> None:
    """Load the model, take every look and answer."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arguments = child.arguments()
    try:
        if arguments["weights_alone"]:
            child.answer({"stored": describe_weights(arguments["preferred"])})
            return
        program = load_model(arguments)
    except Exception as error:
        child.answer({"load_error": f"{type(error).__name__}: {error}"[:2000]})
        return
    subject = Subject(
        program.module(),
        program.state_dict,
        lambda: size_of_program(program),
        arguments["image_size"],
    )
    answer, arrays = take_looks(subject, arguments)
    child.answer(answer, **arrays)


def take_looks(
    subject: Subject, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return every look's value or error, and the logits of the images that were handed over."""
    arrays: dict[str, np.ndarray] = {}

    took = {"seconds": 0.0}

    def measure() -> None:
        started = time.monotonic()
        images = torch.from_numpy(child.array("images"))
        ways = {"logits": None, "normalised_logits": arguments["normalisation"]}
        for name, normalisation in ways.items():
            if normalisation is not None or name == "logits":
                arrays[name] = logits(subject, images, normalisation)
        took["seconds"] = time.monotonic() - started

    def probe() -> None:
        if took["seconds"] > MOST_SECONDS:  # hints are not worth the time that checks need
            return
        mirrored = torch.from_numpy(child.array("images"))[::EACH_MIRRORED].flip(3)
        training = torch.from_numpy(child.array("training_images"))
        ways = {"logits": None, "normalised_logits": arguments["normalisation"]}
        for name in ways.keys() & arrays.keys():
            arrays[f"mirrored_{name}"] = logits(subject, mirrored, ways[name])
            arrays[f"training_{name}"] = logits(subject, training, ways[name])

    looks: dict[str, Callable[[], Any]] = {
        "size": subject.size,
        "weights": lambda: compare_weights(subject.tensors, arguments["preferred"]),
        "finite": lambda: all_finite(subject.tensors.values()),
        "shapes": lambda: output_shapes(subject),
        "alone": lambda: alone_and_together(subject),
        "twice": lambda: twice(subject),
        "logits": measure,
        "probes": probe,
        "gradients": lambda: without_gradient(subject.model, subject.tensors, subject.images),
        "overfit": lambda: overfit(subject, arguments),
        "like": lambda: given_name(subject),
    }
    if not arguments["weights"]:
        del looks["weights"]
    if not arguments["images"]:
        del looks["logits"], looks["probes"]
    answer: dict[str, Any] = {}
    for name, look in looks.items():
        try:
            answer[name] = {"value": look()}
        except MemoryError:
            raise
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            answer[name] = {"error": f"{type(error).__name__}: {text[0]}"[:1000]}
            traceback.print_exc()
    return answer, arrays


def given_name(subject: Subject) -> str:
    """Return the name of the network with the same structure that the student was given, or ""."""
    size = subject.image_size
    return library_network_like(subject.model, (3, size, size)) or ""


def describe_weights(preferred: list[str]) -> dict[str, Any]:
    """Return what stored weights tell without their model: how many they are, and whose."""
    file, state = likeliest_state(preferred)
    learnt = [each for name, each in state.items() if not name.endswith(STATISTICS)]
    return {
        "file": file,
        "numbers": sum(each.numel() for each in learnt if each.is_floating_point()),
        "sha256": digest_of_numbers(state.values()),
        "shipped": shipped_weights_like(state.values()),
    }


def compare_weights(tensors: Mapping[str, Tensor], preferred: list[str]) -> dict[str, Any]:
    """Return where the file's tensors differ from the model's."""
    mine = {name: tensor.detach() for name, tensor in tensors.items()}
    shapes = shapes_of(mine)
    try:
        loaded = load_weights(shapes, preferred, ties_of(mine))
    except Exception as error:
        return {"load_error": f"{type(error).__name__}: {error}"[:1500]}
    weights = loaded.tensors
    both = sorted(mine.keys() & weights.keys())
    return {
        "file": loaded.file,
        "sha256": digest_of_numbers(weights.values()),
        "shipped": shipped_weights_like(weights.values()),
        "missing": sorted(mine.keys() - weights.keys())[:5],
        "unknown": sorted(weights.keys() - mine.keys())[:5],
        "other_shape": [
            f"{name}: {tuple(weights[name].shape)}, expected {shapes[name]}"
            for name in both
            if weights[name].shape != shapes[name]
        ][:5],
        "other_values": [
            name
            for name in both
            if weights[name].shape == shapes[name]
            and not torch.allclose(
                mine[name].double(), weights[name].double(), rtol=1e-3, atol=1e-5, equal_nan=True
            )
        ][:5],
    }


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no weight is NaN or infinite, as a diverged training leaves them."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def output_shapes(subject: Subject) -> list[dict[str, Any]]:
    """Return the outputs' shapes, or errors, for 1, 2 and 7 images."""
    shapes: list[dict[str, Any]] = []
    for count in (2, 1, 7):
        try:
            with torch.no_grad():
                outputs = subject.model(subject.images(count))
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


def alone_and_together(subject: Subject) -> float:
    """Return how much an image's logits change among others, as a share of the largest logit."""
    model, images = subject.model, subject.images(8)
    images[4:] *= 0.2  # a batch whose other images are unlike
    with torch.no_grad():
        together = model(images.clone())[:2]
        pairs = torch.cat([model(images[:2].flip(0)).flip(0), together])
        expected = torch.cat([model(image[None].clone()) for image in images[:2]])
    scale = float(together.abs().max()) or 1.0
    return float((pairs.reshape(2, 2, -1) - expected).abs().max()) / scale


def twice(subject: Subject) -> dict[str, Any]:
    """Return the largest difference between two passes, and the tensors that they changed."""
    before = {name: tensor.detach().clone() for name, tensor in subject.model.state_dict().items()}
    images = subject.images(8)
    with torch.no_grad():
        first, second = subject.model(images.clone()), subject.model(images.clone())
    changed = [
        name
        for name, tensor in subject.model.state_dict().items()
        if not torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
    ]
    return {"difference": float((first - second).abs().max()), "changed": changed[:5]}


def logits(
    subject: Subject, images: Tensor, normalisation: dict[str, list[float]] | None
) -> np.ndarray:
    """Return the logits of images, in their order, (N, classes).

    Args:
        subject: The model.
        images: Images (N, 3, 32, 32), uint8.
        normalisation: Each channel's `mean` and `std`; None for images in [0, 1] as they are.
    """
    parts = []
    for part in images.split(IMAGES_AT_A_TIME):
        scaled = part.float() / 255
        if subject.image_size != scaled.shape[-1]:
            scaled = nn.functional.interpolate(
                scaled, size=subject.image_size, mode="bilinear", antialias=True
            )
        if normalisation is not None:
            mean, std = (
                torch.tensor(normalisation[name]).view(1, -1, 1, 1) for name in ("mean", "std")
            )
            scaled = (scaled - mean) / std
        with torch.no_grad():
            parts.append(subject.model(scaled).float())
    return torch.cat(parts).numpy()


def overfit(subject: Subject, arguments: Mapping[str, Any]) -> float:
    """Return the lowest cross-entropy that Adam reaches on one batch, from the trained weights."""
    model, count = subject.model, arguments["overfit_images"]
    goal = arguments["overfit_loss"]
    images = subject.images(count)
    labels = torch.arange(count) % arguments["num_classes"]
    start = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    lowest = math.inf
    for rate in OVERFIT_RATES:
        model.load_state_dict(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for _ in range(OVERFIT_STEPS):
            loss = nn.functional.cross_entropy(model(images.clone()), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lowest = min(lowest, loss.item())
            if lowest < goal or not math.isfinite(loss.item()):
                break
        if lowest < goal:
            break
    return lowest
