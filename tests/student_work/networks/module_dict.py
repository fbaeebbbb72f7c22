from torch import nn


class Net(nn.Module):
    def __init__(self, width=8, activation="gelu"):
        super().__init__()
        self.activations = nn.ModuleDict({"relu": nn.ReLU(), "gelu": nn.GELU()})
        self.layers = nn.ModuleDict(
            {
                "stem": nn.Conv2d(3, width, 4, stride=4),
                "body": nn.Conv2d(width, 2 * width, 2, stride=2),
                "head": nn.Linear(2 * width * 4 * 4, 10),
            }
        )
        self.activation = activation

    def forward(self, x):
        act = self.activations[self.activation]
        x = act(self.layers["stem"](x))
        x = act(self.layers["body"](x))
        return self.layers["head"](x.flatten(start_dim=1))
