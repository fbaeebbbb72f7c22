"""The table of all checks: what is looked at, and its points."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One behaviour that is looked at.

    Attributes:
        name: by which options and reports call it.
        title: what holds where it passes.
        expected: the same in full, with the settings' values in braces.
        points: in assignment A and in B; None where the assignment does not ask for it.
    """

    name: str
    title: str
    expected: str
    points: tuple[float | None, float | None]


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(
            "submission_readable",
            "The submission can be read",
            "a folder with one Jupyter notebook (format 4) that has code cells, and where there is "
            "a submission.json, one that cifar_lab.submit wrote",
            (2, 2),
        ),
        Check(
            "cells_in_order",
            "The notebook was run from top to bottom",
            "execution counts 1, 2, 3, ... down the notebook, every code cell run, no error shown",
            (4, 4),
        ),
        Check(
            "notebook_runs",
            "The notebook runs",
            "every cell runs without an error on a small stand-in for the images, all of them "
            "together within {run_minutes:.0f} minutes",
            (8, 8),
        ),
        Check(
            "model_found",
            "The model is a torch.nn.Module",
            "a torch.nn.Module, handed over with cifar_lab.submit or left in the variable `model`, "
            "that torch.export can turn into a program",
            (4, 4),
        ),
        Check(
            "parameter_count",
            "The model is small enough",
            "fewer than {max_parameters:,} numbers that were learnt, wherever they are kept: "
            "parameters, buffers and other tensors (statistics of batch normalisation and up to "
            "{free_constants} constants aside)",
            (10, 8),
        ),
        Check(
            "output_shape",
            "One logit a class for every image",
            "for 1, 2 and 7 images, as many rows of {num_classes} finite numbers",
            (4, 4),
        ),
        Check(
            "gradients_everywhere",
            "Every parameter gets a gradient",
            "a gradient that is not zero for each parameter: the output depends on all of them",
            (6, 4),
        ),
        Check(
            "overfits_one_batch",
            "The model can overfit a batch",
            "a cross-entropy below {overfit_loss} on {overfit_images} images after at most 300 "
            "steps of Adam",
            (6, 4),
        ),
        Check(
            "eval_is_deterministic",
            "In eval mode the same images give the same logits",
            "no difference between two passes (tolerance {twice_tolerance}), and no tensor of the "
            "model changed by them",
            (4, 4),
        ),
        Check(
            "independent_of_batch",
            "An image's logits don't depend on its batch",
            "a difference of at most {batch_tolerance:.0e} of the largest logit between an image "
            "alone and among others",
            (4, 4),
        ),
        Check(
            "gradients_cleared",
            "Every training step starts from cleared gradients",
            "training steps with a torch.optim optimizer, and gradients that are cleared between "
            "one step and the next",
            (6, 4),
        ),
        Check(
            "loss_takes_logits",
            "Cross-entropy is given logits",
            "logits in cross_entropy, which takes the softmax itself",
            (4, 4),
        ),
        Check(
            "evaluates_in_eval_mode",
            "Test images are seen in eval mode",
            "model.eval() before the model sees test images, wherever it has dropout or batch "
            "normalisation",
            (6, 4),
        ),
        Check(
            "test_set_unused",
            "The test set took no part in training",
            "the same weights from the same training, whatever the test images and labels are",
            (8, 8),
        ),
        Check(
            "weights_load",
            "The weights are stored and belong to the model",
            "one file that torch.load(..., weights_only=True) reads, with the tensors of the "
            "model's state_dict",
            (4, 4),
        ),
        Check(
            "weights_reloaded",
            "The notebook stores the weights and loads them again",
            "torch.save after training, torch.load of it, and only then the test images",
            (None, 4),
        ),
        Check(
            "accuracy_agrees",
            "The reported accuracy is the stored weights' own",
            "a reported test accuracy within {accuracy_tolerance} points of what the grader "
            "measures with the stored weights",
            (8, 8),
        ),
        Check(
            "seeds_unchanged",
            "The seed and the determinism settings are as given",
            "42 for random, numpy and torch, no other seed later, cuDNN deterministic, benchmark "
            "off",
            (None, 4),
        ),
        Check(
            "time_within_limit",
            "Training took no longer than it may",
            "at most {max_minutes:.0f} minutes by the recorded history, or by the notebook's "
            "own record of its cells",
            (2, 4),
        ),
        Check(
            "iterations_reported",
            "At least two iterations are reported",
            "at least {min_iterations} networks beside the MLP, each with its name, its parameters "
            "and its test accuracy in one line, table row or paragraph; trained in this notebook; "
            "with the accuracy that the notebook's output shows",
            (10, None),
        ),
        Check(
            "choices_discussed",
            "The five choices are discussed in your own words",
            "under a heading each, at least {min_words} words of your own on model architecture, "
            "hyperparameters, regularisation, optimizer and validation scheme; a topic with fewer "
            "words earns its fifth in proportion",
            (None, 10),
        ),
    )
}
