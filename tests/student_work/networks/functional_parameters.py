import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        shapes = [(width, 3, 3, 3), (width, width, 3, 3), (10, width * 7 * 7)]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for shape in shapes:
            weight = torch.empty(shape)
            nn.init.kaiming_normal_(weight)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(shape[0])))

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.weights[0], self.biases[0], stride=2))
        x = F.relu(F.conv2d(x, self.weights[1], self.biases[1], stride=2))
        return x.view(x.size(0), -1) @ self.weights[2].t() + self.biases[2]
