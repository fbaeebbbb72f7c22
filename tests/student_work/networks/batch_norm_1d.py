from torch import nn


class Net(nn.Module):
    def __init__(self, width=8, p=0.2):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=4), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.head = nn.Sequential(
            nn.Linear(width * 8 * 8, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(32, 10),
        )

    def forward(self, x):
        x = self.conv(x)
        x = x.view(x.size(0), -1)
        return self.head(x)
