"""Correct submissions of several styles. Tiny, so that the whole of grading is quick."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

import cifar_lab

from .making import HandedIn, accuracy_of, code, markdown, namespace, trained

IMPORTS = """
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

import cifar_lab
"""

SEEDS = """
random.seed(42)
np.random.seed(42)
torch.manual_seed(42)
torch.backends.cudnn.deterministic = True
torch.backends.cudnn.benchmark = False
"""

DATA_A = 'data = cifar_lab.load("cifar10")\nprint(len(data.train), "training images")'
DATA_B = (
    'data = cifar_lab.load("cifar100")\ntrain, validation = cifar_lab.split(data.train, seed=42)'
)

MODEL = """
class Block(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)) + self.shortcut(x))


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, width), nn.MaxPool2d(4), Block(width, 2 * width), nn.AdaptiveAvgPool2d(2)
        )
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(8 * width, 10)

    def forward(self, images):
        x = self.blocks(images).flatten(1)
        x = self.drop(x)
        return self.head(x)
"""

LOOP = """
def accuracy(model, images):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in DataLoader(images, batch_size=128):
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return 100 * right / total


def fit(model, images, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()
        for x, y in DataLoader(images, batch_size=64, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model
"""

TRAIN_A = """
models = {}
for width in (6, 8):
    models[width] = fit(Net(width), data.train, epochs=3)
    size = sum(p.numel() for p in models[width].parameters())
    print(f"residual net, width {width}: {size:,} parameters, "
          f"test accuracy {accuracy(models[width], data.test):.2f} %")
"""

STORE_A = """
model = models[8]
torch.save(model.state_dict(), "weights.pt")
print(f"Test accuracy: {accuracy(model, data.test):.2f} %")
"""

TRAIN_B = """
model = Net()
best = -1.0
for epoch in range(4):
    fit(model, train, epochs=1)
    reached = accuracy(model, validation)
    if reached > best:
        best = reached
        torch.save(model.state_dict(), "best.pt")
"""

STORE_B = """
model = Net()
model.load_state_dict(torch.load("best.pt", weights_only=True))
print(f"Test accuracy: {accuracy(model, data.test):.2f} %")
"""

DISCUSSION = """
# What I chose, and why

## Model architecture
I stacked two residual blocks because a plain stack of the same depth learnt more slowly when I
compared both for three epochs. Pooling by four keeps the maps small, so that most of my few
parameters sit in the second convolution instead of the classifier.

## Hyperparameters
Batches of 64 gave the steadiest curve on my validation images; 512 needed twice as many epochs.
For the step size I ran a coarse grid over powers of ten, then refined around three thousandths,
where the loss fell quickest without spikes.

## Regularisation
Ten percent dropout ahead of the last layer narrowed the gap between both curves by two points.
Batch normalisation helped more than I expected. Weight decay made no visible difference in this
short run, hence I left it out again.

### Optimizer
Adam reached in one epoch what momentum needed three for, and it forgave a badly chosen step size.
I would revisit plain momentum with a longer budget, because reports say that it ends higher when
trained until convergence.

## Validation scheme
One tenth of the training pictures, stratified by class, stayed aside. After each epoch I measured
them, kept the best weights, and stopped there. The official test pictures were evaluated a single
time, when everything else had been decided already.
"""


WORDS = """
## Iteration 1
I expected the shortcut around each convolution to matter more than width, because gradients reach
the first filters through it. So my first network stacks two such blocks with few channels, and
pools by four between them, which keeps the linear layer tiny. It learnt quickly, but stayed unsure
between cats and dogs.

## Iteration 2
Next I kept the depth and gave every block a third more channels. My guess was that colour and
texture need separate filters, which the narrow one can't afford. The loss fell a little faster in
each epoch, at a cost of hardly a thousand further weights.

## What I conclude
Sharing weights across all places is worth far more than having many of them: both of my networks
are a tiny fraction of the perceptron's size. Between the two the gap is small, and a single seed
each can't settle whether width or luck brought it. I would repeat both with three seeds before
believing it, and then try a third block.
"""


@lru_cache
def net(width: int = 8, source: str = MODEL) -> nn.Module:
    """The notebook's network, trained a little."""
    defined = namespace(IMPORTS, source)
    return trained(lambda: defined["Net"](width))


@lru_cache
def plain_a(source: str = MODEL, loop: str = LOOP) -> HandedIn:
    """Assignment A: an own class and loop in a plain notebook, and a weights file."""
    printed = []
    for width in (6, 8):
        model = net(width, source)
        size = sum(parameter.numel() for parameter in model.parameters())
        printed.append(
            f"residual net, width {width}: {size:,} parameters, test accuracy "
            f"{accuracy_of(model):.2f} %\n"
        )
    cells = {
        "title": markdown("# Assignment A\n\nTwo small residual networks."),
        "imports": code(IMPORTS),
        "seeds": code(SEEDS),
        "data": code(DATA_A, "50000 training images\n"),
        "model": code(source),
        "loop": code(loop),
        "train": code(TRAIN_A, "".join(printed)),
        "store": code(STORE_A, f"Test accuracy: {accuracy_of(net(8, source)):.2f} %\n"),
        "findings": markdown("## Findings\n\n" + "\n".join(f"- {line}" for line in printed)),
        "words": markdown(WORDS),
    }
    return HandedIn(cells, net(8, source))


@lru_cache
def plain_b(source: str = MODEL, loop: str = LOOP) -> HandedIn:
    """Assignment B: the best epoch on validation, stored and loaded again."""
    model = net(8, source)
    cells = {
        "imports": code(IMPORTS),
        "seeds": code(SEEDS),
        "data": code(DATA_B),
        "model": code(source),
        "loop": code(loop),
        "train": code(TRAIN_B),
        "store": code(STORE_B, f"Test accuracy: {accuracy_of(model):.2f} %\n"),
        "discussion": markdown(DISCUSSION),
    }
    return HandedIn(cells, model)


def edited(text: str, *changes: tuple[str, str]) -> str:
    """A text with parts replaced, each of which must be in it."""
    for old, new in changes:
        assert old in text, f"{old!r} is not there"
        text = text.replace(old, new)
    return text


def with_numbers(extra: int) -> str:
    """The model with so many more parameters, which the output depends on."""
    return edited(
        MODEL,
        ("self.drop =", f"self.more = nn.Parameter(torch.zeros({extra}))\n        self.drop ="),
        ("return self.head(x)", "return self.head(x) + self.more.sum() * x[:, :1]"),
    )


def up_to_the_limit(limit: int) -> str:
    """The model with so many parameters in all."""
    return with_numbers(limit - sum(one.numel() for one in net().parameters()))


def untrained() -> nn.Module:
    """The notebook's network as it is built."""
    return namespace(IMPORTS, MODEL)["Net"](8)


def boast() -> str:
    """Findings with the right counts and accuracies that were never reached."""
    return "\n".join(
        f"- width {width}: {sum(one.numel() for one in net(width).parameters()):,} parameters, "
        f"test accuracy {accuracy:.1f} %"
        for width, accuracy in ((6, 97.3), (8, 98.4))
    )


TORCHVISION = """
from torchvision import datasets, transforms
from torch.utils.data import random_split

transform = transforms.ToTensor()
everything = datasets.CIFAR100("data", train=True, download=True, transform=transform)
test = datasets.CIFAR100("data", train=False, download=True, transform=transform)
train, validation = random_split(
    everything, [45000, 5000], generator=torch.Generator().manual_seed(1)
)


class data:
    train, test = train, test
"""

STEADY_LOOP = edited(
    LOOP,
    (
        "torch.optim.Adam(model.parameters(), lr=3e-3)",
        "torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)",
    ),
    (
        "        for x, y in DataLoader(images, batch_size=64, shuffle=True):\n",
        "        loader = DataLoader(images, 64, shuffle=True, num_workers=2, drop_last=True)\n"
        "        for step, (x, y) in enumerate(loader):\n",
    ),
    (
        "            loss = F.cross_entropy(model(x), y)\n            optimizer.zero_grad()\n",
        "            loss = F.nll_loss(model(x).log_softmax(1), y)\n",
    ),
    (
        "            optimizer.step()\n",
        "            nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
        "            if step % 2:\n"
        "                optimizer.step()\n"
        "                optimizer.zero_grad(set_to_none=False)\n"
        "    optimizer.zero_grad()\n"
        "    torch.optim.swa_utils.update_bn(loader, model)\n",
    ),
)

LIBRARY = """
recipe = cifar_lab.Recipe(epochs=2, batch_size=64, optimizer="adam", learning_rate=3e-3)
results = []
for title, width in (("narrow", 6), ("wider", 8)):
    experiment = cifar_lab.Experiment(title, "cifar10", lambda: Net(width), recipe, title)
    results.append(cifar_lab.run(experiment, data=data, out="runs", progress=False))
    print(title, f"{results[-1].parameters:,} parameters, {results[-1].test_accuracy:.2f} %")
"""

HAND_IN = """
folder = cifar_lab.submit(results[-1], assignment="a", iterations=results)
cifar_lab.check_submission(folder)
"""


@lru_cache
def with_the_library() -> HandedIn:
    """Assignment A with `run` and `submit`: the exported model and the manifest are there."""
    figures = {width: accuracy_of(net(width)) for width in (6, 8)}
    sizes = {width: sum(one.numel() for one in net(width).parameters()) for width in (6, 8)}
    printed = "".join(
        f"{title} {sizes[width]:,} parameters, {figures[width]:.2f} %\n"
        for title, width in (("narrow", 6), ("wider", 8))
    )
    cells = {
        "imports": code(IMPORTS),
        "data": code(DATA_A, "50000 training images\n"),
        "model": code(MODEL),
        "train": code(LIBRARY, printed),
        "words": markdown(WORDS),
        "hand in": code(HAND_IN),
    }

    def submit(folder: Path) -> None:
        cifar_lab.submit(
            net(),
            assignment="a",
            dataset="synthetic",
            test_accuracy=figures[8],
            history=[{"epoch": 1, "seconds": 30.5}, {"epoch": 2, "seconds": 29.0}],
            iterations=[
                {"title": title, "parameters": sizes[width], "test_accuracy": figures[width]}
                for title, width in (("narrow", 6), ("wider", 8))
            ],
            notebook=folder / "notebook.ipynb",
            out=folder,
        )

    return HandedIn(cells, None, change=submit)


def with_torchvision() -> HandedIn:
    """Assignment B with torchvision's dataset, a split by numbers, and another loop."""
    base = plain_b(loop=STEADY_LOOP)
    return base.with_cell("data", source=TORCHVISION.strip())


def with_a_table() -> HandedIn:
    """Assignment A with its figures in a table, rounded, in place of a list."""
    base = plain_a()
    rows = []
    for line in base.cells["train"].printed.splitlines():
        name, _, rest = line.partition(":")
        count, _, accuracy = rest.partition(" parameters, test accuracy ")
        rows.append(f"| {name} | {count.strip()} | 1.234 | {float(accuracy.split()[0]):.1f} |")
    head = "| network | parameters | loss | test accuracy % |\n|---|---|---|---|\n"
    return base.with_cell("findings", markdown("## Findings\n\n" + head + "\n".join(rows)))


def as_unpacked() -> HandedIn:
    """Assignment A as an archive of the working folder, its weights those of a wrapped model."""

    def wrap(folder: Path) -> None:
        inside = folder / "assignment A"
        weights = torch.load(folder / "weights.pt", weights_only=True)
        weights = {f"module.{name}": tensor for name, tensor in weights.items()}
        torch.save(weights, folder / "weights.pt")
        (inside / "runs").mkdir(parents=True)
        shutil.copy(folder / "notebook.ipynb", inside / "runs")
        for name in ("notebook.ipynb", "weights.pt"):
            (folder / name).rename(inside / name)
        (folder / "__MACOSX").mkdir()

    return replace(plain_a(), change=wrap)


def among_several() -> HandedIn:
    """Assignment A: its network is one of several in a dict, and stored on Colab's Drive."""
    base = plain_a()
    accuracies = {width: accuracy_of(net(width)) for width in (6, 8)}
    store = """
drive.mount("/content/drive")
folder = "/content/drive/MyDrive/course/a"
torch.save(models[8].state_dict(), f"{folder}/weights.pt")
torch.save(models[8].state_dict(), "/content/drive/MyDrive/weights.pt")
"""
    printed = f"Test set: loss: 0.9, Accuracy: {20 * accuracies[8]:.0f}/2000\n"
    if accuracies[6] < accuracies[8]:
        printed += f"Test accuracy of width 6: {accuracies[6] / 100:.4f}, loss 0.9\n"
    imports = base.cells["imports"].source + "\nfrom google.colab import drive"
    cells = base.with_cell("imports", source=imports).with_cell("store", source=store)
    return cells.with_cell("store", printed=printed)


def on_a_gpu() -> HandedIn:
    """Assignment A by a notebook that asks nobody whether there is a GPU."""
    base = plain_a(loop=LOOP.replace("in DataLoader(", "in on_gpu("))
    helpers = """
device = torch.device("cuda")
print(torch.cuda.get_device_name(0))
weights = torch.ones(10, device="cuda")


def on_gpu(*arguments, **options):
    for x, y in DataLoader(*arguments, **options):
        yield x.cuda(non_blocking=True), y.to(device)
"""
    base = base.with_cell("imports", source=base.cells["imports"].source + helpers)
    return base.edited("train", "Net(width)", 'torch.compile(Net(width).to("cuda"))')


def chosen() -> HandedIn:
    """Assignment A: the better one on test images of two trainings of one network is handed in."""
    train = """
models = {}
for rate in (3e-3, 1e-3):
    torch.manual_seed(0)
    models[rate] = fit(Net(8), data.train, epochs=2, rate=rate)
    size = sum(p.numel() for p in models[rate].parameters())
    reached = accuracy(models[rate], data.test)
    print(f"rate {rate}: {size:,} parameters, test accuracy {reached:.2f} %")
"""
    reached = accuracy_of(net(8))
    printed = "".join(
        f"rate {rate}: 2,266 parameters, test accuracy {reached - less:.2f} %\n"
        for rate, less in ((0.003, 0), (0.001, 3))
    )
    loop = LOOP.replace("images, epochs):", "images, epochs, rate):").replace("lr=3e-3", "lr=rate")
    base = plain_a(loop=loop).with_cell("train", source=train, printed=printed)
    pick = "max(models.values(), key=lambda one: accuracy(one, data.test))"
    base = base.edited("store", "models[8]", pick)
    return base.with_cell("findings", markdown("## Findings\n\n" + printed.replace("\n", "\n\n")))


CORRECT: dict[str, tuple[str, Callable[[], HandedIn]]] = {
    "an own class and loop in a plain notebook": ("a", plain_a),
    "the library's run and submit": ("a", with_the_library),
    "a table of findings": ("a", with_a_table),
    "the better of two trainings, chosen on test images": ("a", chosen),
    "a GPU taken for granted": ("a", on_a_gpu),
    "a network of several, on Drive": ("a", among_several),
    "an unpacked archive with a wrapped model's weights": ("a", as_unpacked),
    "one parameter below the limit": ("b", lambda: plain_b(up_to_the_limit(999_999))),
    "the best epoch on validation": ("b", plain_b),
    "torchvision, a split by numbers, accumulated gradients, SGD": ("b", with_torchvision),
}
