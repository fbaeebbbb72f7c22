"""A recipe: how to train, as data. A new experiment is a new recipe, not a new training loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifar_lab.data.augment import Compose, CutMix, MixUp, describe, from_description
from cifar_lab.data.augment.common import Transform
from cifar_lab.training.recipe_words import (
    answering_other_names,
    in_lines,
    optimizer_name,
    unknown_choice,
)
from cifar_lab.utils.plain import as_flag, as_number, as_whole, plain

OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
NUMBERS = (
    "learning_rate",
    "other_learning_rate",
    "bias_learning_rate",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "gradient_clip",
    "ema_decay",
)
WHOLE_NUMBERS = {  # with the smallest allowed value of each
    "epochs": 1,
    "batch_size": 1,
    "warmup_epochs": 0,
    "unmixed_epochs": 0,
    "patience": 1,
}
CAN_BE_NONE = (
    "other_learning_rate",
    "bias_learning_rate",
    "gradient_clip",
    "ema_decay",
    "patience",
)
FLAGS = ("nesterov", "keep_best", "channels_last", "reestimate_norms")
SCHEDULES = ("constant", "cosine", "one-cycle")
SCHEDULE_INTERVALS = ("step", "epoch")
NAMES = {
    "precision": PRECISIONS,
    "schedule": SCHEDULES,
    "schedule_per": SCHEDULE_INTERVALS,
}


@answering_other_names
@dataclass(frozen=True, repr=False)
class Recipe:
    """Everything about a training run but its data, its model and its seed.

    Attributes:
        epochs: The number of passes over the training images.
        batch_size: The number of images in a batch.
        optimizer: The optimizer's name: "sgd", "adam", "adamw" or "muon".
        learning_rate: The optimizer's step size; with a schedule, the largest.
        momentum: SGD's or Muon's momentum, in [0, 1); Adam and AdamW keep PyTorch's betas.
        nesterov: Whether SGD uses Nesterov momentum; Muon always does.
        weight_decay: The factor of the L2 gradient of SGD and Adam, or of AdamW's decoupled decay;
            Muon has none.
        schedule: The learning rate's schedule: "constant"; "cosine" down to 0; or "one-cycle", a
            linear rise from 0 in the first quarter of the run and a linear fall to 0.
        schedule_per: The learning rate changes every "step" or every "epoch".
        warmup_epochs: The number of epochs of linear warm-up before a constant or cosine schedule.
        label_smoothing: The share of a label's weight spread over all classes, in [0, 1).
        gradient_clip: The largest norm of all gradients together; None for no limit.
        ema_decay: The share that an exponential moving average of weights and buffers keeps at each
            step, in (0, 1). The average is evaluated, and left in the model. None for no average.
        keep_best: Whether to leave the weights of the epoch with the best validation accuracy in
            the model, not those of the last epoch.
        patience: Training stops after this many epochs without a better validation accuracy; None
            for never.
        augment: The transforms for training images, in order: those of `cifar_lab.augment`, which
            change whole batches, and any function of one image (C, H, W) in [0, 1], such as
            torchvision's transforms, which is applied to one image at a time on the CPU.
        mix: `CutMix` or `MixUp`, after the transforms; None for neither.
        precision: The precision of the forward and backward pass: "fp32", "bf16", "fp16" (with a
            gradient scaler; CUDA only), or "auto", the fastest that the device has in hardware.
            Weights, optimizer state and evaluation are always float32.
        channels_last: Whether training is accelerated: convolutions compute channels-last in
            memory, and some layers of an `nn.Sequential` are computed together; the same except
            for rounding. A network that can't compute in this layout keeps its own.
        other_learning_rate: The learning rate of all that is not a convolution's weights: biases,
            norms, linear layers. None for `learning_rate`. Muon needs it: convolutions get its
            orthogonal steps, the others SGD's.
        bias_learning_rate: The learning rate of the biases of layers and norms; None for the
            rate that they would have otherwise.
        unmixed_epochs: The number of last epochs in which `mix` is off: test images are not mixed.
        reestimate_norms: Whether batch norm's running statistics are computed again at the end,
            with the final weights, from the training images without augmentation.

    Raises:
        ValueError: A field has a value that can't be trained with.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(
        ...     epochs=30, batch_size=128, optimizer="adam", learning_rate=1e-3, schedule="cosine",
        ...     augment=(lab.augment.RandomCrop(padding=4), lab.augment.RandomHorizontalFlip()),
        ... )
        >>> recipe.with_epochs(10).epochs
        10
        >>> lab.Recipe(epochs=3, batch_size=64, optimizer="adam", learning_rate=1e-3)
        Recipe(epochs=3, batch_size=64, optimizer='adam', learning_rate=0.001)
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    schedule_per: str = "step"
    warmup_epochs: int = 0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    ema_decay: float | None = None
    keep_best: bool = False
    patience: int | None = None
    augment: tuple[Transform, ...] = ()
    mix: CutMix | MixUp | None = None
    precision: str = "fp32"
    channels_last: bool = False
    other_learning_rate: float | None = None
    unmixed_epochs: int = 0
    reestimate_norms: bool = False
    bias_learning_rate: float | None = None

    def __post_init__(self) -> None:
        self._take_plain_values()
        self._check_ranges()
        self._check_optimizer()
        self._check_transforms()
        self._check_epochs()

    def _take_plain_values(self) -> None:
        """Convert numbers, flags and names to Python's, from numpy's or tensors."""
        for name, least in WHOLE_NUMBERS.items():
            if name not in CAN_BE_NONE or getattr(self, name) is not None:
                self._set(name, as_whole(name, getattr(self, name), at_least=least))
        for name in NUMBERS:
            if name not in CAN_BE_NONE or getattr(self, name) is not None:
                self._set(name, as_number(name, getattr(self, name)))
        for name in FLAGS:
            self._set(name, as_flag(name, getattr(self, name)))
        for name, known in NAMES.items():
            if getattr(self, name) not in known:
                raise unknown_choice(name, getattr(self, name), known)
            self._set(name, str(getattr(self, name)))
        self._set("optimizer", optimizer_name(self.optimizer, OPTIMIZERS))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_ranges(self) -> None:
        for name in ("learning_rate", "other_learning_rate", "bias_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise ValueError(f"{name} is {rate!r}; expected a number above 0, such as 1e-3.")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay is {self.weight_decay!r}; expected 0 or more.")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected 0 or more, below 1.")
        if self.gradient_clip is not None and not 0 < self.gradient_clip < float("inf"):
            raise ValueError(f"gradient_clip is {self.gradient_clip!r}; expected a norm above 0.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay!r}; expected a share between 0 and 1.")

    def _check_optimizer(self) -> None:
        if (self.optimizer not in ("sgd", "muon") and self.momentum) or (
            self.optimizer != "sgd" and self.nesterov
        ):
            raise ValueError(
                f"momentum is {self.momentum!r}, nesterov is {self.nesterov!r}, and the optimizer "
                f"is {self.optimizer!r}; expected momentum with 'sgd' or 'muon' only, nesterov "
                "with 'sgd' only. Leave them out."
            )
        if self.optimizer == "muon" and self.other_learning_rate is None:
            raise ValueError(
                "other_learning_rate is None; expected a number with 'muon', for biases, norms and "
                "linear layers. Give one, such as 0.1."
            )
        if self.optimizer == "muon" and self.weight_decay:
            raise ValueError(
                f"weight_decay is {self.weight_decay!r}; expected 0 with 'muon', which has none."
            )
        if self.nesterov and not self.momentum:
            raise ValueError("momentum is 0; expected more with nesterov, such as momentum=0.9.")

    def _check_transforms(self) -> None:
        if not isinstance(self.augment, tuple | list):
            raise ValueError(
                f"augment is {self.augment!r}; expected a tuple of transforms, such as "
                "augment=(RandomCrop(), RandomHorizontalFlip()); of one: augment=(transform,)."
            )
        self._set("augment", Compose(tuple(self.augment)).transforms)
        if self.mix is not None and not isinstance(self.mix, CutMix | MixUp):
            raise ValueError(
                f"mix is {self.mix!r}; expected CutMix(...) or MixUp(...) of cifar_lab.augment, "
                "or None."
            )

    def _check_epochs(self) -> None:
        if self.unmixed_epochs > self.epochs:
            raise ValueError(
                f"unmixed_epochs is {self.unmixed_epochs}, epochs is {self.epochs}; expected no "
                "more epochs without mixing than epochs."
            )
        if self.unmixed_epochs and self.mix is None:
            raise ValueError(
                f"unmixed_epochs is {self.unmixed_epochs}, but nothing is mixed before them; give "
                "mix=CutMix(...) or MixUp(...), or leave unmixed_epochs at 0."
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}, epochs is {self.epochs}; expected fewer "
                "epochs of warm-up than epochs."
            )
        if self.warmup_epochs and self.schedule == "one-cycle":
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}; expected 0 with a one-cycle schedule, "
                "which has its own rise."
            )

    def with_epochs(self, epochs: int) -> Recipe:
        """Return the recipe with other epochs, and warm-up and unmixed epochs in proportion.

        A warm-up of several epochs keeps at least two where there is room: a warm-up of one epoch,
        with a schedule per epoch, would begin at the full learning rate.

        Raises:
            ValueError: The number of epochs is not a whole number, at least 1.
        """
        epochs = as_whole("epochs", epochs, at_least=1)
        share = round(self.warmup_epochs * epochs / self.epochs)
        warmup = min(epochs - 1, max(share, min(2, self.warmup_epochs)))
        unmixed = round(self.unmixed_epochs * epochs / self.epochs)
        return dataclasses.replace(
            self, epochs=epochs, warmup_epochs=warmup, unmixed_epochs=unmixed
        )

    def extends(self, other: Recipe) -> bool:
        """Return whether this is the other recipe with more epochs, alone or by `with_epochs`."""
        return self.epochs > other.epochs and self in (
            dataclasses.replace(other, epochs=self.epochs),
            other.with_epochs(self.epochs),
        )

    def begins_as(self, other: Recipe) -> bool:
        """Return whether the other recipe's run is, step by step, the beginning of this one's."""
        return (
            self.schedule == "constant"
            and not self.unmixed_epochs
            and self == dataclasses.replace(other, epochs=self.epochs)
            and self.epochs > other.epochs
        )

    def __repr__(self) -> str:
        """Return the settings that differ from the default."""
        return in_lines("Recipe", {name: getattr(self, name) for name in self.settings()})

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as data for JSON, from which `from_dict` builds an equal one."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["augment"] = [describe(transform) for transform in self.augment]
        fields["mix"] = None if self.mix is None else describe(self.mix)
        return plain(fields)

    def settings(self) -> dict[str, Any]:
        """Return `to_dict` without the default values, so that new settings don't change it."""
        fields = self.to_dict()
        for field in dataclasses.fields(self):
            if getattr(self, field.name) == field.default:
                del fields[field.name]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Build a recipe from the data that `to_dict` returned.

        Raises:
            ValueError: A field has a value that can't be trained with.
            TypeError: A recipe has no field of that name.
        """
        augment = tuple(from_description(part) for part in fields.get("augment", ()))
        mix = fields.get("mix")
        mix = None if mix is None else from_description(mix)
        return cls(**{**fields, "augment": augment, "mix": mix})
