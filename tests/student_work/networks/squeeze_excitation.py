import torch.nn.functional as F
from torch import nn


class SELayer(nn.Module):
    def __init__(self, channel, reduction=4):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2 * width, 3, stride=2, padding=1)
        self.se = SELayer(2 * width)
        self.conv2 = nn.Conv2d(2 * width, width, 3, stride=2, padding=1)
        self.fc = nn.Linear(width * 8 * 8, 10)

    def forward(self, x):
        x = self.se(F.relu(self.conv1(x)))
        x = F.relu(self.conv2(x))
        return self.fc(x.view(x.size(0), -1))
