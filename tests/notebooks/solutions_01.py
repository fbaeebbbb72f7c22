"""A student's answers for notebook 01, by the id of the cell that they take the place of."""

SOLUTIONS = {
    "exercise-numbers": """
values_per_image = 3 * 32 * 32
accuracy_of_guessing = 10
""",
    "exercise-mlp-parameters": """
mlp_parameters = (3072 * 100 + 100) + (100 * 10 + 10)
""",
    "exercise-training-loop": '''
def my_train_epoch(model, batches, optimizer, loss_function):
    """Train on every batch once; return the mean of the batches' losses."""
    losses = []
    model.train()
    for images, labels in batches:
        logits = model(images)
        loss = loss_function(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return fmean(losses)
''',
    "exercise-skeleton-parameters": """
first_convolution = 9 * 3 * 8 + 8
second_convolution = 9 * 8 * 16 + 16
linear_layer = 16 * 16 * 16 * 10 + 10
""",
    "exercise-skeleton-shapes": """
shapes = {
    "features.0": (8, 32, 32),
    "features.2": (16, 32, 32),
    "features.4": (16, 16, 16),
    "head.0": (4096,),
    "head.1": (10,),
}
""",
    "words-iteration-1-plan": """
**Your words** (before the run)

#### Hypothesis

The skeleton keeps 97 percent of its weights in the last layer, which sees single places, and has
hardly any filters. I expect a second pooling to make room for three times as many filters, and
these to be worth about five points of accuracy at half the size.

#### Change

One more pooling after the second convolution, 20 and 36 channels in place of 8 and 16. Everything
else, the kernel sizes, the activation and the recipe, stays as it was in the skeleton.
""",
    "exercise-my-convnet": '''
class MyConvNet(nn.Module):
    """Your network: images (N, 3, 32, 32) in [0, 1] -> logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 20, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 36, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(36 * 8 * 8, 10))

    def forward(self, images):
        return self.head(self.features(images))
''',
    "words-iteration-1-conclusion": """
**Your words** (after the run)

#### Conclusion

The accuracy rose and the size fell, so the direction of my guess was right. The gain could come
from the filters or from the pooling, because I moved both; a run with the pooling alone would
separate the two.
""",
    "exercise-places": """
places = 1
""",
    "exercise-block-weights": """
block_weights = 64 * 16 + 9 * 16 * 16 + 16 * 64
""",
    "exercise-shift": """
most_robust = "d"
""",
    "words-iteration-2-plan": """
**Your words** (before the run)

#### Hypothesis

My first net has no normalisation and only two convolutions. With a batch norm behind every
convolution and a shortcut around the third one it should learn quicker, and three epochs are few,
so I expect at least three points more although the size stays about the same.

#### Change

Compared with MyConvNet: batch norm everywhere, a third convolution inside a shortcut, and an
average over four by four places before the linear layer, which pays for the added weights.
""",
    "exercise-my-second-net": '''
class MySecondNet(nn.Module):
    """Your second network: images (N, 3, 32, 32) in [0, 1] -> logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20))
        self.second = nn.Sequential(nn.Conv2d(20, 36, 3, padding=1), nn.BatchNorm2d(36))
        self.third = nn.Sequential(nn.Conv2d(36, 36, 3, padding=1), nn.BatchNorm2d(36))
        self.out = nn.Linear(36 * 2 * 2, 10)

    def forward(self, images):
        x = nn.functional.max_pool2d(self.first(images).relu(), 2)
        x = nn.functional.max_pool2d(self.second(x).relu(), 2)
        x = (x + self.third(x)).relu()
        return self.out(nn.functional.avg_pool2d(x, 4).flatten(1))
''',
    "words-iteration-2-conclusion": """
**Your words** (after the run)

#### Conclusion

Normalisation and the shortcut paid off, with fewer weights than before. How much is due to which I
can't say from a single run for each, and the difference to the first net is larger than what seeds
usually change.
""",
    "words-findings": """
**Your words**

#### Findings: what does weight sharing buy?

The fully connected network needs seven to twenty times the weights of mine and stays twenty points
behind. It has to learn an edge again wherever it may lie, whereas a filter sees it everywhere and
gets a thousand times as many examples of it from one picture.

#### Findings: what did your two iterations show?

Moving weights from the last layer into filters helped in both, and the batch norm made the short
training count for more. My guess of five points was too careful in the first, about right in the
second.

#### Findings: how sure are you, and what would you try next?

All of it is one seed, so I trust differences of several points and none below one. Next I would
repeat both with three seeds, and then try an average over all places, since the shifted pictures
were no trouble for it.
""",
}
