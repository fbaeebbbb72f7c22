"""A network is the same whatever wrapper it is in: for its weights and their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cifar_lab.models.wrapping import load_plain_state, plain_state, unwrap, unwrapped_parts


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 2)))


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "none": lambda model: model,
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "compiled": compiled,
    "compiled parallel": lambda model: compiled(nn.DataParallel(model)),
    "parallel compiled": lambda model: nn.DataParallel(compiled(model)),
    "averaged parallel compiled": lambda model: AveragedModel(nn.DataParallel(compiled(model))),
    "parallel averaged": lambda model: nn.DataParallel(AveragedModel(model)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_network_inside_is_found(wrapper: str) -> None:
    model = network()
    inside = unwrap(WRAPPERS[wrapper](model))
    assert type(inside) is nn.Sequential
    if "averaged" not in wrapper:  # AveragedModel makes a copy
        assert inside is model


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_state_has_the_network_s_own_names(wrapper: str) -> None:
    model = network()
    state = plain_state(WRAPPERS[wrapper](model).state_dict())
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("into", WRAPPERS)
@pytest.mark.parametrize("of", WRAPPERS)
def test_weights_pass_between_any_two_wrappings(of: str, into: str) -> None:
    model, other = network(), WRAPPERS[into](network())
    load_plain_state(other, WRAPPERS[of](model).state_dict())
    loaded = unwrap(other).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def test_a_part_that_was_compiled_has_its_own_names() -> None:
    model, other = network(), network()
    partly = nn.Sequential(compiled(model[0]), model[1], nn.Sequential(compiled(model[2][0])))
    assert list(plain_state(partly.state_dict())) == list(model.state_dict())
    load_plain_state(other, partly.state_dict())
    assert torch.equal(other[2][0].weight, model[2][0].weight)
    load_plain_state(partly, network().state_dict())
    assert not torch.equal(other[2][0].weight, model[2][0].weight)


class CalledModule(nn.Module):
    """A network of one's own that calls its only part `module`."""

    def __init__(self) -> None:
        super().__init__()
        self.module = network()


@pytest.mark.parametrize("of", ["none", "parallel", "compiled"])
@pytest.mark.parametrize("into", ["none", "parallel", "compiled"])
def test_an_attribute_called_module_is_no_wrapper(of: str, into: str) -> None:
    model, other = CalledModule(), CalledModule()
    assert unwrap(model) is model
    load_plain_state(WRAPPERS[into](other), WRAPPERS[of](model).state_dict())
    assert torch.equal(other.module[0].weight, model.module[0].weight)


class OwnAverage(CalledModule):
    """One that counts as AveragedModel does."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("n_averaged", torch.tensor(count))


def test_a_counter_of_ones_own_is_loaded_too() -> None:
    model = OwnAverage(0)
    load_plain_state(model, OwnAverage(7).state_dict())
    assert int(model.n_averaged) == 7


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight


@pytest.mark.parametrize("missing", ["one.weight", "two.weight"])
def test_of_tied_weights_one_name_is_enough(missing: str) -> None:
    model, other = Tied(), Tied()
    state = dict(model.state_dict())
    del state[missing]
    load_plain_state(other, {f"module.{name}": value for name, value in state.items()})
    assert torch.equal(other.two.weight, model.one.weight)
    assert other.two.weight is other.one.weight
    del state["one.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"one.bias\"\."):
        load_plain_state(other, state)


def test_what_does_not_belong_is_named_as_pytorch_names_it() -> None:
    state = network().state_dict()
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "extra"'):
        load_plain_state(network(), {**state, "extra": torch.ones(1)})
    with pytest.raises(RuntimeError, match="(?s)Missing key.*0.weight.*Unexpected.*other.0.w"):
        load_plain_state(network(), {f"module.other.{name}": state[name] for name in state})
    with pytest.raises(RuntimeError, match="size mismatch for 0.weight"):
        load_plain_state(network(), {**state, "0.weight": torch.ones(4, 5)})
    with pytest.raises(TypeError, match="This is a list; expected a state_dict"):
        load_plain_state(network(), list(state))  # type: ignore[arg-type]


def test_a_lazy_network_takes_the_weights_of_one_that_has_run() -> None:
    lazy = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Sequential(nn.LazyLinear(2)))
    model = network()
    load_plain_state(nn.DataParallel(lazy), model.state_dict())
    images = torch.rand(5, 3)
    assert torch.equal(lazy.eval()(images), model.eval()(images))


class Versioned(nn.Linear):
    """Refuses a state without the version of its layer, as torchvision's MNASNet does."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        assert metadata.get("version") == 2
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def test_layers_with_versions_take_a_plain_dict() -> None:
    model, other = Versioned(2, 2), Versioned(2, 2)
    load_plain_state(other, dict(model.state_dict()))
    assert torch.equal(other.weight, model.weight)


def test_parts_are_unwrapped_for_the_time_of_a_block() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(nn.DataParallel(compiled(first)), nn.Sequential(compiled(second)))
    before = list(model.state_dict())
    with unwrapped_parts(model):
        assert model[0] is first and model[1][0] is second
    assert list(model.state_dict()) == before
