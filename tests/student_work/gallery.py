"""The table of networks: one file of student's code each, or one in a wrapper of PyTorch's."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from handed_in.correct import LOOP, TRAIN_A, edited, plain_a
from handed_in.making import TRAINING_STEPS, HandedIn, accuracy_of, markdown, trained
from torch import nn

import cifar_lab

FOLDER = Path(__file__).parent / "networks"
WIDTHS = (6, 8)  # of the two networks that a submission reports; the second is handed in
PLAIN_LOSS = "F.cross_entropy(model(x), y)"


@dataclass(frozen=True)
class Network:
    """A network as a student writes it.

    Attributes:
        style: how the README calls it.
        file: in `networks/`, without its ending; it defines `Net`.
        call: builds the network in the student's notebook, from `width`.
        loss: computes the loss in the student's own loop.
        steps: of training before the weights are stored.
    """

    style: str
    file: str
    call: str = "Net(width)"
    loss: str = PLAIN_LOSS
    steps: int = TRAINING_STEPS

    @property
    def source(self) -> str:
        """The student's code."""
        return (FOLDER / f"{self.file}.py").read_text(encoding="utf-8")

    def build(self, width: int = WIDTHS[-1]) -> nn.Module:
        """A new network, as the student's notebook would build it."""
        module = importlib.import_module(f"student_work.networks.{self.file}")
        names: dict[str, Any] = {"torch": torch, "nn": nn, "Net": module.Net, "width": width}
        return eval(self.call, names)  # noqa: S307 (our own text)

    def trained(self, width: int = WIDTHS[-1]) -> nn.Module:
        """The network after a few steps of a plain loop, in eval mode."""
        return _trained(self, width)

    @property
    def figures(self) -> list[dict[str, Any]]:
        """Title, parameters and test accuracy of the two networks."""
        models = [self.trained(width) for width in WIDTHS]
        return [
            {
                "title": f"width {width}",
                "parameters": size(model),
                "test_accuracy": accuracy_of(GivenPlainImages(model)),
            }
            for width, model in zip(WIDTHS, models, strict=True)
        ]

    def handed_in(self) -> HandedIn:
        """Assignment A: two of these networks, trained by a plain loop of the student's own."""
        printed = "".join(
            f"residual net, {one['title']}: {one['parameters']:,} parameters, "
            f"test accuracy {one['test_accuracy']:.2f} %\n"
            for one in self.figures
        )
        reached = self.figures[-1]["test_accuracy"]
        base = plain_a(loop=edited(LOOP, (PLAIN_LOSS, self.loss)))
        base = base.with_cell("model", source=self.source)
        train = edited(TRAIN_A, ("Net(width)", self.call))
        base = base.with_cell("train", source=train.strip(), printed=printed)
        base = base.with_cell("store", printed=f"Test accuracy: {reached:.2f} %\n")
        findings = "## Findings\n\n" + printed.replace("\n", "\n\n")
        base = base.with_cell("findings", markdown(findings))
        return HandedIn(base.cells, self.trained())

    def submitted(self) -> HandedIn:
        """The same by the library's `submit`: with the exported program and the manifest."""

        def submit(folder: Path) -> None:
            cifar_lab.submit(
                self.trained(),
                assignment="a",
                dataset="synthetic",
                test_accuracy=self.figures[-1]["test_accuracy"],
                history=[{"epoch": 1, "seconds": 30.0}],
                iterations=self.figures,
                notebook=folder / "notebook.ipynb",
                out=folder,
            )

        return replace(self.handed_in(), model=None, change=submit)


class GivenPlainImages(nn.Module):
    """A network that gets contiguous images of its own, as a DataLoader hands them out.

    Args:
        network: the student's.
        normalised: the student's loader takes 0.5 from the images and divides them by 0.25.
    """

    def __init__(self, network: nn.Module, *, normalised: bool = False) -> None:
        super().__init__()
        self.network: nn.Module = network
        self.normalised = normalised

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images.clone(memory_format=torch.contiguous_format)
        return self.network((images - 0.5) / 0.25 if self.normalised else images)


def size(model: nn.Module) -> int:
    """Numbers in the parameters, as a notebook counts them."""
    return sum(parameter.numel() for parameter in model.parameters())


@lru_cache
def _trained(network: Network, width: int) -> nn.Module:
    is_plain = network.loss == PLAIN_LOSS  # else the outputs in train mode are no logits
    build = lambda: GivenPlainImages(network.build(width).train(is_plain))  # noqa: E731
    return cast(GivenPlainImages, trained(build, steps=network.steps)).network


AUXILIARY_LOSS = "sum(F.cross_entropy(part, y) * share for part, share in zip(model(x), (1, 0.3)))"

NETWORKS: dict[str, Network] = {
    network.style: network
    for network in (
        # More steps at the learning rate of `trained` would leave most of its units dead.
        Network("`x.view(x.size(0), -1)`, the assignment's MLP", "view_mlp", steps=10),
        Network("`x.view(batch_size, -1)`, the assignment's ConvNet", "view_convnet"),
        Network("`x.view(-1, 16 * 5 * 5)`, PyTorch's tutorial", "pytorch_tutorial"),
        Network("`x.view(-1, self.num_flat_features(x))`, one ReLU for all", "one_relu_for_all"),
        Network("`x.reshape(x.shape[0], -1)`", "reshape"),
        Network("`torch.flatten(x, 1)`, `super(Net, self)`", "torch_flatten"),
        Network("`nn.Sequential` from a function, `nn.Flatten`", "sequential"),
        Network("`nn.Sequential(*layers)` from a list", "layers_in_a_list"),
        Network("a subclass of `nn.Sequential`, a lambda layer", "subclass_of_sequential"),
        Network("`nn.ModuleList`", "module_list"),
        Network("`nn.ModuleDict`", "module_dict"),
        Network("`nn.ParameterList` and `F.conv2d`", "functional_parameters"),
        Network("attributes by `setattr`, `torch.cat`", "dense_connections"),
        Network("`out += x`, `relu_()`, `F.relu(inplace=True)`", "in_place"),
        Network("`x.sub_(mean).div_(std)` on the images", "input_changed_in_place"),
        Network("buffers for the normalisation", "normalising_buffers"),
        Network("each image standardised, `view_as`", "standardises_each_image"),
        Network("lazy modules", "lazy"),
        Network("lazy modules with a dry run", "lazy_dry_run"),
        Network("two outputs in training", "auxiliary_head", loss=AUXILIARY_LOSS),
        Network("`register_forward_hook`", "forward_hook"),
        Network("`x.register_hook` for Grad-CAM", "gradient_hook"),
        Network("keeps an activation", "keeps_an_activation"),
        Network("`nn.utils.weight_norm`", "weight_norm_old"),
        Network("`parametrizations.weight_norm`", "weight_norm_new"),
        Network("`nn.utils.spectral_norm`", "spectral_norm_old"),
        Network("`parametrizations.spectral_norm`", "spectral_norm_new"),
        Network("`nn.BatchNorm1d` in the head", "batch_norm_1d"),
        Network("one layer under two names, tied weights", "tied_weights"),
        Network("`len(x)` in `forward`", "len_of_the_batch"),
        Network("`int(x.shape[0])` in `forward`", "int_of_the_batch"),
        Network("`forward(self, *inputs)`", "star_inputs"),
        Network("stochastic depth by `torch.rand`", "stochastic_depth"),
        Network("draws from `random` and `np.random`", "random_of_python_and_numpy"),
        Network("squeeze-excitation", "squeeze_excitation"),
        Network("depthwise separable, `nn.Dropout2d`", "depthwise_separable"),
        Network("`log_softmax` and `nll_loss`", "log_softmax", loss="F.nll_loss(model(x), y)"),
        Network("its own `autograd.Function`", "own_autograd_function"),
        Network("activations recomputed by `checkpoint`", "recomputed_activations"),
        Network("a frozen first layer", "frozen_stem"),
        Network("LayerNorm between two `permute`", "permuted_layer_norm"),
        Network("a small vision transformer", "vision_transformer"),
        Network("an LSTM over the rows", "rows_through_an_lstm"),
        Network("torchvision's DenseNet, stem and head changed", "torchvision_densenet"),
        Network("torchvision's ResNet-18, head changed", "torchvision_resnet18", steps=2),
        Network("`torch.jit.script` of a function", "scripted_part"),
        Network(
            "`torch.jit.script` of the whole", "one_relu_for_all", "torch.jit.script(Net(width))"
        ),
        Network(
            "`torch.compile`", "pytorch_tutorial", 'torch.compile(Net(width), backend="eager")'
        ),
        Network("`nn.DataParallel`", "batch_norm_1d", "nn.DataParallel(Net(width))"),
        Network(
            "`AveragedModel`",
            "batch_norm_1d",
            "torch.optim.swa_utils.AveragedModel(Net(width))",
        ),
        Network(
            "`model.to(memory_format=torch.channels_last)`",
            "module_list",
            "Net(width).to(memory_format=torch.channels_last)",
        ),
    )
}
