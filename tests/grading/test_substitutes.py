"""Substitutes in a grading run: for a GPU, for Colab and Kaggle, and for downloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cifar_lab.grading.sandboxed.no_gpu import mentions_accelerator


def run(script: str, folder: Path) -> str:
    """Run a script in a process of its own, since it changes modules; return what it printed."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


# Each block is run with and without a pretended GPU; `assert` where a result is known.
CALLS = """
drawn = torch.Generator(device="cuda").manual_seed(1)
assert isinstance(drawn, torch.Generator)

assert isinstance(torch.default_generator, torch.Generator) and not isinstance(3, torch.Generator)

of_gpu = torch.rand(3, generator=torch.Generator("cuda").manual_seed(5), device="cuda")
assert torch.equal(of_gpu, torch.rand(3, generator=torch.Generator().manual_seed(5)))

begin = torch.cuda.Event(enable_timing=True)
end = torch.cuda.Event(True)
begin.record()
time.sleep(0.01)
end.record()
torch.cuda.synchronize()
assert begin.elapsed_time(end) >= 10

properties = torch.cuda.get_device_properties(0)
assert properties.total_memory > 0 and properties.name and properties.major

assert torch.cuda.get_device_capability() >= (7, 0) and torch.cuda.get_device_name(0)
assert torch.cuda.current_device() == 0

assert torch.normal(0.0, 1.0, (2,), device="cuda").device.type == "cpu"

assert torch.ones(3).new_zeros(3, device="cuda").tolist() == [0, 0, 0]

assert torch.ones(3).to(0).tolist() == [1, 1, 1] and torch.ones(2, device=0).device.type == "cpu"

assert torch.ones(3).to("mps", torch.float64).dtype is torch.float64
assert torch.ones(3).to(torch.device("cuda:1"), dtype=torch.float64).dtype is torch.float64

free, total = torch.cuda.mem_get_info()
assert 0 < free <= total
assert f"{torch.cuda.max_memory_allocated() / 2**20:.1f}" == "0.0"

x = torch.ones(3).cuda(non_blocking=True).cuda(0).pin_memory()
assert x.type(torch.cuda.FloatTensor).tolist() == [1, 1, 1]
assert x.type("torch.cuda.FloatTensor").tolist() == [1, 1, 1]

torch.zeros(3, pin_memory=True)
torch.tensor([1], device="mps:0")
torch.from_numpy(np.ones(2)).to("xpu")

layer = nn.Linear(3, 4, device="cuda").cuda().to(0).to("mps")
layer.to(device="cuda:0", dtype=torch.float64)
assert layer.weight.dtype is torch.float64

nn.LSTM(3, 4).cuda()
nn.Linear(2, 2).to_empty(device="cuda")
assert torch.device("cuda:1").index == 1

assert nn.DataParallel(nn.Identity(), device_ids=[0, 1]).cuda()(torch.ones(2)).tolist() == [1, 1]

assert list(nn.DataParallel(nn.Linear(2, 2)).state_dict()) == ["module.weight", "module.bias"]

places = ["cuda", 0, torch.device("cuda:1"), {"cuda:0": "cuda:1"}, None]
places.append(lambda storage, location: storage)
for place in places:
    file = io.BytesIO()
    torch.save({"a": torch.ones(2), "rng": torch.cuda.get_rng_state()}, file)
    file.seek(0)
    assert torch.load(file, map_location=place)["a"].tolist() == [1, 1]

stream = torch.cuda.Stream()
torch.cuda.current_stream().wait_stream(stream)
stream.record_event().synchronize()
torch.ones(2, device="cuda").record_stream(stream)

with torch.cuda.stream(torch.cuda.Stream()), torch.cuda.device(0):
    torch.cuda.set_device(0)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()

torch.cuda.manual_seed_all(0)
torch.manual_seed(3)
torch.cuda.nvtx.range_push("step")
torch.cuda.nvtx.range_pop()
torch.cuda.memory.empty_cache()
torch.cuda.what_comes_next(3)

with torch.random.fork_rng():
    torch.rand(1)

torch.set_default_device("cuda")
assert torch.zeros(2).device.type == "cpu"
torch.set_default_device(None)

with torch.device("cuda"):
    assert torch.zeros(2).device.type == "cpu"

torch.mps.empty_cache()
torch.mps.synchronize()
torch.mps.current_allocated_memory()
torch.backends.mps.is_built()
torch.backends.cudnn.version()

a = torch.ones(2, requires_grad=True)
a.register_hook(lambda g: g * torch.full((2,), 3.0, device="cuda"))
(a * 2).sum().backward()
assert a.grad.tolist() == [6, 6]

again = lambda x: x * torch.ones(2).to("cuda")
x = torch.ones(2, requires_grad=True)
torch.utils.checkpoint.checkpoint(again, x, use_reentrant=False).sum().backward()

filled = lambda n: torch.full((1,), n, device="cuda").item()
assert list(ThreadPoolExecutor(2).map(filled, range(3))) == [0, 1, 2]

torch.export.export(nn.Linear(2, 2).cuda(), (torch.zeros(2, 2),))
torch.jit.script(nn.Linear(2, 2).cuda())

rows = TensorDataset(torch.ones(4, 2))
list(DataLoader(rows, batch_size=2, shuffle=True, generator=torch.Generator("cuda")))

with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
    torch.ones(2, device="cuda")

torch.einsum("bc,cd->bd", torch.ones(2, 2), torch.ones(2, 2))
torch.meshgrid(torch.ones(2), torch.ones(2), indexing="ij")

try:
    pass
except torch.cuda.OutOfMemoryError:
    pass
"""

GPU = """
import io, json, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np, torch, torch.utils.checkpoint
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, TensorDataset
from cifar_lab.grading.sandboxed import no_gpu

kept = {{name: vars(torch)[name] for name in ("load", "Generator", "set_default_device")}}
cuda = dict(vars(torch.cuda))


def train(device, mixed):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).to(device)
    optimizer = torch.optim.Adam(net.parameters())
    scaler = torch.amp.GradScaler(device) if mixed else torch.amp.GradScaler(enabled=False)
    old = torch.cuda.amp.GradScaler()
    old.load_state_dict(old.state_dict())
    for step in range(3):
        images, labels = torch.rand(5, 3, 8, 8).to(device), torch.arange(5).to(device)
        with torch.autocast(device, dtype=torch.float16, enabled=mixed):
            loss = F.cross_entropy(net(images), labels)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
    with torch.cuda.amp.autocast(), torch.autocast("cuda", dtype=torch.bfloat16):
        return net(images).detach().cpu().numpy().tolist()


failed = []
expected = train("cpu", False)
for pretend in (False, True):
    with no_gpu.replaced_by_cpu(pretend=pretend):
        assert torch.cuda.is_available() is torch.backends.cudnn.is_available() is pretend
        assert torch.backends.mps.is_available() is pretend
        assert torch.cuda.device_count() == int(pretend)
        assert train("cuda", True) == train("mps", True) == expected
        for call in {calls!r}.strip().split("\\n\\n"):
            try:
                exec(call, globals())
            except Exception as error:
                failed.append([pretend, call, repr(error)])
assert all(vars(torch)[name] is value for name, value in kept.items())
assert all(vars(torch.cuda)[name] is value for name, value in cuda.items() if callable(value))
assert "__getattr__" not in vars(torch.cuda)
print(json.dumps(failed))
"""


def test_a_gpu_by_name_is_the_cpu_in_any_call_and_leaves_no_trace(tmp_path):
    printed = run(GPU.format(calls=CALLS), tmp_path)
    assert json.loads(printed.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("source", "asks"),
    [
        ("assert torch.cuda.is_available()", True),
        ("if not torch.backends.mps.is_available(): raise SystemError", True),
        ("from torch.cuda import is_available", True),
        ("!nvidia-smi", True),
        ("device = torch.device('cuda')\nmodel.to(device)", False),
        ("print('nothing')", False),
    ],
)
def test_code_that_asks_for_a_gpu_is_known(source, asks):
    assert mentions_accelerator(["import torch", source]) is asks


PLATFORMS = """
import getpass, importlib.metadata, os, sys, types
from pathlib import Path
from cifar_lab.grading.sandboxed import platforms

platforms.imitate("9.8.7")
import google.protobuf  # a package that was installed beside it
import google.colab, google.colab._message.anything
from google.colab import auth, drive, files, output, userdata
from google.colab.patches import cv2_imshow
from kaggle_secrets import UserSecretsClient
import kaggle_datasets

assert "google.colab" in sys.modules and google.protobuf.here
drive.mount("/content/drive"), auth.authenticate_user(), cv2_imshow(None)
assert files.upload() == {}
with output.use_tags("some"):
    pass
try:
    key = userdata.get("WANDB")
except userdata.SecretNotFoundError:
    raise
assert key == UserSecretsClient().get_secret("WANDB") == getpass.getpass() == "0" * 40
assert input("How many? ") == "1"
try:
    import kaggle_helper
    raise AssertionError
except ModuleNotFoundError:
    pass
assert importlib.metadata.version("cifar-lab") == "9.8.7"
assert importlib.metadata.version("torch")[0].isdigit()

here = os.getcwd()
assert platforms.moved("x = '/content/a' + '/kaggle/working/b'\\n!cp /kaggle/input/c /content") == (
    f"x = '{here}/a' + '{here}/b'\\n!cp {here}/c {here}")
for text in ("f'{x}/content/a'", "http://a/content/b", "/content-b", "/contents", "my/content/a"):
    assert platforms.moved(text) == text
named = ["torch.save(x, '/kaggle/working/kept/w.pt')", "DIR = '/content/drive/MyDrive/a'"]
platforms.make_folders(named)
assert Path("kept").is_dir() and Path("drive/MyDrive/a").is_dir()
os.makedirs("kept")  # as a notebook does that finds nothing on its own machine
Path("drive/MyDrive/a").mkdir()
for again in (lambda: os.mkdir("kept"), lambda: Path("drive").mkdir()):
    try:
        again()
        raise AssertionError("a folder was made twice")
    except FileExistsError:
        pass
platforms.run_commands("", "mkdir made\\necho here > made/file\\nfalse")
assert Path("made/file").read_text() == "here\\n"
"""


def test_colab_kaggle_and_questions_are_answered(tmp_path):
    protobuf = tmp_path / "google" / "protobuf"
    protobuf.mkdir(parents=True)
    (protobuf / "__init__.py").write_text("here = True\n")
    run(PLATFORMS, tmp_path)


DOWNLOADS = """
import os, pickle, sys, tarfile, urllib.request
from pathlib import Path
import numpy as np, torch
from cifar_lab.grading.sandboxed import downloads

draws = np.random.default_rng(0)
arrays = {}
for part, count in (("train", 50), ("test", 20)):
    arrays[f"{part}_images"] = draws.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    arrays[f"{part}_labels"] = np.arange(count) % 10
names = tuple("abcdefghij")
assert "torchvision" not in sys.modules
downloads.install(arrays, names)


def images(rows):
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


# Read by hand, from wherever it should be, in both ways to read a pickle of Python 2.
with open("../input/cifar10-python/cifar-10-batches-py/data_batch_2", "rb") as file:
    batch = pickle.load(file, encoding="bytes")
assert np.array_equal(images(batch[b"data"]), arrays["train_images"][10:20])
assert batch[b"labels"] == list(range(10)) and batch[b"batch_label"] == b"training batch 2 of 5"
with Path("deep/in/cifar-10-batches-py/test_batch").open("rb") as file:
    batch = pickle.load(file, encoding="latin1")
assert np.array_equal(images(batch["data"]), arrays["test_images"])
with open(file="cifar-10-batches-py/batches.meta", mode="rb") as file:
    assert pickle.load(file, encoding="bytes")[b"label_names"] == [name.encode() for name in names]
with open("x/cifar-100-python/train", "rb") as file:
    batch = pickle.load(file, encoding="bytes")
assert batch[b"fine_labels"] == arrays["train_labels"].tolist()
assert len(batch[b"coarse_labels"]) == 50
assert os.path.isdir("a/cifar-10-batches-py/")
assert Path("b/cifar-10-batches-py/data_batch_5").exists()
assert len([name for name in os.listdir("cifar-10-batches-py") if "batch_" in name]) == 5
assert not os.path.exists("cifar-10-batches-py/data_batch_6")
assert not os.path.exists("cifar-10")
try:
    open("nowhere/cifar-10-python.tar.gz", "wb")
    raise AssertionError("written over")
except FileNotFoundError:
    pass

# Downloaded, and unpacked.
page = "https://www.cs.toronto.edu/~kriz"
for address in (f"{page}/cifar-10-python.tar.gz", "http://x.org/cifar-100-python.tar.gz"):
    path, _ = urllib.request.urlretrieve(address, "got.tar.gz")
    with tarfile.open(path, "r:gz") as archive:
        archive.extractall("unpacked")
torch.hub.download_url_to_file("https://x.org/cifar-10-python.tar.gz", "hub.tar.gz", progress=False)
assert Path("unpacked/cifar-10-batches-py/data_batch_1").is_file()
assert Path("unpacked/cifar-100-python/meta").is_file()

from torchvision import models
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import download_and_extract_archive

download_and_extract_archive(CIFAR10.url, "by_torchvision", md5=CIFAR10.tgz_md5)
assert os.listdir("by_torchvision/cifar-10-batches-py")
for kind in (CIFAR10, CIFAR100):
    train, test = kind("data", download=True), kind(root="data", train=False, transform=np.asarray)
    assert np.array_equal(train.data, arrays["train_images"])
    assert train.targets[11] == 1 and train.train
    image, label = test[3]
    assert np.array_equal(image, arrays["test_images"][3]) and label == 3
    assert test.classes == list(names) and test.class_to_idx["c"] == 2 and "Test" in repr(test)
    train.data[:] = 0
    assert arrays["train_images"].any()

# Weights that are none leave the network as it was drawn.
torch.manual_seed(0)
drawn = models.squeezenet1_1().state_dict()
for make in (
    lambda: models.squeezenet1_1(weights="DEFAULT"),
    lambda: models.squeezenet1_1(weights=models.SqueezeNet1_1_Weights.IMAGENET1K_V1),
    lambda: models.squeezenet1_1(pretrained=True),
    lambda: torch.hub.load("pytorch/vision:v0.10.0", "squeezenet1_1", pretrained=True),
):
    torch.manual_seed(0)
    made = make().state_dict()
    assert all(torch.equal(made[name], drawn[name]) for name in drawn)
weights = torch.hub.load_state_dict_from_url("https://x.org/w.pth", progress=False)
weights.pop("fc.weight"), weights["conv1.weight"]
del weights["fc.bias"]
layer = torch.nn.Linear(2, 2)
layer.load_state_dict(weights["model"])
layer.load_state_dict({name: value for name, value in weights.items() if "fc" not in name})
stored = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
layer.load_state_dict(stored)
assert layer.weight.tolist() == [[1, 1], [1, 1]]
try:
    layer.load_state_dict({"weight": torch.ones(2, 2)})
    raise AssertionError("weights that don't fit were taken")
except RuntimeError:
    pass

from timm.models import create
assert create()
"""


def test_downloads_come_from_the_fake_images(tmp_path):
    timm = tmp_path / "timm" / "models"
    timm.mkdir(parents=True)
    (timm.parent / "__init__.py").write_text("")
    (timm / "_builder.py").write_text("def load_pretrained(model, **options):\n    raise OSError\n")
    (timm / "__init__.py").write_text(
        "from torch import nn\nfrom ._builder import load_pretrained\n\n\ndef create():\n"
        "    model = nn.Linear(2, 2)\n    load_pretrained(model, num_classes=2)\n    return model\n"
    )
    printed = run(DOWNLOADS, tmp_path)
    said = [line for line in printed.splitlines() if "keeps its random initial values" in line]
    assert len(said) == 3  # once for each of squeezenet1_1, w.pth and timm's
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written < 10 * 2**20


# Entry points through which a notebook gets images, each of which must be given the fake ones:
# "used" tells how often the fake test set was evaluated on by then.
ENTRY_POINTS = """
    import torch
    from cifar_lab import Recipe, evaluate, fit, load, load_or_synthetic, run, test_accuracy
    from cifar_lab.cli.main import main
    from cifar_lab.grading.sandboxed import fake_images
    import cifar_lab

    fake_images.install(NUM_CLASSES, 0, "short")
    fake = load(NAME)
    mine = torch.from_numpy(fake_images.draw(NUM_CLASSES, 0)["test_images"]).permute(0, 3, 1, 2)
    assert torch.equal(fake.test.images, mine) and fake.test.dataset == NAME
    assert cifar_lab.load(NAME) is load_or_synthetic(NAME) is fake

    def used():
        count, fake.test.uses.count = fake.test.uses.count, 0
        return count

    model = cifar_lab.build_model("tinynet", NUM_CLASSES)
    test_accuracy(model, load(NAME).test)
    assert used() == 1
    if NAME == "cifar100":
        evaluate(model)
        assert used() == 1
    recipe = Recipe(epochs=1, batch_size=500, optimizer="sgd", learning_rate=0.01)
    result = run(EXPERIMENT, recipe=recipe, out="runs", progress=False)
    assert used() == result.test_uses > 0
    main(["evaluate", PRETRAINED])
    assert used() == 1
    try:
        fit(model, [(fake.test.images[:9] / 255, fake.test.labels[:9])], recipe, progress=False)
    except cifar_lab.LeakedTestImagesError:
        print("refused")
"""


@pytest.mark.parametrize(
    ("name", "experiment", "pretrained"),
    [
        ("cifar10", "cifar10-mlp", "cifar10-frontier-tiny"),
        pytest.param(
            *("cifar100", "cifar100-tinynet", "cifar100-frontier"), marks=pytest.mark.slow
        ),
    ],
)
def test_every_way_to_the_images_leads_to_the_fake_ones(tmp_path, name, experiment, pretrained):
    classes = {"cifar10": 10, "cifar100": 100}[name]
    given = f"NAME, EXPERIMENT, PRETRAINED = {name!r}, {experiment!r}, {pretrained!r}\n"
    given += f"NUM_CLASSES = {classes}\n"
    out = run(given + textwrap.dedent(ENTRY_POINTS), tmp_path)
    assert out.endswith("refused\n")
