"""A notebook that fails because of the fake images is run in another way before it is judged."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.grading.attempts import Way, run_fairly
from cifar_lab.grading.sandboxed.seen import image_size, normalisation, preferred_files
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

STEPS = [{"steps": 3}]


def run(
    kind: str | None = None,
    cell: int = 3,
    text: str = "why",
    *,
    shortened: bool = True,
    steps: bool = True,
) -> dict[str, Any]:
    error = None if kind is None else {"kind": kind, "cell": cell, "text": text}
    watch = {"shortened": shortened, "optimizers": STEPS if steps else []}
    return {"answer": {"error": error, "watch": watch}, "arrays": {}}


def attempts(results: dict[Way, Any], source: str = "") -> tuple[Way, Any, list[Way]]:
    asked: list[Way] = []

    def answer(way: Way) -> Any:
        asked.append(way)
        found = results[way]
        if isinstance(found, Exception):
            raise found
        return found

    way, found = run_fairly(answer, [source])
    return way, found["answer"], asked


def test_what_runs_is_run_once() -> None:
    way, answer, asked = attempts({Way(): run()})
    assert asked == [way] == [Way()]
    assert answer["error"] is None


@pytest.mark.parametrize("kind", ["IndexError", "ZeroDivisionError", "RuntimeError"])
def test_what_may_fail_by_few_batches_is_run_on_more(kind: str) -> None:
    way, answer, asked = attempts({Way(): run(kind), Way("long"): run()})
    assert way == Way("long") and answer["error"] is None
    assert asked == [Way(), Way("long")]


def test_where_no_step_was_seen_more_batches_may_bring_one() -> None:
    way, answer, _ = attempts({Way(): run(steps=False), Way("long"): run()})
    assert way == Way("long") and answer["watch"]["optimizers"]


def test_what_fails_at_full_length_too_has_failed() -> None:
    results = {Way(length): run("IndexError") for length in ("short", "long", "full")}
    way, answer, asked = attempts(results)
    assert answer["error"]["kind"] == "IndexError"
    assert len(asked) == 3


@pytest.mark.parametrize(
    "failed", [run("NameError"), run("ImportError"), run("IndexError", shortened=False)]
)
def test_what_no_number_of_batches_changes_is_not_run_again(failed: Any) -> None:
    _, answer, asked = attempts({Way(): failed})
    assert asked == [Way()] and answer["error"] is not None


def test_what_does_not_end_on_more_batches_is_not_decided() -> None:
    timeout = SubmissionError("notebook_runs", "It computed for 600 s.", "")
    with pytest.raises(NotMadeError, match="IndexError: why.*did not end: It computed"):
        attempts({Way(): run("IndexError"), Way("long"): timeout})


@pytest.mark.parametrize("kind", ["AssertionError", "SystemExit", "NameError"])
def test_who_asks_for_a_gpu_is_given_one_in_name(kind: str) -> None:
    pretending = Way(pretend_gpu=True)
    source = "assert torch.cuda.is_available(), 'no GPU'"
    way, answer, _ = attempts({Way(): run(kind, cell=1), pretending: run()}, source)
    assert way == pretending and answer["error"] is None


@pytest.mark.parametrize(
    "text", ["No supported gpu backend found!", "Found no NVIDIA driver", "CUDAAccelerator: CUDA"]
)
def test_who_fails_for_want_of_a_gpu_is_given_one_in_name(text: str) -> None:
    pretending = Way(pretend_gpu=True)
    failed = run("MisconfigurationException", cell=1, text=text)
    way, answer, _ = attempts({Way(): failed, pretending: run()}, 'Trainer(accelerator="gpu")')
    assert way == pretending and answer["error"] is None


def test_where_a_gpu_in_name_ends_the_process_it_counts_how_it_ran_without() -> None:
    crash = SubmissionError("notebook_runs", "It ended by a signal.", "")
    results = {Way(): run("NameError", text="no GPU"), Way(pretend_gpu=True): crash}
    way, answer, _ = attempts(results)
    assert way == Way() and answer["error"]["kind"] == "NameError"


def test_the_way_in_which_a_notebook_comes_further_counts() -> None:
    pretending = Way(pretend_gpu=True)
    results = {
        Way(): run("NameError", cell=5),
        pretending: run("NameError", cell=2),
    }
    way, answer, _ = attempts(results, "torch.cuda.is_available()")
    assert way == Way() and answer["error"]["cell"] == 5


def test_in_one_cell_the_way_that_comes_to_a_later_line_counts() -> None:
    without, pretending = run("AssertionError"), run("ImportError")
    without["answer"]["error"]["line"], pretending["answer"]["error"]["line"] = 2, 5
    results = {Way(): without, Way(pretend_gpu=True): pretending}
    _, answer, _ = attempts(results, "torch.cuda.is_available()")
    assert answer["error"]["kind"] == "ImportError"


def test_a_loader_s_normalisation_follows_from_black_and_white() -> None:
    means, deviations = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    lows = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    highs = [(1 - mean) / deviation for mean, deviation in zip(means, deviations, strict=True)]
    found = normalisation({"normalisation": [lows, highs]})
    assert found is not None
    assert found["mean"] == pytest.approx(means)
    assert found["std"] == pytest.approx(deviations)


@pytest.mark.parametrize(
    "seen",
    [
        None,
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]],
        [[0.0] * 3],
        [[0.0] * 2, [1.0] * 2],
        [[0.0] * 3, [0.0] * 3],
        [[0.0] * 3, [float("nan")] * 3],
        [["0"] * 3, ["1"] * 3],
        [[10**400] * 3, [1] * 3],
        "forged",
    ],
)
def test_images_as_they_are_and_forged_reports_are_no_normalisation(seen: Any) -> None:
    assert normalisation({"normalisation": seen}) is None


@pytest.mark.parametrize(
    ("shape", "size"),
    [([64, 3, 64, 64], 64), ([8, 3, 32, 32], 32), (None, 32), ([8, 3, 64, 48], 32)]
    + [([8, 3, 10**9, 10**9], 32), ("forged", 32), ([8, 1, 64, 64], 32)],
)
def test_a_model_is_looked_at_with_images_of_the_size_that_its_notebook_takes(
    shape: Any, size: int
) -> None:
    assert image_size({"input_shape": shape}) == size


def test_weights_that_were_loaded_last_come_first() -> None:
    files = [["save", "a.pt"], ["save", "b.pt"], ["load", "a.pt"], ["save", "c.pt"]]
    assert preferred_files({"loaded": files}) == ["a.pt", "c.pt", "b.pt"]
    assert preferred_files({}) == []
