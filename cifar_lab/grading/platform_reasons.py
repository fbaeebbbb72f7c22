"""Failures of a cell for a reason of the platform: nobody's fault, and no verdict on the work.

A notebook that asks for a GPU, the network, a login, an answer or a screen, may be right where its
author ran it, and can't run where it is graded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cifar_lab.grading import packages
from cifar_lab.grading.sandboxed.no_gpu import names_accelerator

SHOWN_CHARACTERS = 300
LEFT_OUT = (
    "Instructor: what that cell was needed for is not made; decide by the outputs that the "
    "notebook holds"
)
AS_WELL_WITHOUT = (
    "Nothing is wrong on your side. Where a package only helps (a log, a plot), try ... except "
    "ImportError lets the notebook go on without it."
)
NETWORK_TEXT = re.compile(
    r"name or service not known|temporary failure in name resolution|name resolution|"
    r"network is unreachable|no route to host|max retries exceeded|getaddrinfo|"
    r"failed to establish a new connection|offline mode is enabled|HF_HUB_OFFLINE|"
    r"could(?:n't| not) (?:connect|reach)|can(?:not|'t) (?:reach|connect to) |"
    r"connection (?:refused|error|timed out|aborted)|couldn't find .{0,80} on the hugging ?face|"
    r"not (?:found )?in (?:the )?(?:disk )?cache .{0,80}(?:offline|network|connect)",
    re.IGNORECASE | re.DOTALL,
)
NETWORK_KINDS = re.compile(
    r"(?:URLError|ConnectionError|ConnectTimeout|MaxRetryError|NewConnectionError|"
    r"NameResolutionError|OfflineModeIsEnabled|LocalEntryNotFoundError|ClientConnectorError|"
    r"FileURLRetrievalError|DownloadError)"
)
LOGIN_TEXT = re.compile(
    r"kaggle\.json|kaggle_username|\b401\b.{0,40}\b(?:client error|unauthorized)|"
    r"huggingface-cli login|hf auth login|invalid (?:api[ _-]?key|credentials|token|user token)|"
    r"(?:not|isn't) logged in|api[ _]key (?:not|is not|was not|must)|no api[ _]key|"
    r"authentication (?:failed|required)|could not automatically determine credentials|"
    r"credentials were not found",
    re.IGNORECASE | re.DOTALL,
)
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|USER|CREDENTIAL", re.IGNORECASE)
SCREEN_TEXT = re.compile(
    r"no display name|\$DISPLAY|cannot connect to X server|connect to (?:any )?display|"
    r"interactive framework, as '?headless|rebuild the library with windows, gtk|"
    r"cannot open display|could not load the Qt platform plugin",
    re.IGNORECASE,
)
# Mistakes of the notebook's own, in which a GPU may be named: a name or a device that is none.
OWN_KINDS = frozenset({"AttributeError", "NameError", "TypeError", "IndexError", "SyntaxError"})
OWN_DEVICE = re.compile(r"device string|device type at start", re.IGNORECASE)
DOWNLOADS = re.compile(  # in a line of code that gets a file from elsewhere
    r"\b(?:wget|curl|git\s+clone|gdown|aria2c|unzip|gsutil|kaggle|kagglehub|urlretrieve|urlopen|"
    r"requests\.get|hf_hub_download|snapshot_download|download_url|download_and_extract_archive|"
    r"extract_archive|load_dataset|clone_from|dataset_download\w*)\b|[\"'](?:git|clone)[\"']"
)
LONGEST_LINE = 2_000
MISSING = re.compile(r"No module named '([\w.]+)'|No such file or directory:? '([^'\n]{1,500})'")
MISSING_KINDS = frozenset(
    {"FileNotFoundError", "ModuleNotFoundError", "ImportError", "OSError", "RuntimeError"}
)
WORDS = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*")


@dataclass(frozen=True)
class Reason:
    """A reason of the platform why a cell failed.

    Attributes:
        needs: What the cell needs, as part of a sentence; "" where `seen` says it.
        student: What the student could change, as a sentence.
        instructor: What the instructor may do besides, as the rest of a sentence.
        seen: Sentence in place of the usual one.
    """

    needs: str
    student: str
    instructor: str
    seen: str = ""


NETWORK = Reason(
    "the network, which a run of the grader's does not have",
    "Hand what it downloads in beside the notebook, or let the notebook go on without it: try ... "
    "except around the download.",
    "put the file into the folder and grade again",
)
GPU = Reason(
    "a GPU, which the grading machine does not have",
    "Let the cell run on a CPU as well: what only a GPU can do belongs under `if "
    "torch.cuda.is_available():`.",
    "look at the cell by hand",
)
LOGIN = Reason(
    "a login or a key that only the student has",
    "Let the notebook go on without it (try ... except, or a switch in the first cell), and keep "
    "the key out of the file.",
    "run a copy of the notebook without that cell",
)
ANSWER = Reason(
    "an answer that somebody types; the grader typed 1, or forty zeros for a key",
    "Write the value into a variable in place of input() or getpass().",
    "put the value into a copy of the notebook and grade that",
)
SCREEN = Reason(
    "a screen, which a run of the grader's does not have",
    "Show pictures in the notebook (%matplotlib inline, plt.show()), not in a window.",
    "look at the cell by hand",
)
COMMAND = Reason(
    "a program that is not installed on the grading machine",
    "Do in Python what the program does, or let the notebook go on without it.",
    "install the program and grade again",
)


def reason_of(error: Mapping[str, Any], sources: Sequence[str]) -> Reason | None:
    """Return the reason of the platform for which a cell failed; None where it is the student's.

    What the notebook's own code raises, in whatever words, is the student's.

    Args:
        error: Description of the failure, as `sandboxed.failures` gives it.
        sources: Cells and helper files of the submission.
    """
    kind, text = error["kind"], error["text"]
    package = _package(error, sources)
    if package is not None:
        return package
    if error.get("network") is True or _is_of_download(kind, text, sources):
        return NETWORK
    if error.get("environment") is True and SECRET.search(text):
        return LOGIN
    if error.get("asks") is True:
        return ANSWER
    if error.get("program") is True:
        return GPU if names_accelerator(text) else COMMAND
    if not (error.get("in_library") is True or error.get("in_python") is True):
        return None
    whole = "\n".join([f"{kind}: {text}", *error.get("causes", ())])
    for reason, found in (
        (SCREEN, SCREEN_TEXT.search(whole)),
        (LOGIN, LOGIN_TEXT.search(whole)),
        (NETWORK, NETWORK_TEXT.search(whole) or NETWORK_KINDS.search(whole)),
        (GPU, error.get("in_library") is True and _is_for_want_of_a_gpu(kind, text)),
    ):
        if found:
            return reason
    return None


def _is_for_want_of_a_gpu(kind: str, text: str) -> bool:
    return kind not in OWN_KINDS and names_accelerator(text) and not OWN_DEVICE.search(text)


def _package(error: Mapping[str, Any], sources: Sequence[str]) -> Reason | None:
    """Return that a package is missing here, as an import or a failed `pip install` shows."""
    text = error["text"]
    found = packages.excuse(
        error["kind"], text, sources, in_library=error.get("in_library") is True
    )
    if found is None and error.get("command") is True:
        command = text.partition("returned non-zero")[0]
        installs = list(packages.pip_installs(command))
        missing = [name for name in installs if not packages.is_here(name)]
        if not missing:
            return NETWORK if installs or DOWNLOADS.search(command) else None
        found = packages.sentence(missing[0], missing[0])
    if found is None:
        return None
    sentence, _, instructor = found.partition(packages.INSTRUCTOR)
    return Reason("", AS_WELL_WITHOUT, instructor.rstrip("."), sentence.strip())


def _is_of_download(kind: str, text: str, sources: Sequence[str]) -> bool:
    """Return whether a file or module is missing that the notebook would have downloaded."""
    found = MISSING.search(text)
    if kind not in MISSING_KINDS or found is None:
        return False
    module, path = found.groups()
    names = PurePosixPath(path).parts if path else (module.partition(".")[0],)
    stems = {name.strip("/. ").partition(".")[0].lower() for name in names} - {""}
    for source in sources:
        for line in source.splitlines():
            code = line[:LONGEST_LINE].partition("#")[0].lower()
            words = WORDS.findall(code) if DOWNLOADS.search(code) else ()
            if not stems.isdisjoint(words):
                return True
    return False


def seen(reason: Reason, error: Mapping[str, Any]) -> str:
    """Return the report's sentence on a cell that failed for a reason of the platform."""
    failed = f"{error['kind']}: {error['text'][:SHOWN_CHARACTERS]}"
    cell = f"Cell {error.get('cell')} of {error.get('cells')} code cells"
    needs = reason.seen or f"{cell} needs {reason.needs}."
    return f"{needs} {cell if reason.seen else 'It'} ended with {failed}"


def remedy(reason: Reason) -> str:
    """Return what the student could change, and what the instructor may decide."""
    also = f", or {reason.instructor}" if reason.instructor else ""
    return f"Student: {reason.student} {LEFT_OUT}{also}."
