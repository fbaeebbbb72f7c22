from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, kernel_size=5, stride=4)
        self.act = nn.LeakyReLU(0.1)
        self.out = nn.Linear(width * 7 * 7, 10)

    def forward(self, x):
        x = self.act(self.conv(x))
        x = x.reshape(x.shape[0], -1)
        return self.out(x)
