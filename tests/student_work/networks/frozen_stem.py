import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, 2 * width, 4, stride=4)
        for p in self.stem.parameters():
            p.requires_grad = False
        self.conv = nn.Conv2d(2 * width, width, 3, padding=1)
        self.fc = nn.Linear(width * 8 * 8, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.conv(x))
        return self.fc(x.view(x.size(0), -1))
