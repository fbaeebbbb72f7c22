"""The fully connected network that assignment A starts from."""

from __future__ import annotations

from torch import Tensor, nn


class SimpleMLP(nn.Module):
    """Two linear layers on the flattened image (assignment A).

    Every pixel has a separate weight to every hidden unit, so a pattern that was learnt in one
    corner has to be learnt again in another.

    Args:
        input_dim: The number of values in an image, 3 x 32 x 32 = 3072.
        hidden_dim: The number of units in the hidden layer.
        num_classes: The number of logits per image.
    """

    def __init__(self, input_dim: int = 3072, hidden_dim: int = 100, num_classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(input_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        return self.layers(images)
