import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv1 = nn.utils.spectral_norm(nn.Conv2d(3, width, 3, stride=2))
        self.conv2 = nn.utils.spectral_norm(nn.Conv2d(width, width, 3, stride=2))
        self.fc = nn.Linear(width * 7 * 7, 10)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(self.conv2(x), 0.2)
        return self.fc(x.view(x.size(0), -1))
