from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.data import leakage
from cifar_lab.data.image_set import Data, ImageSet, to_unit_interval
from cifar_lab.models import Normalize
from cifar_lab.models.layers.whitening import EPSILON, Whitening
from cifar_lab.training.loop import fit
from cifar_lab.training.prepare import compute_whitening
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import LeakedTestImagesError

RECIPE = Recipe(epochs=1, batch_size=25, optimizer="sgd", learning_rate=1e-3)


def whitened_network() -> nn.Sequential:
    torch.manual_seed(0)
    whitening = Whitening()
    return nn.Sequential(
        Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        whitening,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(whitening.out_channels, 10),
    )


def correlated_images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 3, 12, 12, generator=generator)
    return (
        nn.functional.avg_pool2d(noise, 3, stride=1)
        + noise.mean(dim=1, keepdim=True)[..., 1:-1, 1:-1]
    )


def test_what_comes_out_is_uncorrelated_and_of_unit_variance() -> None:
    images, layer = correlated_images(), Whitening()
    layer.compute_from(images)
    outputs = layer(images).detach()
    assert outputs.shape == (200, 24, 9, 9)
    half = outputs[:, :12].transpose(0, 1).flatten(1)
    second_moments = half @ half.T / half.shape[1]
    torch.testing.assert_close(
        second_moments - second_moments.diag().diag(), torch.zeros(12, 12), atol=1e-3, rtol=0
    )
    variances = second_moments.diag()
    assert variances.max() <= 1.001 and variances.min() > 0.95, "the faintest is held back"
    assert torch.equal(outputs[:, 12:], -outputs[:, :12]), "each filter comes with both signs"


def test_faint_directions_are_not_blown_up() -> None:
    layer = Whitening(kernel_size=1)
    images = torch.zeros(10, 3, 4, 4)
    images[:, 0] = torch.randn(10, 4, 4, generator=torch.Generator().manual_seed(0))
    layer.compute_from(images)  # two of the three colours have no variance at all
    assert layer.conv.weight.abs().max() <= EPSILON**-0.5 * 1.001


def test_only_the_bias_is_learnt_and_all_parameters_count() -> None:
    layer = Whitening()
    assert {name: each.requires_grad for name, each in layer.named_parameters()} == {
        "conv.weight": False,
        "conv.bias": True,
    }
    assert sum(each.numel() for each in layer.parameters()) == 24 * 12 + 24


def test_training_computes_it_from_the_normalised_training_images(train: ImageSet) -> None:
    model = whitened_network()
    by_hand = Whitening()
    by_hand.compute_from(model[0](to_unit_interval(train.images)))
    fit(model, train, RECIPE, device="cpu", progress=False)
    layer = model[1]
    torch.testing.assert_close(layer.conv.weight, by_hand.conv.weight)
    assert layer.computed


@pytest.mark.parametrize("training", [True, False])
def test_computing_it_leaves_the_model_s_mode(train: ImageSet, training: bool) -> None:
    model = whitened_network().train(training)
    compute_whitening(model, train)
    assert model[1].computed and model.training is training


def test_a_model_that_does_not_fit_is_named_and_can_be_mended(train: ImageSet) -> None:
    model = whitened_network()
    right, model[0] = model[0], nn.Conv2d(7, 3, 1)
    with pytest.raises(ValueError, match="can't take images of shape"):
        compute_whitening(model, train)
    model[0] = right
    compute_whitening(model, train)
    before = model[1].conv.weight.clone()
    model(torch.rand(2, 3, 32, 32))
    assert torch.equal(model[1].conv.weight, before), "later images don't change the filters"


def test_layers_behind_a_whitening_are_not_run_for_it(train: ImageSet) -> None:
    """On 2,000 images at once, they would take more memory than the training."""
    model = whitened_network()
    model[-1].register_forward_pre_hook(lambda *_: pytest.fail("was run"))
    compute_whitening(model, train)
    assert model[1].computed


def test_test_images_in_a_loader_are_refused_before_they_are_looked_at(
    train: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = leakage.fingerprints(train.images)
    monkeypatch.setattr(leakage, "official_test_fingerprints", lambda: known)
    model = whitened_network()
    with pytest.raises(LeakedTestImagesError):
        compute_whitening(model, [(to_unit_interval(train.images), train.labels)])
    assert not model[1].computed


def test_of_a_loader_the_first_batch_is_taken(train: ImageSet) -> None:
    model = whitened_network()
    images = to_unit_interval(train.images)
    by_hand = Whitening()
    by_hand.compute_from(model[0](images[:10]))
    batches = list(zip(images.split(10), train.labels.split(10), strict=True))
    fit(model, batches, RECIPE, device="cpu", progress=False)
    torch.testing.assert_close(model[1].conv.weight, by_hand.conv.weight)


def test_a_model_that_was_trained_before_keeps_its_filters(data: Data) -> None:
    model = whitened_network()
    fit(model, data.train, RECIPE, device="cpu", progress=False)
    before = copy.deepcopy(model[1].conv.weight)
    other = data.train.subset(torch.arange(25, 50))
    fit(model, other, RECIPE, device="cpu", progress=False)
    assert torch.equal(model[1].conv.weight, before)
    loaded = whitened_network()
    loaded.load_state_dict(model.state_dict())
    fit(loaded, other, RECIPE, device="cpu", progress=False)
    assert torch.equal(loaded[1].conv.weight, before), "nor after loading its weights"
