"""A single run, as `run_process` starts it: python -m cifar_lab.experiments.one_run.

The job comes as the first line of the standard input; when that closes, the run is interrupted.
Events go to the standard output, one JSON object per line; whatever else is printed goes to the
standard error.
"""

from __future__ import annotations

import _thread
import json
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from cifar_lab.experiments.run_process import GRACE, LONGEST_TRACE, Job

if TYPE_CHECKING:
    from cifar_lab.training.progress import Progress


_unwanted = threading.Event()


class Events:
    """The standard output, kept for events: prints of networks and libraries go elsewhere."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: str, **facts: Any) -> None:
        """Write an event."""
        print(json.dumps({"event": event, **facts}), file=self._file, flush=True)

    def after_epoch(self, progress: Progress) -> None:
        """Write the event of an epoch; a callback of `run`."""
        record = progress.record
        accuracy = record.validation_accuracy
        self.send(
            "epoch",
            epoch=record.epoch,
            epochs=progress.epochs,
            accuracy=record.test_accuracy if accuracy is None else accuracy,
            seconds=record.seconds,
            text=str(record),
        )


def main() -> int:
    """Do the run and return the exit status."""
    signal.signal(signal.SIGINT, _interrupt)
    events = Events()
    job = Job.from_line(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_input, daemon=True).start()
    try:
        _run(job, events)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        events.send("error", text=_described(error))
        return 1
    return 0


def _run(job: Job, events: Events) -> None:
    """Do the run."""
    from cifar_lab.data.datasets import load
    from cifar_lab.experiments.run import run

    experiment = pickle.loads(job.experiment)  # noqa: S301 (of the process that started this one)
    data = load(experiment.dataset, job.root)
    events.send("begin", epochs=experiment.recipe.epochs)
    result = run(
        experiment,
        seed=job.seed,
        data=data,
        out=job.out,
        resume=job.resume,
        again=job.again,
        backup=job.backup,
        device=job.device,
        progress=False,
        callback=events.after_epoch,
    )
    done = {"accuracy": result.test_accuracy, "seconds": result.seconds, "views": result.views}
    events.send("done", folder=str(result.folder), **done)


def _watch_input() -> None:
    """Interrupt the run when the process that started it has gone or does not want it any more."""
    while os.read(0, 1024):
        pass
    _unwanted.set()
    _thread.interrupt_main()
    time.sleep(GRACE)
    os._exit(130)  # the main thread is in a computation that does not come to an end


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt a run that is not wanted; Ctrl-C is for the command, which ends its runs itself."""
    if _unwanted.is_set():
        raise KeyboardInterrupt


def _described(error: Exception) -> str:
    """Return the text of an error; of one that is not this package's, with where it came from."""
    from cifar_lab.utils.errors import USER_ERRORS

    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    if isinstance(error, USER_ERRORS) and Path(__file__).parents[1] in raised_in.parents:
        return str(error)
    return f"{type(error).__name__}: {error}\n{traceback.format_exc()[-LONGEST_TRACE:]}"


if __name__ == "__main__":
    sys.exit(main())
