"""The record of a training run: one line of figures per epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, SupportsIndex, overload

from cifar_lab.utils.frames import data_frame
from cifar_lab.utils.wording import counted


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training run.

    Attributes:
        epoch: The epoch's number, 1 for the first.
        train_loss: The mean of the batches' mean losses, measured while the weights were changing.
        validation_accuracy: The accuracy in percent after the epoch; None without validation
            images.
        test_accuracy: The accuracy in percent after the epoch; None without test images.
        seconds: The wall time of the epoch's training, without the evaluation.
        validation_loss: The mean cross-entropy of the validation images after the epoch, by the
            same weights as the accuracy; None without validation images.
        learning_rate: The learning rate of the epoch's last step, that of the optimizer's first
            parameter group. Records of earlier versions have neither of the two.
    """

    epoch: int
    train_loss: float
    validation_accuracy: float | None
    test_accuracy: float | None
    seconds: float
    validation_loss: float | None = None
    learning_rate: float | None = None

    def __str__(self) -> str:
        parts = [f"epoch {self.epoch:3d}", f"train loss {self.train_loss:.4f}"]
        if self.validation_loss is not None:
            parts.append(f"validation loss {self.validation_loss:.4f}")
        if self.validation_accuracy is not None:
            parts.append(f"validation accuracy {self.validation_accuracy:.2f} %")
        if self.test_accuracy is not None:
            parts.append(f"test accuracy {self.test_accuracy:.2f} %")
        return "   ".join([*parts, f"{self.seconds:.1f} s"])


class History(list[EpochRecord]):
    """The records of a run's epochs: a list that `plots.plot_learning_curves` takes.

    Example:
        >>> import cifar_lab as lab
        >>> first, second = (
        ...     lab.EpochRecord(1, 2.1, 24.0, None, 9.5), lab.EpochRecord(2, 1.8, 31.0, None, 9.4)
        ... )
        >>> lab.History([first, second])
        2 epochs; train loss 1.80; validation accuracy 31.00 % (best: 31.00 % after epoch 2)
    """

    def __repr__(self) -> str:
        if not self:
            return "no epochs"
        parts = [counted(len(self), "epoch"), f"train loss {self[-1].train_loss:.2f}"]
        for kind in ("validation", "test"):
            accuracies = [getattr(record, f"{kind}_accuracy") for record in self]
            measured = [each for each in accuracies if each is not None]
            if not measured:
                continue
            text = f"{kind} accuracy {measured[-1]:.2f} %"
            if kind == "validation":  # the best on the test images is nobody's business
                best = self[accuracies.index(max(measured))]
                text += f" (best: {max(measured):.2f} % after epoch {best.epoch})"
            parts.append(text)
        return "; ".join(parts)

    @overload
    def __getitem__(self, index: SupportsIndex) -> EpochRecord: ...

    @overload
    def __getitem__(self, index: slice) -> History: ...

    def __getitem__(self, index: Any) -> EpochRecord | History:
        found: Any = super().__getitem__(index)
        return History(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:  # typed as list's, which has two overloads
        return History(super().__add__(list(other)))

    def copy(self) -> History:
        """Return a new history of the same records."""
        return History(self)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per epoch and one column per figure.

        Raises:
            ImportError: pandas is not installed.
        """
        return data_frame([asdict(record) for record in self])
