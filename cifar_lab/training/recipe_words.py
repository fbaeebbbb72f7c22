"""A recipe in words: its `repr`, and answers to settings that it has under another name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from cifar_lab.utils.errors import unknown_name

OTHER_NAMES = {
    "epochs": ("num_epochs", "n_epochs", "nb_epochs", "max_epochs", "epoch"),
    "batch_size": ("batch", "bs", "batchsize", "train_batch_size", "minibatch_size"),
    "optimizer": ("opt", "optim", "optimiser"),
    "learning_rate": ("lr", "max_lr", "base_lr", "initial_lr", "step_size"),
    "weight_decay": ("wd", "decay", "l2"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule", "sched"),
    "warmup_epochs": ("warmup", "warm_up", "warmup_steps"),
    "label_smoothing": ("smoothing",),
    "gradient_clip": ("clip", "grad_clip", "max_norm", "max_grad_norm", "clip_grad_norm"),
    "ema_decay": ("ema",),
    "patience": ("early_stopping", "early_stopping_patience"),
    "keep_best": ("save_best", "restore_best_weights", "save_best_only"),
    "augment": ("augmentation", "augmentations", "transform", "transforms", "aug"),
    "mix": ("cutmix", "mixup"),
    "precision": ("amp", "dtype", "mixed_precision", "fp16", "bf16"),
}
RIGHT_NAME = {other: name for name, others in OTHER_NAMES.items() for other in others}
IN_FIT = ("loss_fn", "seed", "device", "validation", "callback", "checkpoint", "resume", "progress")
TO_FIT = {"loss": "loss_fn", "criterion": "loss_fn", "callbacks": "callback", "val": "validation"}

LONGEST_LINE = 88  # characters

OTHER_OPTIMIZER = (
    "Any other optimizer is an argument of fit, such as "
    "fit(..., optimizer=partial(torch.optim.RMSprop, lr=1e-3))."
)
OTHER_SCHEDULE = (
    "Any other is an argument of fit, such as "
    "fit(..., scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=10))."
)

Kind = TypeVar("Kind", bound=type)


def answering_other_names(kind: Kind) -> Kind:
    """Make a dataclass answer a setting that it lacks with the right name, in place."""
    build = kind.__init__  # type: ignore[misc]
    known = [field.name for field in dataclasses.fields(kind)]

    @functools.wraps(build)
    def build_or_answer(self: Any, *values: Any, **settings: Any) -> None:
        for name in settings:
            if name not in known:
                raise TypeError(_answer(name, known))
        build(self, *values, **settings)

    kind.__init__ = build_or_answer  # type: ignore[misc]
    return kind


def _answer(name: str, known: list[str]) -> str:
    key = name.lower()
    if key in ("betas", "eps", "beta1", "beta2", "alpha", "dampening", "amsgrad"):
        return (
            f"A recipe has no setting {name!r}. Give fit a custom optimizer: "
            f"fit(..., optimizer=partial(torch.optim.Adam, {name}=...))."
        )
    argument = TO_FIT.get(key, key)
    if argument in IN_FIT:
        return f"A recipe has no setting {name!r}. Give it to fit: fit(..., {argument}=...)."
    if key in RIGHT_NAME:
        return f"A recipe has no setting {name!r}. It is called {RIGHT_NAME[key]!r} here."
    return str(unknown_name("setting of a recipe", name, known))


def optimizer_name(value: Any, known: tuple[str, ...]) -> str:
    """Return the name of a recipe's optimizer.

    Raises:
        ValueError: It is another name, or no name; the message says what to do.
    """
    if isinstance(value, str) and value in known:
        return str(value)
    name = value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
    near = f"Did you mean {name.lower()!r}? " if name.lower() in known else ""
    if isinstance(value, str):
        if near:
            raise ValueError(f"Unknown optimizer {name!r}. {near}Known: {', '.join(known)}.")
        raise ValueError(f"{unknown_name('optimizer', name, known)} {OTHER_OPTIMIZER}")
    kind = "class" if isinstance(value, type) else "object"
    raise ValueError(
        f"optimizer is the {kind} {name}; expected a name: {', '.join(map(repr, known))}. {near}"
        f"{OTHER_OPTIMIZER}"
    )


def unknown_choice(name: str, value: Any, known: Collection[str]) -> ValueError:
    """Return the error for a setting whose value is none of the known names."""
    error = unknown_name(name, getattr(value, "__name__", value), known)
    return ValueError(f"{error} {OTHER_SCHEDULE}") if name == "schedule" else error


def in_lines(name: str, settings: Mapping[str, Any]) -> str:
    """Return a call as Python writes it, in one line or else with one setting or item per line."""
    line = f"{name}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
    if len(line) <= LONGEST_LINE:
        return line
    lines = [f"{name}("]
    for key, value in settings.items():
        if isinstance(value, tuple) and len(repr(value)) > LONGEST_LINE - len(key) - 6:
            lines += [f"    {key}=(", *(f"        {item!r}," for item in value), "    ),"]
        else:
            lines.append(f"    {key}={value!r},")
    return "\n".join([*lines, ")"])
