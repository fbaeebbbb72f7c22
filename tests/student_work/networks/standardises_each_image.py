import torch
from torch import nn


class Net(nn.Module):
    """Each picture gets zero mean and unit deviation before anything else."""

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 4, stride=4)
        self.norm = nn.GroupNorm(2, width)
        self.fc = nn.Linear(width * 8 * 8, 10)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        flat = x.view(x.size(0), -1)
        flat = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-6)
        x = flat.view_as(x) * self.scale
        x = torch.relu(self.norm(self.conv(x)))
        return self.fc(x.view(x.size(0), -1))
