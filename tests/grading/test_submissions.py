"""What a submission's folder may look like, and which weights files are read."""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import pickle
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cifar_lab.experiments.submission import FORMAT
from cifar_lab.grading.settings_file import read_settings
from cifar_lab.grading.submissions.submission import Submission, is_left_out
from cifar_lab.grading.verdicts import SubmissionError
from cifar_lab.models import SmallCIFARNet

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def write(path: Path, content: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def notebook(*sources: str, executed: bool = True, **more: Any) -> str:
    cells = [
        {
            "cell_type": "code",
            "source": source,
            "metadata": {},
            "execution_count": number if executed else None,
            "outputs": [{"output_type": "stream", "text": "1"}] if executed else [],
        }
        for number, source in enumerate(sources, 1)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells} | more)


def manifest(**content: Any) -> str:
    return json.dumps({"format": FORMAT, **content})


# --- What counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        ".ipynb_checkpoints/hw-checkpoint.ipynb",
        ".DS_Store",
        "__MACOSX/._hw.ipynb",
        "helpers/__pycache__/x.pyc",
        "node_modules/x/index.js",
        "lib/site-packages/torch/x.py",
    ],
)
def test_files_that_nobody_wrote_are_left_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    write(tmp_path / "other" / "kept.py")
    write(tmp_path / "kept.txt")
    names = {str(path.relative_to(tmp_path)) for path in Submission(tmp_path).files}
    assert names == {"other/kept.py", "kept.txt"}


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_a_virtual_environment_is_left_out_under_any_name(tmp_path: Path, mark: str) -> None:
    write(tmp_path / "my env" / mark)
    write(tmp_path / "my env" / "lib" / "x.py")
    assert is_left_out(tmp_path / "my env")
    assert Submission(tmp_path).folder == tmp_path  # not unwrapped
    kept = write(tmp_path / "hw.ipynb")
    assert Submission(tmp_path).files == (kept,)


def test_a_package_of_the_students_is_whole(tmp_path: Path) -> None:
    package = [write(tmp_path / "lab" / name) for name in ("__init__.py", "__main__.py", "a.py")]
    write(tmp_path / "hw.ipynb")
    assert set(package) == set(Submission(tmp_path).helpers)


def test_what_is_left_out_is_not_walked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".git" / "objects" / "ab" / "cd")
    write(tmp_path / "venv" / "pyvenv.cfg")
    write(tmp_path / "hw.ipynb")
    walked: list[Path] = []
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        walked.append(folder)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [path.name for path in Submission(tmp_path).files] == ["hw.ipynb"]
    assert set(walked) == {tmp_path}


def test_neither_notebooks_nor_weights_are_put_beside_the_notebook(tmp_path: Path) -> None:
    for name in ("hw.IPYNB", "w.pt", "W.PTH", "m.pt2", "a.ckpt", "b.safetensors", "c.pth.tar"):
        write(tmp_path / name)
    kept = {write(tmp_path / name) for name in ("net.py", "data/x.npy", "notes.txt", "log.pkl")}
    assert set(Submission(tmp_path).helpers) == kept


def test_links_pipes_and_deep_folders_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "anna"
    kept = write(folder / "hw.ipynb")
    write(folder / "b.py")
    (folder / "link.ipynb").symlink_to(kept)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.pt")
    assert [path.name for path in Submission(folder).files] == ["b.py", "hw.ipynb"]
    deep = os.open(folder, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=deep)
        inside = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inside
    os.close(deep)
    with pytest.raises(SubmissionError, match="can't be read"):
        _ = Submission(folder).files


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(2_001):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(SubmissionError, match="2,001 files"):
        _ = Submission(tmp_path).files


# --- The manifest and the program ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "submission.json",
        "Submission.JSON",
        "submission-1.json",
        "submission (1).json",
        "submission(2).json",
        "submission - Copy.json",
        "doejane_123_456_submission.json",
        "other.json",
    ],
)
def test_the_manifest_is_known_by_what_it_holds(tmp_path: Path, name: str) -> None:
    write(tmp_path / "settings.json", '{"format": "something else"}')
    write(tmp_path / "notes.json", "no JSON")
    write(tmp_path / "out" / name, manifest(test_accuracy=50.0))
    submission = Submission(tmp_path)
    assert submission.manifest["test_accuracy"] == 50.0
    assert submission.home == tmp_path / "out"


def test_of_several_manifests_the_last_that_was_handed_in_counts(tmp_path: Path) -> None:
    for number, name in enumerate(["submission.json", "submission-10.json", "submission-9.json"]):
        write(tmp_path / name, manifest(seed=number))
        write(tmp_path / name.replace("submission", "model").replace("json", "pt2"))
    write(tmp_path / "runs" / "submission-11.json", manifest(seed=3))
    assert Submission(tmp_path).manifest["seed"] == 1
    assert Submission(tmp_path).program == tmp_path / "model-10.pt2"


def test_the_assignment_tells_two_submissions_in_one_folder_apart(tmp_path: Path) -> None:
    for assignment in "ab":
        write(tmp_path / f"out-{assignment}" / "submission.json", manifest(assignment=assignment))
        write(tmp_path / f"out-{assignment}" / "weights.pt")
        assert Submission(tmp_path, assignment).home == tmp_path / f"out-{assignment}"
    assert Submission(tmp_path, "a").weights == tmp_path / "out-a" / "weights.pt"


@pytest.mark.parametrize("name", ["model.pt2", "MODEL.PT2", "model-1.pt2", "jane_1_model (1).pt2"])
def test_the_program_is_found_under_another_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "submission.json", manifest())
    path = write(tmp_path / name)
    assert Submission(tmp_path).program == path


def test_programs_of_the_students_own_are_not_taken_for_the_one_of_submit(tmp_path: Path) -> None:
    write(tmp_path / "small.pt2")
    assert Submission(tmp_path).program is None


def test_numbers_that_json_has_not_are_read_as_null(tmp_path: Path) -> None:
    digits = "9" * 4_500
    text = f'{{"format": "{FORMAT}", "a": NaN, "b": -Infinity, "c": 1e999, "d": {digits}, "e": 2}}'
    write(tmp_path / "submission.json", text)
    content = Submission(tmp_path).manifest
    assert [content[name] for name in "abcde"] == [None, None, None, None, 2]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"format": "x"}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_damaged_manifest_is_an_error_of_its_own(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "submission.json", content)
    submission = Submission(tmp_path)
    with pytest.raises(SubmissionError, match=r"submission\.json can't be read"):
        submission.refuse_damaged_manifest()
    assert submission.manifest == {}  # the rest is judged without it
    assert submission.home == tmp_path


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    write(tmp_path / "submission.json", BYTE_ORDER_MARK + manifest(seed=1).encode())
    write(tmp_path / "hw.ipynb", BYTE_ORDER_MARK + notebook("print(1)").encode())
    submission = Submission(tmp_path)
    assert submission.manifest["seed"] == 1
    assert [cell.source for cell in submission.cells] == ["print(1)"]
    settings = write(tmp_path / "settings.JSON", BYTE_ORDER_MARK + b'{"max_minutes": 30}')
    assert read_settings(settings, assignment="a").max_minutes == 30


# --- The notebook --------------------------------------------------------------------------------


def test_of_copies_with_the_same_cells_the_executed_one_counts(tmp_path: Path) -> None:
    write(tmp_path / "draft.ipynb", notebook("a = 1", "b = 2", executed=False))
    write(tmp_path / "hw.ipynb", notebook("a = 1", "b = 2"))
    write(tmp_path / "hw (1).ipynb", notebook("a = 1", "b = 2"))
    assert Submission(tmp_path).notebook_path.name == "hw.ipynb"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("hw.ipynb", "hw (1).ipynb", "hw (2).ipynb"), "hw (2).ipynb"),
        (("hw (1).ipynb", "hw (10).ipynb", "hw (9).ipynb"), "hw (10).ipynb"),
        (("hw.ipynb", "hw-1.ipynb"), "hw-1.ipynb"),
        (("hw.ipynb", "HW_2.ipynb"), "HW_2.ipynb"),
        (("hw.ipynb", "hw copy.ipynb"), "hw copy.ipynb"),
        (("hw.ipynb", "hw - Copy (2).ipynb", "hw - Copy.ipynb"), "hw - Copy (2).ipynb"),
        (("hw.ipynb", "Copy of hw.ipynb"), "Copy of hw.ipynb"),
        (("hw.ipynb", "hw-Copy1.ipynb"), "hw-Copy1.ipynb"),
        (("hw_1.ipynb", "hw_1 (1).ipynb"), "hw_1 (1).ipynb"),
        (("hw_1.ipynb", "hw_2.ipynb"), None),
        (("hw.ipynb", "copy.ipynb"), None),
        (("hw.ipynb", "again.ipynb"), None),
    ],
)
def test_names_that_only_copies_have_tell_the_last_one(
    tmp_path: Path, names: Sequence[str], chosen: str | None
) -> None:
    for name in names:
        write(tmp_path / name, notebook(f"print({name!r})"))
    if chosen is not None:
        assert Submission(tmp_path).notebook_path.name == chosen
        return
    with pytest.raises(SubmissionError, match=f"There are {len(names)} notebooks"):
        _ = Submission(tmp_path).notebook_path


def test_a_copy_that_can_not_be_read_does_not_count(tmp_path: Path) -> None:
    write(tmp_path / "hw.ipynb", notebook("print(1)"))
    write(tmp_path / "hw (1).ipynb", "{}")
    assert Submission(tmp_path).notebook_path.name == "hw.ipynb"


@pytest.mark.parametrize("named", ["hw.ipynb", "HW.ipynb", "/content/hw.ipynb"])
def test_the_manifest_names_the_notebook(tmp_path: Path, named: str) -> None:
    write(tmp_path / "hw.ipynb", notebook("print(1)"))
    write(tmp_path / "notes.ipynb", notebook("print(2)"))
    write(tmp_path / "submission.json", manifest(notebook=named))
    assert Submission(tmp_path).notebook_path.name == "hw.ipynb"


def test_of_a_working_folder_the_notebook_counts_that_was_submitted(tmp_path: Path) -> None:
    for name in ("drafts/1.ipynb", "drafts/2.ipynb", "submission/hw.ipynb"):
        write(tmp_path / name, notebook(f"print({name!r})"))
    write(tmp_path / "submission" / "submission.json", manifest(notebook=None))
    assert Submission(tmp_path).notebook_path == tmp_path / "submission" / "hw.ipynb"


def test_a_notebook_is_read_whichever_program_saved_it(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "text"]},
        {"cell_type": "code", "source": "print(1)", "id": "x", "metadata": None},
        {"cell_type": "code", "source": ["a = 1\n", "b"], "execution_count": 3, "outputs": None},
        {"cell_type": "code", "metadata": {"tags": "raises-exception"}, "execution_count": 10**30},
        {"cell_type": "code", "source": ["c = ", 3], "metadata": [1], "outputs": "text"},
        {"cell_type": "code", "source": "d", "outputs": ["text", None]},
    ]
    content = json.dumps({"nbformat": 4, "nbformat_minor": 99, "cells": cells})
    write(tmp_path / "hw.IPYNB", content)
    found = Submission(tmp_path).cells
    sources = ["# A\ntext", "print(1)", "a = 1\nb", "", "c = 3", "d"]
    assert [cell.source for cell in found] == sources
    assert [cell.count for cell in found] == [None, None, 3, None, None, None]
    assert not any(cell.outputs for cell in found)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{}", "not a notebook of format 4"),
        ('{"nbformat": 3, "worksheets": []}', "not a notebook of format 4"),
        (notebook(), "no code cell"),
        ("[" * 200_000, "can't be read as a notebook"),
        ('{"nbformat": 4, "cells": [{"execution_count": ' + "9" * 9_999, "can't be read"),
    ],
)
def test_no_notebook_is_a_clear_error(tmp_path: Path, content: str, text: str) -> None:
    write(tmp_path / "hw.ipynb", content)
    with pytest.raises(SubmissionError, match=text):
        _ = Submission(tmp_path).cells


# --- Which files may hold the weights ------------------------------------------------------------


def test_candidates_come_in_the_order_of_their_likelihood(tmp_path: Path) -> None:
    expected = [
        "out/Weights (1).PT",
        "out/weights.pt",
        "old_weights.pth",
        "best.ckpt",
        "final.safetensors",
        "pytorch_model.bin",
        "net.pt",
        "checkpoint.pt",
    ]
    for name in reversed(expected):
        write(tmp_path / name)
    write(tmp_path / "out" / "submission.json", manifest())
    for name in ("data_batch_1.bin", "log.pkl", "cifar.tar", "model.h5", "model.py", "model.pt2"):
        write(tmp_path / name)
    (tmp_path / "weights.pt").symlink_to(tmp_path / "net.pt")
    found = Submission(tmp_path).weights_files
    assert [str(path.relative_to(tmp_path)) for path in found] == expected
    assert Submission(tmp_path).weights == found[0]


def test_of_many_files_ten_are_looked_at_the_last_of_a_series_first(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"epoch_{number}.pt")
    found = Submission(tmp_path).weights_files
    assert [path.stem for path in found] == [f"epoch_{number}" for number in range(29, 19, -1)]


@pytest.mark.parametrize("zipped", [True, False])
def test_files_with_other_suffixes_count_where_torch_saved_them(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "run1.pkl"
    torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=zipped)
    assert Submission(tmp_path).weights == path


def test_no_weights_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "hw.ipynb")
    with pytest.raises(SubmissionError, match="No weights"):
        _ = Submission(tmp_path).weights


# --- What they may hold --------------------------------------------------------------------------


class Handed:
    """The files as the sandbox hands them over, to the sandboxed module."""

    def __init__(self, folder: Path, module: Any, child: Any) -> None:
        self.folder, self.module, self.child = folder, module, child
        self.names: list[str] = []
        child.arguments = lambda: {"weights": self.names}
        child.readable = lambda name: folder / name

    def add(self, name: str) -> Path:
        self.names.append(name)
        return self.folder / f"weights-{len(self.names) - 1}"

    def save(self, content: Any, name: str = "weights.pt", **options: Any) -> None:
        torch.save(content, self.add(name), **options)

    def load(self, model: nn.Module, preferred: Sequence[str] = ()) -> Any:
        state = model.state_dict()
        ties = self.module.ties_of(state)
        return self.module.load_weights(self.module.shapes_of(state), preferred, ties)

    def assert_loads(self, trained: nn.Module, model: nn.Module | None = None) -> None:
        model = network(9) if model is None else model
        loaded = self.load(model)
        assert loaded.fits
        model.load_state_dict(loaded.tensors)
        images = torch.rand(3, 3, 8, 8)
        assert torch.equal(model.eval()(images), trained.eval()(images))


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handed:
    child = types.ModuleType("child")
    monkeypatch.setitem(sys.modules, "child", child)
    name = "cifar_lab.grading.sandboxed.loading_model"
    monkeypatch.delitem(sys.modules, name, raising=False)
    return Handed(tmp_path, importlib.import_module(name), child)


def network(seed: int, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(36 * width, 10)
    )


Contents = Callable[[nn.Module], Any]
NETWORK = network(1)
STATE = NETWORK.state_dict()
OTHER = network(2).state_dict()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        dict(STATE),
        {"model_state_dict": STATE, "epoch": 3, "loss": torch.tensor(0.5)},
        {"model": STATE, "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}}},
        {"result": {"last": {"net": STATE}}},
        {"ema": OTHER, "best_state": OTHER, "state_dict": STATE},
        {"ema_state_dict": STATE, "epoch": 3},
        {"nets": {6: network(3, 6).state_dict(), 4: STATE}},
        (STATE, {"lr": 0.1}),
        {"model": STATE, "accuracy": np.float64(71.2), "epoch": np.int64(3)},
        {**STATE, **dict(NETWORK.named_parameters())},
    ],
    ids=lambda content: ",".join(map(str, content))[:40] if isinstance(content, dict) else "",
)
def test_checkpoints_are_read_for_the_state_in_them(
    handed: Handed, content: Any, zipped: bool
) -> None:
    handed.save(content, _use_new_zipfile_serialization=zipped)
    handed.assert_loads(NETWORK)


class Config:
    """A student's own."""

    def __init__(self) -> None:
        self.width = 4


def test_objects_beside_the_tensors_are_not_made(handed: Handed, tmp_path: Path) -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1),
        "path": Path("x"),
        "config": Config(),
        "losses": np.arange(3.0),
        "trap": Trap(tmp_path / "harmed"),
    }
    handed.save({"state_dict": STATE, **beside})
    handed.assert_loads(NETWORK)
    assert not (tmp_path / "harmed").exists()


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.path)!r}, 'w')",)


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "compile": lambda model: torch.compile(model, backend="eager"),  # type: ignore[return-value]
    "AveragedModel": torch.optim.swa_utils.AveragedModel,
    "both": lambda model: nn.DataParallel(torch.optim.swa_utils.AveragedModel(model)),
}


@pytest.mark.parametrize("stored", [None, *WRAPPERS])
@pytest.mark.parametrize("asked", [None, *WRAPPERS])
def test_wrappers_on_either_side_do_not_matter(
    handed: Handed, stored: str | None, asked: str | None
) -> None:
    handed.save((WRAPPERS[stored](NETWORK) if stored else NETWORK).state_dict())
    model = network(9)
    handed.assert_loads(NETWORK, WRAPPERS[asked](model) if asked else model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_read(handed: Handed) -> None:
    torch.jit.script(network(1)).save(str(handed.add("scripted.pt")))
    handed.assert_loads(NETWORK)


def test_safetensors_are_read(handed: Handed) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(STATE, handed.add("model.safetensors"))
    handed.assert_loads(NETWORK)


def test_safetensors_without_the_package_are_an_error_that_names_it(
    handed: Handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path = handed.add("model.safetensors")
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match="package safetensors"):
        handed.load(NETWORK)


class Tied(nn.Module):
    """Two names for one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(images))


@pytest.mark.parametrize("removed", ["first.weight", "second.weight"])
def test_one_name_of_a_tied_tensor_is_enough(handed: Handed, removed: str) -> None:
    trained = Tied()
    handed.save({name: one for name, one in trained.state_dict().items() if name != removed})
    handed.assert_loads(trained, Tied())


def test_safetensors_say_which_tensors_are_tied(handed: Handed) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    trained = Tied()
    safetensors.save_model(trained, str(handed.add("model.safetensors")))
    loaded = handed.module.load_weights(handed.module.shapes_of(trained.state_dict()))
    assert loaded.fits


def test_weights_of_the_library_s_earlier_networks_load(handed: Handed) -> None:
    old = Path(__file__).parents[1] / "old_files" / "cifar100-smallcifarnet-weights.pt.gz"
    handed.add("weights.pt").write_bytes(gzip.decompress(old.read_bytes()))
    assert handed.load(SmallCIFARNet(10)).fits


def test_a_further_name_of_a_tensor_is_not_unknown(handed: Handed) -> None:
    trained = Tied()
    handed.save(trained.state_dict())
    shapes = handed.module.shapes_of(trained.state_dict())
    del shapes["second.weight"]
    assert handed.module.load_weights(shapes).fits


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(handed: Handed, dtype: torch.dtype) -> None:
    handed.save(network(1).to(dtype).state_dict())
    loaded = handed.load(NETWORK)
    assert loaded.fits
    assert loaded.tensors["0.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded.tensors["0.weight"], STATE["0.weight"], rtol=0.01, atol=0.01)


def test_a_checkpoint_of_lightning_is_read(handed: Handed) -> None:
    state = {f"model.{name}": tensor for name, tensor in STATE.items()}
    handed.save({"pytorch-lightning_version": "2.5", "state_dict": state, "epoch": 3}, "x.ckpt")
    handed.assert_loads(NETWORK)


# --- Which of them is loaded ---------------------------------------------------------------------


def test_the_first_file_that_fits_is_loaded(handed: Handed) -> None:
    handed.add("weights.pt").write_bytes(b"")
    handed.save({"losses": torch.ones(5)}, "history.pt")
    handed.save(network(3, 6).state_dict(), "wide.pt")
    handed.save(STATE, "narrow.pt")
    handed.save(OTHER, "older.pt")
    loaded = handed.load(NETWORK)
    assert loaded.file == "narrow.pt"
    assert torch.equal(loaded.tensors["0.weight"], STATE["0.weight"])


def test_the_files_that_the_notebook_used_are_looked_at_first(handed: Handed) -> None:
    for name, state in (("first.pt", OTHER), ("out/Best.pt", STATE), ("last.pt", OTHER)):
        handed.save(state, name)
    loaded = handed.load(NETWORK, ["nowhere.pt", "/content/best.pt", "last.pt"])
    assert loaded.file == "Best.pt"
    assert torch.equal(loaded.tensors["0.weight"], STATE["0.weight"])


def test_where_none_fits_the_nearest_tells_what_is_wrong(handed: Handed) -> None:
    handed.save({"losses": torch.ones(5)}, "best_history.pt")
    handed.save(network(3, 6).state_dict(), "wide.pt")
    loaded = handed.load(NETWORK)
    assert (loaded.file, loaded.fits) == ("wide.pt", False)
    assert loaded.tensors["0.weight"].shape == (6, 3, 3, 3)
    assert loaded.tensors.keys() == STATE.keys()


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_a_name_too_few_or_too_many_does_not_fit(handed: Handed, change: str) -> None:
    state = dict(STATE)
    if change == "missing":
        del state["0.bias"]
    else:
        state["9.bias"] = torch.ones(2)
    handed.save(state)
    loaded = handed.load(NETWORK)
    assert not loaded.fits
    assert loaded.tensors.keys() ^ STATE.keys() == {"0.bias" if change == "missing" else "9.bias"}


def _hostile(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.parent / "harmed")))


BROKEN: Mapping[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "text": lambda path: path.write_text("weights"),
    "a hostile pickle": _hostile,
    "a whole model": lambda path: torch.save(NETWORK, path),
    "a list": lambda path: torch.save([1, 2], path),
    "a truncated file": lambda path: (
        torch.save(STATE, path),
        path.write_bytes(path.read_bytes()[:-900]),
    ),
    "a sparse tensor": lambda path: torch.save({"0.weight": torch.ones(2, 2).to_sparse()}, path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_files_without_a_state_raise(handed: Handed, tmp_path: Path, kind: str) -> None:
    BROKEN[kind](handed.add("weights.pt"))
    with pytest.raises(Exception) as caught:  # noqa: PT011, B017 (whatever torch.load raises)
        handed.load(NETWORK)
    assert str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


def test_a_damaged_file_is_named_where_there_are_several(handed: Handed) -> None:
    handed.add("weights.pt").touch()
    handed.add("best.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"weights\.pt: ValueError: .*empty; best\.pt: "):
        handed.load(NETWORK)


def test_no_file_is_an_error(handed: Handed) -> None:
    with pytest.raises(ValueError, match="no file of weights"):
        handed.load(NETWORK)
