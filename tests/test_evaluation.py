from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet, Role, Uses
from cifar_lab.evaluation import (
    accuracy_and_loss,
    accuracy_under_shift,
    confusion_matrix,
    evaluate,
    most_confused,
    predict,
    test_accuracy,
)


class LookUp(nn.Module):
    """A model without parameters: the logit of each class is the brightness of its column."""

    def forward(self, images: Tensor) -> Tensor:
        return images.sum(dim=(1, 2))


def columns_of(columns: list[int], labels: list[int]) -> ImageSet:
    """8 x 8 images, dark but for one column; as many classes as columns."""
    images = torch.zeros(len(columns), 3, 8, 8, dtype=torch.uint8)
    for image, column in zip(images, columns, strict=True):
        image[:, :, column] = 200
    names = tuple("abcdefgh")
    return ImageSet(images, torch.tensor(labels), Role.TEST, names)


def test_accuracy_is_the_share_of_right_answers_in_percent() -> None:
    image_set = columns_of([0, 3, 5, 7, 7], labels=[0, 3, 4, 7, 1])
    assert test_accuracy(LookUp(), image_set) == pytest.approx(100 * 3 / 5)


def test_accuracy_equals_numpy_s(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    pixels = test.images.numpy().reshape(len(test), -1).astype(np.float64) / 255
    weight, bias = (parameter.detach().numpy() for parameter in model[1].parameters())
    logits = pixels @ weight.T + bias
    expected = 100 * np.mean(logits.argmax(axis=1) == test.labels.numpy())
    assert test_accuracy(model, test) == pytest.approx(expected)
    np.testing.assert_allclose(predict(model, test)[0], logits, atol=1e-4)


@pytest.mark.parametrize("batch_size", [7, 30])
def test_accuracy_is_over_images_not_batches(test: ImageSet, batch_size: int) -> None:
    """The mean of the batches' accuracies would differ, since the last batch is smaller."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    loader = DataLoader(test, batch_size)
    assert test_accuracy(model, loader) == pytest.approx(test_accuracy(model, test))


def test_predictions_come_in_the_data_s_order(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    logits, labels = predict(model, test)
    assert torch.equal(labels, test.labels)
    for index in (0, 29):
        torch.testing.assert_close(logits[index], model(test[index][0][None])[0].detach())


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_in_eval_mode_and_restores_the_mode(test: ImageSet, training: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(3072, 10)).train(training)
    assert torch.equal(predict(model, test)[0], predict(model, test)[0])
    assert model.training is training


def test_the_mode_is_restored_after_an_error_too(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 7))
    with pytest.raises(ValueError, match="7 outputs per image, but the images have 10 classes"):
        predict(model, test)
    assert model.training


def test_a_confusion_matrix_equals_a_count() -> None:
    draw = np.random.default_rng(0)
    labels, predictions = draw.integers(0, 4, 200), draw.integers(0, 4, 200)
    expected = np.zeros((4, 4), dtype=int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label, prediction] += 1
    found = confusion_matrix(torch.from_numpy(predictions), torch.from_numpy(labels), 4)
    np.testing.assert_array_equal(found, expected)


def test_a_confusion_matrix_has_classes_that_never_came() -> None:
    one = torch.tensor([1])
    assert confusion_matrix(one, one, 3).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_the_most_confused_are_the_largest_off_the_diagonal() -> None:
    confusion = torch.tensor([[90, 3, 0], [7, 80, 1], [0, 3, 95]])
    assert most_confused(confusion, 2) == [(1, 0, 7), (0, 1, 3)]
    assert most_confused(confusion, 9) == [(1, 0, 7), (0, 1, 3), (2, 1, 3), (1, 2, 1)]


def test_a_shift_moves_images_to_the_right_and_around() -> None:
    columns = [0, 2, 6, 7]
    image_set = columns_of(columns, labels=[(column + 3) % 8 for column in columns])
    assert accuracy_under_shift(LookUp(), image_set, [0, 2, 3, 8, 11]) == [0, 0, 100, 0, 100]


def test_a_shift_of_zero_is_the_accuracy(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    assert accuracy_under_shift(model, test, [0]) == [test_accuracy(model, test)]


def test_a_convolution_with_global_pooling_does_not_notice_a_shift(test: ImageSet) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    logits, _ = predict(model, test)
    for shift in (1, 13):
        shifted = replace(test, images=test.images.roll(shift, dims=3))
        torch.testing.assert_close(predict(model, shifted)[0], logits)
    # It is measured against its own answers, so that it starts from 100 %.
    relabelled = replace(test, labels=logits.argmax(dim=1))
    assert accuracy_under_shift(model, relabelled, [0, 1, 13, 31]) == [100.0] * 4


def test_a_frozen_module_stays_in_the_mode_it_was_in(test: ImageSet) -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3072, 10))
    model[0].eval()
    predict(model, test)
    assert [module.training for module in model] == [False, True, True]


@pytest.mark.parametrize("wrong", [-1, 10])
def test_classes_outside_a_confusion_matrix_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"predictions run from .*{wrong}"):
        confusion_matrix(torch.tensor([0, wrong]), torch.tensor([0, 1]), 10)


def linear(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, hidden), nn.Linear(hidden, 10, bias=False))


def test_evaluate_gives_the_accuracy_of_a_loop_by_hand(
    test: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    model = linear(10)
    right = 0
    for image, label in test:
        right += int(model(image[None]).argmax()) == label
    accuracy = evaluate(model, test)
    assert accuracy == pytest.approx(100 * right / len(test))
    assert capsys.readouterr().out == f"Test accuracy: {accuracy:.2f} %\n"
    assert model.training


def test_evaluate_takes_batches_of_32(test: ImageSet) -> None:
    sizes = []
    model = linear(10)
    model.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    evaluate(model, test)
    assert sizes == [30]
    evaluate(model, test, batch_size=16)
    assert sizes[1:] == [16, 14]


def test_a_model_with_a_million_parameters_is_refused_and_one_below_is_not(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    spare = 1_000_000 - 30_730
    model.register_parameter("more", nn.Parameter(torch.zeros(spare)))
    with pytest.raises(ValueError, match="1,000,000 parameters; expected fewer than 1,000,000"):
        evaluate(model, test)
    model.register_parameter("more", nn.Parameter(torch.zeros(spare - 1), requires_grad=False))
    evaluate(model, test)


class OfClass(nn.Module):
    pass


@pytest.mark.parametrize("measure", [evaluate, predict, test_accuracy])
def test_only_a_network_is_evaluated(test: ImageSet, measure: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"OfClass is a class; expected a network. .*OfClass\(\)"):
        measure(OfClass, test)
    with pytest.raises(TypeError, match="The model is a function; expected a torch.nn.Module"):
        measure(lambda images: images, test)


def test_accuracy_and_loss_come_from_one_pass(test: ImageSet) -> None:
    model, passes = linear(10), []
    model.register_forward_hook(lambda module, given, output: passes.append(len(output)))
    accuracy, loss = accuracy_and_loss(model, Batches(test, 7, device="cpu"))
    assert sum(passes) == len(test)
    logits, labels = predict(model, test)
    chances = logits.double().softmax(dim=1)[torch.arange(len(test)), labels]
    assert loss == pytest.approx(-chances.log().mean().item(), rel=1e-5)
    assert accuracy == test_accuracy(model, test)


def test_every_evaluation_is_counted_through_copies_too(test: ImageSet) -> None:
    fresh = replace(test, uses=Uses())
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    test_accuracy(model, fresh.to("cpu"))
    predict(model, Batches(fresh.subset(torch.arange(5)), 2, device="cpu"))
    evaluate(model, fresh)
    assert fresh.uses.count == 3


def test_evaluate_takes_test_images_only(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="expected test images"):
        evaluate(linear(10), train)


def test_what_watches_a_network_sees_each_image_once(test: ImageSet) -> None:
    """Neither hooks nor the network's own code meet passes other than the measured ones."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 10, 32)
            self.seen = 0

        def forward(self, images: Tensor) -> Tensor:
            self.seen += len(images)
            return self.convolution(images).view(len(images), 10)

    model = Counting()
    test_accuracy(model, test)
    assert model.seen == len(test)
    watched, features = nn.Sequential(nn.Conv2d(3, 10, 32), nn.Flatten()), []
    watched[0].register_forward_hook(lambda layer, inputs, outputs: features.append(outputs))
    test_accuracy(watched, test)
    assert len(torch.cat(features)) == len(test)


def test_of_a_tuple_the_first_are_the_logits(test: ImageSet) -> None:
    class WithFeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3072, 10)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            features = images.flatten(1)
            return self.head(features), features

    model = WithFeatures()
    expected = nn.Sequential(nn.Flatten(), model.head)
    assert torch.equal(predict(model, test)[0], predict(expected, test)[0])


def test_a_lazy_network_can_be_measured_at_once(test: ImageSet) -> None:
    logits, _ = predict(nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(10)), test)
    assert logits.shape == (len(test), 10)


def test_whole_numbers_of_numpy_are_shifts_and_classes(test: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    shifts = [np.array(1), np.int64(-1)]
    assert accuracy_under_shift(model, test, shifts) == accuracy_under_shift(model, test, [1, -1])
    assert len(confusion_matrix(test.labels, test.labels, np.array(10))) == 10
