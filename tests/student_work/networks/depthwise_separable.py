import torch.nn as nn


class DepthwiseSeparableConv(nn.Module):
    def __init__(self, nin, nout, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(nin, nin, 3, stride=stride, padding=1, groups=nin)
        self.pointwise = nn.Conv2d(nin, nout, kernel_size=1)
        self.bn = nn.BatchNorm2d(nout)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.pointwise(self.depthwise(x))))


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv1 = DepthwiseSeparableConv(3, width, stride=2)
        self.conv2 = DepthwiseSeparableConv(width, 2 * width, stride=2)
        self.dropout = nn.Dropout2d(0.05)
        self.fc = nn.Linear(2 * width * 8 * 8, 10)

    def forward(self, x):
        x = self.dropout(self.conv2(self.conv1(x)))
        x = x.view(x.size(0), -1)
        return self.fc(x)
