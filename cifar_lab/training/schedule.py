"""The learning rate as a pure function of the position in the run."""

from __future__ import annotations

import math

from cifar_lab.training.recipe import Recipe

ONE_CYCLE_RISE = 0.25  # the share of the run in which a one-cycle schedule rises


def learning_rate_at(recipe: Recipe, position: float) -> float:
    """Return the learning rate at a position in the run.

    With `recipe.schedule_per == "epoch"` it is constant during each epoch. In warm-up epoch e (0
    for the first) it is then learning_rate * (e + 1) / warmup_epochs, so that even the first epoch
    trains; per step it rises from 0. A one-cycle schedule, which begins and ends at 0, has per
    epoch the value of the epoch's middle.

    Args:
        recipe: The recipe, with the schedule and the largest learning rate.
        position: The number of epochs since the run's start; fractions are steps within an epoch.

    Source: warm-up, Goyal et al. 2017 (arXiv:1706.02677); cosine, Loshchilov and Hutter 2016
    (arXiv:1608.03983); one-cycle, Smith and Topin 2017 (arXiv:1708.07120).
    """
    per_epoch = recipe.schedule_per == "epoch"
    if per_epoch:
        position = math.floor(position)
    if recipe.schedule == "one-cycle":
        share = (position + per_epoch / 2) / recipe.epochs
        if share < ONE_CYCLE_RISE:
            return recipe.learning_rate * share / ONE_CYCLE_RISE
        return recipe.learning_rate * (1 - share) / (1 - ONE_CYCLE_RISE)
    if position < recipe.warmup_epochs:
        return recipe.learning_rate * (position + per_epoch) / recipe.warmup_epochs
    if recipe.schedule == "cosine":
        share = (position - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
    return recipe.learning_rate
