import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, width=8):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2)
        self.fc = nn.Linear(width * 7 * 7, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.flatten(x, 1)
        x = self.fc(x)
        return x
