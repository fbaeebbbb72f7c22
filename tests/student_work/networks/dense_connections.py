import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8, layers=3):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        for i in range(layers):
            setattr(self, f"conv{i}", nn.Conv2d((i + 1) * width, width, 3, padding=1))
        self.layers = layers
        self.fc = nn.Linear((layers + 1) * width, 10)

    def forward(self, x):
        outputs = [F.relu(self.stem(x))]
        for i in range(self.layers):
            outputs.append(F.relu(getattr(self, f"conv{i}")(torch.cat(outputs, 1))))
        x = F.adaptive_avg_pool2d(torch.cat(outputs, 1), (1, 1))
        return self.fc(x.view(x.size(0), -1))
