"""A network as a student writes one, to measure what the library does for it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.experiments.catalog import ASSIGNMENT_A_RECIPE, EXPERIMENTS, Experiment


class StudentNet(nn.Module):
    """Layers as attributes, functions in `forward`, `x.view` before the linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 64, kernel_size=3, padding=1)
        self.bn3 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(64 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, 10)."""
        x = self.pool(functional.relu(self.bn1(self.conv1(x))))
        x = self.pool(functional.relu(self.bn2(self.conv2(x))))
        x = self.pool(functional.relu(self.bn3(self.conv3(x))))
        x = x.view(-1, 64 * 4 * 4)
        x = functional.relu(self.fc1(x))
        return self.fc2(x)


STUDENT = Experiment(
    name="student-network",
    dataset="cifar10",
    model=StudentNet,
    recipe=ASSIGNMENT_A_RECIPE,
    title="A student's network",
)
BENCHMARKED: dict[str, Experiment] = {**EXPERIMENTS, STUDENT.name: STUDENT}
"""What can be measured, by name."""
