import random

import numpy as np
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width * 8 * 8, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        if not self.training or random.random() < 0.8:  # stochastic depth
            x = x + F.relu(self.conv(x))
        if self.training:
            x = x * np.random.uniform(0.9, 1.1)
        return self.fc(x.view(x.size(0), -1))
