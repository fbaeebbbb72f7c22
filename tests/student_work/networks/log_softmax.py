import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 2)
        self.conv2 = nn.Conv2d(width, width, 3, 2)
        self.dropout1 = nn.Dropout(0.1)
        self.fc1 = nn.Linear(width * 7 * 7, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(x.flatten(1))
        x = self.fc1(x)
        output = F.log_softmax(x, dim=1)
        return output
