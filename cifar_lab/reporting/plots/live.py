"""Learning curves that are drawn again in place after each epoch."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from cifar_lab.reporting.plots.common import Curve
from cifar_lab.reporting.plots.curves import draw_curves
from cifar_lab.training.progress import Progress


class LiveCurves:
    """A callback of `fit` and `run` that draws the curves so far, in place, in a notebook.

    Outside a notebook it does nothing: the printed lines tell the same. Each run gets a picture
    of its own.

    Args:
        title: The network's title, which decides its colour; None for the experiment's in `run`,
            and for the name of the model's class in `fit`.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=250, optimizer="adam", learning_rate=1e-3)
        >>> history = lab.fit(
        ...     lab.build_model("mlp"), lab.load("synthetic").train, recipe,
        ...     callback=lab.plots.LiveCurves(), progress=False,
        ... )
    """

    def __init__(self, title: str | None = None) -> None:
        self._title = title
        self._handle: Any = None
        self._run: tuple[int, int] = (0, 0)  # the model and the last epoch that were drawn

    def __call__(self, progress: Progress) -> None:
        """Draw the curves; a picture that fails never ends the training, it gives a warning."""
        if not in_notebook():
            return
        try:
            self._draw(progress)
        except Exception as error:  # of a display that is not ours, after hours of training
            warnings.warn(f"The curves can't be drawn: {error!r}", stacklevel=2)

    def _draw(self, progress: Progress) -> None:
        from IPython.display import display

        title = self._title or progress.title or type(progress.model).__name__
        picture = draw_curves([Curve(title, title, progress.history)], epochs=progress.epochs)
        model, epoch = self._run
        self._run = (id(progress.model), progress.record.epoch)
        if self._handle is None or model != id(progress.model) or epoch >= progress.record.epoch:
            self._handle = display(picture.bundle(), raw=True, display_id=True)
        else:
            self._handle.update(picture.bundle(), raw=True)


def in_notebook() -> bool:
    """Return whether this is a notebook's kernel, which can change what it has shown."""
    ipython = sys.modules.get("IPython")  # a kernel has loaded it
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
