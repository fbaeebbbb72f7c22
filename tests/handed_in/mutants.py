"""Broken and hostile submissions: each with exactly the checks that must fail, and be blocked."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

import cifar_lab

from . import correct
from .correct import LOOP, MODEL, edited, net, plain_a, plain_b, with_the_library
from .making import Cell, HandedIn, code, markdown

TRAINING = frozenset(
    {
        "gradients_cleared",
        "loss_takes_logits",
        "evaluates_in_eval_mode",
        "test_set_unused",
        "iterations_reported",
    }
)
MODEL_LOOKS = frozenset(
    {
        "parameter_count",
        "output_shape",
        "gradients_everywhere",
        "overfits_one_batch",
        "eval_is_deterministic",
        "independent_of_batch",
        "weights_load",
        "accuracy_agrees",
    }
)
NEEDS_MODEL = MODEL_LOOKS | {"own_network"}
NEEDS_RUN = TRAINING | NEEDS_MODEL | {"model_found"}
NEEDS_OWN = (NEEDS_RUN | {"time_within_limit"}) - {"own_network", "iterations_reported"}
NEEDS_NOTEBOOK = NEEDS_RUN | frozenset(
    {"notebook_runs", "cells_in_order", "time_within_limit", "findings_written"}
)


@dataclass(frozen=True)
class Mutant:
    """A submission with something wrong.

    Attributes:
        make: builds it.
        failed: the checks that must fail.
        blocked: those that can't be looked at, since they need what failed.
        not_made: those that can't be made here, which is nobody's fault.
        says: a part of what the student is told.
        assignment: "a" or "b".
        quick: whether it means no harm, so that it may run outside of the sandbox.
        often: whether it is among those of the default tests.
    """

    make: Callable[[], HandedIn]
    failed: frozenset[str]
    says: str
    blocked: frozenset[str] = frozenset()
    assignment: str = "a"
    quick: bool = True
    often: bool = False
    not_made: frozenset[str] = frozenset()


def changed(base: Callable[[], HandedIn], cell: str, old: str, new: str) -> HandedIn:
    return base().edited(cell, old, new)


def model(*changes: tuple[str, str]) -> Callable[[], HandedIn]:
    return lambda: plain_a(edited(MODEL, *changes))


def loop(*changes: tuple[str, str]) -> Callable[[], HandedIn]:
    return lambda: plain_a(loop=edited(LOOP, *changes))


def hidden(how: str) -> Callable[[], HandedIn]:
    """300,000 numbers more than the model's parameters show."""
    return model(
        ("self.drop =", f"{how}\n        self.drop ="),
        ("return self.head(x)", "return self.head(x) + self.hidden[0].mean() * x[:, :1]"),
    )


def attack(source: str, base: Callable[[], HandedIn] = plain_a) -> Callable[[], HandedIn]:
    """A cell after the training."""
    return lambda: base().after("train", code(source))


def notebook_is(content: bytes) -> Callable[[], HandedIn]:
    def overwrite(folder: Path) -> None:
        (folder / "notebook.ipynb").write_bytes(content)

    return lambda: HandedIn(plain_a().cells, net(), change=overwrite)


def weights_are(content: Callable[[Path], object]) -> Callable[[], HandedIn]:
    base = plain_a

    def overwrite(folder: Path) -> None:
        (folder / "weights.pt").unlink(missing_ok=True)
        content(folder / "weights.pt")

    return lambda: HandedIn(base().cells, net(), change=overwrite)


class Hostile:
    """Unpickling it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def hostile_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(f"touch {path.parent}/harmed")))


def other_program() -> HandedIn:
    """The exported model is not the one whose weights are stored."""
    base = with_the_library()
    write = base.change
    assert write is not None

    def exchange(folder: Path) -> None:
        write(folder)
        other = cifar_lab.experiments.submission.export_model(net(6))
        (folder / "model.pt2").write_bytes(other)

    return HandedIn(base.cells, None, change=exchange)


def manifest_says(old: str, new: str) -> HandedIn:
    base = with_the_library()
    write = base.change
    assert write is not None

    def correct_it(folder: Path) -> None:
        write(folder)
        path = folder / "submission.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return HandedIn(base.cells, None, change=correct_it)


def discussed(text: str) -> Callable[[], HandedIn]:
    return lambda: plain_b().with_cell("discussion", markdown(text))


def printed_accuracy(base: Callable[[], HandedIn], source: str) -> HandedIn:
    """The last cell prints 93 %."""
    store = base().cells["store"].source
    return base().with_cell("store", code(f"{store}\n{source}", "Test accuracy: 93.00 %\n"))


NO_WEIGHTS_MATCH = frozenset({"accuracy_agrees"})
TEMPLATE = Path(cifar_lab.__file__).parent / "grading" / "template_b.md"
HAND_OUT = TEMPLATE.with_name("notebook_a.md")
SKELETON = """
class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same")
        self.second = nn.Conv2d(8, 16, 3, padding="same")
        self.last = nn.Linear(4096, 10)

    def forward(self, x):
        x = F.relu(self.first((x - 0.5) / 0.25), inplace=True)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.last(F.dropout(x, 0.1, self.training).view(x.size(0), -1))
"""
REPEATED = "\n".join(
    f"## {topic}\n" + "we chose what works best here " * 20
    for topic in ("Architecture", "Hyperparameters", "Regularization", "Optimizer", "Validation")
)


def twice() -> Cell:
    """Two lines on one network, the second with a rounded accuracy."""
    line = plain_a().cells["train"].printed.splitlines()[1]
    count, accuracy = line.split(": ")[1].split(" parameters, test accuracy ")
    rounded = round(float(accuracy.removesuffix(" %")))
    return markdown(f"- {line}\n\nThe net of {count} parameters reaches about {rounded} %.")


MUTANTS: dict[str, Mutant] = {
    "softmax at the end of the model": Mutant(
        model(("return self.head(x)", "return self.head(x).softmax(1)")),
        frozenset({"overfits_one_batch", "loss_takes_logits"}),
        "no softmax",
    ),
    "softmax before cross-entropy": Mutant(
        loop(("F.cross_entropy(model(x), y)", "F.cross_entropy(model(x).softmax(1), y)")),
        frozenset({"loss_takes_logits"}),
        "takes the softmax itself",
    ),
    "no zero_grad": Mutant(
        loop(("            optimizer.zero_grad()\n", "")),
        frozenset({"gradients_cleared"}),
        "optimizer.zero_grad()",
    ),
    "eval mode forgotten": Mutant(
        loop(("    model.eval()\n", "")),
        frozenset({"evaluates_in_eval_mode", "test_set_unused"}),  # the statistics learn from it
        "model.eval()",
    ),
    "eval mode and no_grad forgotten": Mutant(
        loop(("    model.eval()\n", ""), ("with torch.no_grad():", "with torch.enable_grad():")),
        frozenset({"evaluates_in_eval_mode", "test_set_unused"}),
        "model.eval()",
    ),
    "a skip connection missing": Mutant(
        model((" + self.shortcut(x)", "")),
        frozenset({"gradients_everywhere"}),
        "shortcut",
    ),
    "one parameter over the limit": Mutant(
        lambda: plain_b(correct.up_to_the_limit(1_000_000)),
        frozenset({"parameter_count"}),
        "Take away at least 1.",
        assignment="b",
    ),
    "parameters hidden in a plain list": Mutant(
        hidden("self.hidden = [nn.Parameter(torch.zeros(64, 5000))]"),
        frozenset({"parameter_count"}),
        "plain lists count",
    ),
    "parameters hidden in a buffer": Mutant(
        hidden('self.register_buffer("hidden", torch.zeros(1, 64, 5000))'),
        frozenset({"parameter_count"}),
        "Buffers",
    ),
    "parameters hidden in a buffer that is not stored": Mutant(
        hidden('self.register_buffer("hidden", torch.zeros(1, 64, 5000), persistent=False)'),
        frozenset({"parameter_count"}),
        "Buffers",
    ),
    "trained on test images": Mutant(
        partial(changed, plain_a, "train", "data.train, epochs=3", "data.test, epochs=3"),
        frozenset({"test_set_unused"}),
        "in train mode, with gradients",
    ),
    "trained on both sets": Mutant(
        partial(
            changed,
            plain_a,
            "train",
            "data.train, epochs",
            "torch.utils.data.ConcatDataset([data.train, data.test]), epochs",
        ),
        frozenset({"test_set_unused"}),
        "training images alone",
    ),
    "validation on test": Mutant(
        partial(
            changed, plain_b, "train", "accuracy(model, validation)", "accuracy(model, data.test)"
        ),
        frozenset({"test_set_unused"}),
        "cifar_lab.split",
        assignment="b",
    ),
    "stopped early by the test set": Mutant(
        loop(
            (
                "    return model\n",
                "        if accuracy(model, data.test) > 90:\n"
                "            break\n    return model\n",
            ),
            ("for epoch in range(epochs)", "for epoch in range(9 * epochs)"),
        ),
        frozenset({"test_set_unused"}),
        " steps). Train on training images alone",
    ),
    "seed changed": Mutant(
        partial(changed, plain_b, "seeds", "torch.manual_seed(42)", "torch.manual_seed(43)"),
        frozenset({"seeds_unchanged"}),
        "torch was given the seed 43",
        assignment="b",
    ),
    "seed set again later": Mutant(
        partial(changed, plain_b, "train", "model = Net()", "torch.manual_seed(7)\nmodel = Net()"),
        frozenset({"seeds_unchanged"}),
        "torch was given the seed 7",
        assignment="b",
    ),
    "no seed for numpy": Mutant(
        partial(changed, plain_b, "seeds", "np.random.seed(42)", ""),
        frozenset({"seeds_unchanged"}),
        "No seed was set for numpy",
        assignment="b",
    ),
    "determinism switched off": Mutant(
        partial(changed, plain_b, "seeds", "benchmark = False", "benchmark = True"),
        frozenset({"seeds_unchanged"}),
        "benchmark is True",
        assignment="b",
    ),
    "accuracy printed but not measured": Mutant(
        lambda: printed_accuracy(plain_a, 'print("Test accuracy: 93.00 %")'),
        frozenset({"accuracy_agrees"}),
        "reported 93.00 %, measured",
    ),
    "weights of another network": Mutant(
        weights_are(lambda path: torch.save(net(10).state_dict(), path)),
        frozenset({"weights_load"}),
        "has other shapes",
        NO_WEIGHTS_MATCH,
    ),
    "weights before training": Mutant(
        weights_are(lambda path: torch.save(correct.untrained().state_dict(), path)),
        frozenset({"accuracy_agrees"}),
        "measured",
    ),
    "weights of another network than the exported one": Mutant(
        other_program, frozenset({"weights_load"}), "other shapes", NO_WEIGHTS_MATCH
    ),
    "a hostile pickle as weights": Mutant(
        weights_are(hostile_pickle),
        frozenset({"weights_load"}),
        "can't be loaded as a model's weights",
        NO_WEIGHTS_MATCH,
        quick=False,
    ),
    "a whole model as weights": Mutant(
        weights_are(lambda path: torch.save(torch.nn.Linear(2, 2), path)),
        frozenset({"weights_load"}),
        "torch.save(model.state_dict()",
        NO_WEIGHTS_MATCH,
    ),
    "empty weights": Mutant(
        weights_are(Path.touch), frozenset({"weights_load"}), "can't be loaded", NO_WEIGHTS_MATCH
    ),
    "no weights": Mutant(
        lambda: HandedIn(plain_a().cells, None),
        frozenset({"weights_load"}),
        "No weights",
        NO_WEIGHTS_MATCH,
    ),
    "weights that are a link": Mutant(
        weights_are(lambda path: path.symlink_to("/etc/passwd")),
        frozenset({"weights_load"}),
        "No weights",
        NO_WEIGHTS_MATCH,
    ),
    "an infinite loop": Mutant(
        attack("while True:\n    pass"),
        frozenset({"notebook_runs"}),
        "The time that all cells have together was used up in cell 7 of 8",
        frozenset({"test_set_unused"}),
        quick=False,
        often=True,
    ),
    "a fork bomb": Mutant(
        attack("import os\nwhile True:\n    os.fork()"),
        frozenset({"notebook_runs"}),
        "cell 7 of 8",
        quick=False,
    ),
    "a memory bomb": Mutant(
        attack("hoard = []\nwhile True:\n    hoard.append(bytearray(2**26))"),
        frozenset({"notebook_runs"}),
        "memory",
        quick=False,
    ),
    "a disk filler": Mutant(
        attack("with open('big', 'wb') as f:\n    while True:\n        f.write(bytes(2**24))"),
        frozenset({"notebook_runs"}),
        "cell 7 of 8",
        quick=False,
    ),
    "sys.exit": Mutant(
        attack("import sys\nsys.exit(0)"), frozenset({"notebook_runs"}), "SystemExit"
    ),
    "os._exit": Mutant(
        attack("import os\nos._exit(0)"),
        frozenset({"notebook_runs"}),
        "cell 7 of 8",
        quick=False,
        often=True,
    ),
    "SIGKILL to its parent": Mutant(
        attack(
            "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        ),
        frozenset({"notebook_runs"}),
        "cell 7 of 8",
        quick=False,
    ),
    "a gigabyte of output": Mutant(
        attack("for _ in range(1024):\n    print('x' * 2**20)\nraise ValueError('enough')"),
        frozenset({"notebook_runs"}),
        "enough",
        quick=False,
    ),
    "reaching for the network": Mutant(
        attack("import urllib.request\nurllib.request.urlopen('http://example.com', timeout=5)"),
        frozenset(),
        "needs the network",
        quick=False,
        not_made=frozenset({"notebook_runs"}),
    ),
    "reading labels from disk": Mutant(
        attack(
            "from pathlib import Path\n"
            "found = [p for p in Path('/').glob('*/*/*/cifar-10*/test_batch')]\n"
            "assert found and found[0].read_bytes(), 'nothing there'"
        ),
        frozenset({"notebook_runs"}),
        "nothing there",
        quick=False,
    ),
    "monkey-patched evaluate": Mutant(
        lambda: printed_accuracy(
            plain_a,
            "cifar_lab.evaluate = cifar_lab.test_accuracy = lambda *a, **k: 93.0\n"
            "cifar_lab.evaluation.evaluate = cifar_lab.evaluate\n"
            'print(f"Test accuracy: {cifar_lab.evaluate(model):.2f} %")',
        ),
        frozenset({"accuracy_agrees"}),
        "reported 93.00 %",
    ),
    "monkey-patched pytest": Mutant(
        lambda: printed_accuracy(
            plain_a,
            "import pytest, sys\n"
            "pytest.fail = pytest.skip = lambda *a, **k: None\n"
            "pytest.main = lambda *a, **k: 0\n"
            "sys.modules['cifar_lab.grading'] = cifar_lab",
        ),
        frozenset({"accuracy_agrees"}),
        "reported 93.00 %",
    ),
    "monkey-patched torch": Mutant(
        lambda: plain_a(correct.with_numbers(400_000)).after(
            "store",
            code(
                "x = torch.zeros(1)\n"
                "nn.Module.parameters = lambda self, recurse=True: iter([nn.Parameter(x[:1])])\n"
                "cifar_lab.count_parameters = lambda model: 1\n"
                "torch.argmax = torch.Tensor.argmax = lambda *a, **k: torch.zeros(1)"
            ),
        ),
        frozenset({"parameter_count"}),
        "Take away at least",
    ),
    "an empty notebook": Mutant(
        notebook_is(b""),
        frozenset({"submission_readable"}),
        "can't be read as a notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "a truncated notebook": Mutant(
        notebook_is(b'{"nbformat": 4, "cells": [{"cell_type": "code", "sou'),
        frozenset({"submission_readable"}),
        "can't be read as a notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "no notebook but something else": Mutant(
        notebook_is(b"print('hello')\n"),
        frozenset({"submission_readable"}),
        "can't be read as a notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "an image as a notebook": Mutant(
        notebook_is(b"\x89PNG\r\n\x1a\n" + bytes(100)),
        frozenset({"submission_readable"}),
        "can't be read as a notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "a notebook of an old format": Mutant(
        notebook_is(b'{"nbformat": 3, "worksheets": []}'),
        frozenset({"submission_readable"}),
        "format 4",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "a notebook that is nested without end": Mutant(
        notebook_is(b"[" * 200_000),
        frozenset({"submission_readable"}),
        "can't be read as a notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "a notebook that is a pipe": Mutant(
        lambda: HandedIn(
            plain_a().cells,
            net(),
            change=lambda folder: (
                (folder / "notebook.ipynb").unlink(),
                os.mkfifo(folder / "notebook.ipynb"),
            ),
        ),
        frozenset({"submission_readable"}),
        "No notebook",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "two notebooks": Mutant(
        lambda: HandedIn(plain_a().cells, net(), files={"again.ipynb": b"{}"}),
        frozenset({"submission_readable"}),
        "There are 2 notebooks",
        NEEDS_NOTEBOOK,
        often=True,
    ),
    "cells run out of order": Mutant(
        lambda: plain_a().with_cell("train", count=9),
        frozenset({"cells_in_order"}),
        "was run as number 9",
    ),
    "a cell that was not run": Mutant(
        lambda: plain_a().with_cell("train", count=0),
        frozenset({"cells_in_order"}),
        "was not run",
    ),
    "an error in the output": Mutant(
        lambda: plain_a().with_cell("loop", error="KeyError"),
        frozenset({"cells_in_order"}),
        "KeyError",
    ),
    "a cell that fails when it is run again": Mutant(
        lambda: plain_a().edited("train", "models = {}", "models = leftovers"),
        frozenset({"notebook_runs"}),
        "leftovers",
        NEEDS_RUN,
    ),
    "discussion left as the template": Mutant(
        discussed(TEMPLATE.read_text()),
        frozenset({"choices_discussed"}),
        "Words that you were given",
        assignment="b",
    ),
    "the same words again and again": Mutant(
        discussed(REPEATED),
        frozenset({"choices_discussed"}),
        "own words",
        assignment="b",
    ),
    "no discussion of the optimizer": Mutant(
        discussed(correct.DISCUSSION.replace("### Optimizer", "### Something else")),
        frozenset({"choices_discussed"}),
        "optimizer: no heading",
        assignment="b",
    ),
    "the hand-out's network in other words": Mutant(
        lambda: plain_a(SKELETON),
        frozenset({"own_network", "iterations_reported"}),
        "given as skeleton",
        NEEDS_OWN,
    ),
    "no own words on what was found": Mutant(
        lambda: plain_a().with_cell("words", markdown("## Findings\n\nThe second is better.")),
        frozenset({"findings_written"}),
        "another: 0 own words",
    ),
    "the hand-out's words as one's own": Mutant(
        lambda: plain_a().with_cell("words", markdown(HAND_OUT.read_text())),
        frozenset({"findings_written"}),
        "another: 0 own words",
    ),
    "weights not loaded again": Mutant(
        partial(
            changed,
            plain_b,
            "store",
            'model.load_state_dict(torch.load("best.pt", weights_only=True))',
            "pass",
        ),
        frozenset({"weights_reloaded"}),
        "No torch.load",
        assignment="b",
    ),
    "only one iteration": Mutant(
        lambda: (
            plain_a()
            .edited("train", "(6, 8)", "(8,)")
            .with_cell("findings", markdown("One network, no more."))
        ),
        frozenset({"iterations_reported"}),
        "at least 2 networks of your own",
    ),
    "numbers hidden as statistics": Mutant(
        model(
            (
                "self.drop =",
                "self.register_buffer('mean', torch.zeros(300_000))\n"
                "        self.register_buffer('var', torch.ones(300_000))\n        self.drop =",
            ),
            (
                "return self.head(x)",
                "extra = F.batch_norm(torch.zeros(1, 300_000), self.mean, self.var)\n"
                "        return self.head(x) + extra.mean() * x[:, :1]",
            ),
        ),
        frozenset({"parameter_count"}),
        "Take away at least",
    ),
    "one network reported twice": Mutant(
        lambda: plain_a().edited("train", "(6, 8)", "(8,)").with_cell("findings", twice()),
        frozenset({"iterations_reported"}),
        "1 reported iterations",
    ),
    "the epoch that is best on the test set, stored alone": Mutant(
        loop(
            (
                "    return model\n",
                "        reached = accuracy(model, data.test)\n"
                "        if epoch == 0 or reached > best:\n"
                "            best = reached\n"
                "            torch.save(model.state_dict(), 'best.pt')\n"
                "    return model\n",
            )
        ),
        frozenset({"test_set_unused"}),
        "other weights",
    ),
    "iterations with accuracies that no cell shows": Mutant(
        lambda: (
            plain_a()
            .with_cell("train", printed="")
            .with_cell("findings", markdown(correct.boast()))
        ),
        frozenset({"iterations_reported"}),
        "no cell's output shows",
    ),
    "an accuracy in the manifest that is not true": Mutant(
        partial(manifest_says, '"history": [', '"test_accuracy": 88.0, "history": ['),
        frozenset({"accuracy_agrees"}),
        "reported 88.00 %",
    ),
    "a manifest for the other assignment": Mutant(
        partial(manifest_says, '"assignment": "a"', '"assignment": "b"'),
        frozenset({"submission_readable"}),
        "assignment='a'",
    ),
    "two hours of training": Mutant(
        lambda: plain_a().with_cell("train", seconds=7300.0),
        frozenset({"time_within_limit"}),
        "121.",
    ),
    "dropout that never ends": Mutant(
        model(("x = self.drop(x)", "x = F.dropout(x, 0.01)")),
        frozenset({"eval_is_deterministic", "independent_of_batch"}),
        "F.dropout needs training=self.training",
    ),
    "batch normalisation without running statistics": Mutant(
        model(("nn.BatchNorm2d(outside)", "nn.BatchNorm2d(outside, track_running_stats=False)")),
        frozenset({"independent_of_batch"}),
        "running statistics",
    ),
    "too many classes": Mutant(
        model(("nn.Linear(8 * width, 10)", "nn.Linear(8 * width, 11)")),
        frozenset({"output_shape"}),
        "10 logits",
        NO_WEIGHTS_MATCH,
    ),
    "no variable with the model": Mutant(
        lambda: plain_a().with_cell(
            "store", source="torch.save(models[8].state_dict(), 'weights.pt')\nmodels.clear()"
        ),
        frozenset({"model_found"}),
        "name it `model`",
        NEEDS_MODEL,
    ),
    "a model that is a function": Mutant(
        lambda: plain_a().after("store", code("models.clear()\nmodel = lambda images: images")),
        frozenset({"model_found"}),
        "inherits from torch.nn.Module",
        NEEDS_MODEL,
    ),
    "no training in the notebook": Mutant(
        partial(changed, plain_a, "train", "fit(Net(width), data.train, epochs=3)", "Net(width)"),
        frozenset({"gradients_cleared", "iterations_reported"}),
        "No training step",
        frozenset({"test_set_unused"}),
    ),
}
