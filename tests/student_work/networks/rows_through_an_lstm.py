import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.hidden_size = 3 * width
        self.lstm = nn.LSTM(3 * 32, self.hidden_size, batch_first=True)
        self.fc = nn.Linear(self.hidden_size, 10)

    def forward(self, x):
        x = x.permute(0, 2, 1, 3).reshape(x.size(0), 32, -1)
        h0 = torch.zeros(1, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(1, x.size(0), self.hidden_size).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :])
