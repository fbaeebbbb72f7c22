import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2)
        self.conv_a = nn.Conv2d(width, width, 3, padding=1)
        self.conv_b = self.conv_a  # the same layer twice, to save parameters
        self.conv_c = nn.Conv2d(width, width, 3, padding=1)
        self.conv_c.weight = self.conv_a.weight
        self.fc = nn.Linear(width * 7 * 7, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = F.relu(self.conv_a(x))
        x = F.relu(self.conv_b(x))
        x = F.relu(self.conv_c(x))
        return self.fc(x.view(x.size(0), -1))
