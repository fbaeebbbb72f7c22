from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.training.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4)])
def test_an_orthogonal_step_keeps_the_directions_and_evens_out_their_lengths(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    assert values.max() / values.min() > 1.5
    result = orthogonalize(matrix)
    along = u.T @ result @ v.T  # diagonal where the directions are the same
    evened = along.diagonal()
    torch.testing.assert_close(u @ evened.diag() @ v, result, atol=1e-4, rtol=0)
    assert evened.min() > 0.6 and evened.max() < 1.3


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_the_gradient_s_scale_does_not_matter(factor: float) -> None:
    matrix = torch.randn(6, 9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        orthogonalize(matrix * factor), orthogonalize(matrix), atol=2e-3, rtol=0
    )


def test_several_matrices_become_what_each_alone_becomes() -> None:
    matrices = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(2))
    expected = torch.stack([orthogonalize(each) for each in matrices])
    torch.testing.assert_close(orthogonalize(matrices), expected)


@pytest.mark.parametrize("overflow", [None, 0.0, 1.0])
def test_weights_of_all_shapes_change_together_as_each_alone_does(overflow: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 3, 3, 3), (8, 27), (8, 3, 3, 3), (30, 4), (4, 2, 1, 1)]
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    weights[2] = weights[2].to(memory_format=torch.channels_last)
    gradients = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(3)]

    def trained(places: range) -> list[Tensor]:
        parameters = [nn.Parameter(weights[place].clone()) for place in places]
        muon = Muon([{"params": parameters, "orthogonal": True}], lr=0.1, momentum=0.9)
        for number, step in enumerate(gradients):
            for parameter, place in zip(parameters, places, strict=True):
                parameter.grad = step[place].clone(memory_format=_format(parameter))
            if overflow is not None:  # as a gradient scaler does
                scale = torch.tensor(64.0)
                muon.grad_scale = scale
                muon.found_inf = torch.tensor(overflow if number == 1 else 0.0)
                for parameter in parameters:
                    parameter.grad.mul_(torch.inf if muon.found_inf else scale)
            muon.step()
        return [parameter.detach() for parameter in parameters]

    alone = [trained(range(place, place + 1))[0] for place in range(len(shapes))]
    torch.testing.assert_close(trained(range(len(shapes))), alone)
    assert alone[2].is_contiguous(memory_format=torch.channels_last)
    if overflow:  # the second step was none
        del gradients[1]
        overflow = None
        torch.testing.assert_close([trained(range(1))[0]], alone[:1])


def _format(weight: Tensor) -> torch.memory_format:
    is_plain = weight.ndim < 4 or weight.is_contiguous()
    return torch.contiguous_format if is_plain else torch.channels_last


def test_a_gradient_of_zeros_stays_one() -> None:
    assert not orthogonalize(torch.zeros(3, 5)).any()


def test_it_agrees_with_pytorch_s_own_for_matrices() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no torch.optim.Muon")
    torch.manual_seed(0)
    weight = torch.randn(6, 6)
    # Ours scales the weights to this norm first; start from there, so that only the steps count.
    weight *= 6**0.5 / weight.norm()
    gradient = torch.randn(6, 6)
    ours, theirs = nn.Parameter(weight.clone()), nn.Parameter(weight.clone())
    ours.grad, theirs.grad = gradient.clone(), gradient.clone()
    Muon([{"params": [ours], "orthogonal": True}], lr=0.1, momentum=0.9).step()
    torch.optim.Muon([theirs], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.0).step()
    # PyTorch's computes in bfloat16.
    torch.testing.assert_close(ours.detach(), theirs.detach(), atol=4e-3, rtol=0)
    assert (ours - weight).norm() > 0.1


def test_what_is_not_orthogonal_gets_sgd_s_steps() -> None:
    torch.manual_seed(0)
    ours = nn.Linear(4, 3)
    theirs = copy.deepcopy(ours)
    images = torch.randn(5, 4)
    muon = Muon([{"params": list(ours.parameters())}], lr=0.1, momentum=0.8)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.8, nesterov=True)
    for _ in range(3):
        for model, optimizer in ((ours, muon), (theirs, sgd)):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(dict(ours.named_parameters()), dict(theirs.named_parameters()))


def test_a_convolution_s_weights_come_back_to_their_norm_at_each_step() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3)
    muon = Muon([{"params": [conv.weight], "orthogonal": True}], lr=0.1, momentum=0.5)
    for _ in range(20):
        muon.zero_grad()
        conv(torch.randn(2, 3, 8, 8)).square().sum().backward()
        muon.step()
        # The last step, of length 0.1 times about the root of 8, is what it can be off by.
        assert abs(conv.weight.norm().item() - 8**0.5) < 0.1 * 1.3 * 8**0.5


def test_a_bias_can_not_be_orthogonal() -> None:
    groups = [{"params": list(nn.Linear(2, 2).parameters()), "orthogonal": True}]
    with pytest.raises(ValueError, match="of one dimension, such as a bias"):
        Muon(groups, lr=0.1, momentum=0.9)


def test_a_step_can_be_asked_for_the_loss() -> None:
    layer = nn.Linear(2, 2)
    muon = Muon([{"params": list(layer.parameters())}], lr=0.1, momentum=0.9)

    def loss() -> float:
        value = layer(torch.ones(1, 2)).square().sum()
        value.backward()
        return value.item()

    before = layer.weight.detach().clone()
    assert muon.step(loss) is not None
    assert not torch.equal(layer.weight, before)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    Muon([{"params": list(layer.parameters())}], lr=0.1, momentum=0.9).step()
    assert torch.equal(layer.weight, before)
