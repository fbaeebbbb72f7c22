"""The structure of networks: what makes two of them one, and which the library knows."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from student_work.gallery import NETWORKS
from torch import Tensor, nn

from cifar_lab.models import MODELS, SkeletonConvNet, build_model
from cifar_lab.models.export import export_program
from cifar_lab.models.handed_out import handed_out
from cifar_lab.models.structure import library_network_like, structure
from cifar_lab.models.whitened import Stage, WhitenedResNet


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


class Rewritten(nn.Module):
    """The skeleton by other names, with views, in-place functions and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(3, 8, 3, padding="same")
        self.c2 = nn.Conv2d(8, 16, (3, 3), padding=(1, 1))
        self.out = nn.Linear(4096, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.c1((x - 0.5) / 0.25), inplace=True)
        x = self.c2(x).clamp(min=0)
        x = F.dropout(F.adaptive_max_pool2d(x, 16), training=self.training)
        return 0.5 * self.out(x.permute(0, 1, 2, 3).reshape(x.size(0), -1))


class Added(nn.Module):
    """Two convolutions whose sum is pooled over all places.

    Args:
        swapped: The other one is computed and added first.
        shared: Both have the same weights.
    """

    def __init__(self, *, swapped: bool = False, shared: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = self.first if shared else nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 10)
        self.swapped = swapped

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x).relu(), self.second(x)]
        if self.swapped:
            second = self.second(x)
            parts = [second, self.first(x).relu()]
        return self.head((parts[0] + parts[1]).mean((2, 3)))


@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize("name", MODELS)
def test_each_network_of_the_library_is_known_by_its_structure(name: str, num_classes: int) -> None:
    assert library_network_like(build_model(name, num_classes)) == name


@pytest.mark.parametrize("name", sorted(set(handed_out()) - set(MODELS)))
def test_networks_of_the_notebooks_are_known_too(name: str) -> None:
    assert library_network_like(handed_out()[name](num_classes=10)) == name


@pytest.mark.parametrize("name", ["skeleton", "resnet-small", "frontier-tiny"])
def test_an_exported_program_has_the_structure_of_its_network(name: str) -> None:
    model = build_model(name)
    program = torch.export.load(io.BytesIO(export_program(model))).module()
    assert structure(program) == structure(model)
    assert library_network_like(program) == name


def test_names_views_in_place_functions_and_constants_make_no_difference() -> None:
    assert structure(Rewritten()) == structure(SkeletonConvNet())
    assert library_network_like(nn.DataParallel(Rewritten())) == "skeleton"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            lambda: sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)),
            lambda: sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(30)),
        ),
        (
            lambda: sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveMaxPool2d(8)),
            lambda: sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(4, stride=4)),
        ),
        (Added, partial(Added, swapped=True)),
    ],
)
def test_the_same_function_written_in_another_way_is_the_same(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module]
) -> None:
    assert structure(one()) == structure(other())


DIFFERENT: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "wider": lambda: sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "no bias": lambda: sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2)),
    "stride": lambda: sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(2)),
    "dilated": lambda: sequential(nn.Conv2d(3, 4, 3, dilation=2), nn.ReLU(), nn.MaxPool2d(2)),
    "another activation": lambda: sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.MaxPool2d(2)),
    "no activation": lambda: sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)),
    "another pooling": lambda: sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2)),
    "overlapping pooling": lambda: sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2)),
    "normalised": lambda: sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    ),
    "added": Added,
    "shared weights": partial(Added, shared=True),
}


def test_layers_settings_wiring_and_shared_weights_make_a_difference() -> None:
    found = {name: structure(build()) for name, build in DIFFERENT.items()}
    assert len(set(found.values())) == len(found)


def test_a_network_of_the_student_s_own_is_like_none() -> None:
    assert library_network_like(Added()) is None
    stages = [Stage(32), Stage(64, passes=2)]
    assert library_network_like(WhitenedResNet(stages)) is None
    assert library_network_like(sequential(nn.Flatten(), nn.Linear(3072, 10))) is None
    assert library_network_like(sequential(nn.Flatten(), nn.Linear(3072, 1))) is None
    assert library_network_like(nn.Flatten()) is None


@pytest.mark.parametrize(
    "style", ["lazy modules", "tied weights", "`nn.utils.weight_norm`", "an LSTM over the rows"]
)
def test_networks_in_whatever_style_are_taken_and_left_as_they_were(style: str) -> None:
    (network,) = (each for name, each in NETWORKS.items() if style in name and "dry" not in name)
    torch.manual_seed(0)
    model, before = network.build(), torch.random.get_rng_state()
    library_network_like(model)  # lazy layers have their sizes from here on
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert library_network_like(model.train()) is None
    assert model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    if "lazy" not in style:  # which draw their weights when they get their sizes
        assert torch.equal(before, torch.random.get_rng_state())


def test_images_that_do_not_fit_are_an_error_with_the_reason() -> None:
    with pytest.raises(ValueError, match="can't take images of shape"):
        library_network_like(SkeletonConvNet(), (3, 48, 48))
    assert library_network_like(build_model("smallcifarnet"), (3, 48, 48)) == "smallcifarnet"
