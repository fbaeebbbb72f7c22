import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.fc = nn.Linear(width * 7 * 7 + 1, 10)

    def forward(self, x):
        batch_size = int(x.shape[0])
        ones = torch.ones(batch_size, 1, device=x.device)
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = torch.cat((x.view(batch_size, -1), ones), dim=1)
        return self.fc(x)
