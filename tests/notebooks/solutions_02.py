"""A student's answers for notebook 02, by the id of the cell that they take the place of."""

SOLUTIONS = {
    "exercise-chance": """\
guessing_accuracy = 100 / 100
superclass_accuracy = 100 / 5
""",
    "exercise-error": """\
standard_error = 100 * math.sqrt(0.5 * 0.5 / 5000)
clear_difference = 2 * math.sqrt(2) * standard_error
""",
    "exercise-tinynet": """\
tinynet_parameters = (
    (3 * 3 * 3 * 32 + 32) + (3 * 3 * 32 * 64 + 64) + (8 * 8 * 64 * 128 + 128) + (128 * 100 + 100)
)
guessing_loss = -math.log(1 / 100)
""",
    "exercise-momentum": """\
times_as_long = sum(0.9**step for step in range(1000))
""",
    "exercise-separable": """\
full_weights = 3 * 3 * 256 * 512
separable_weights = 3 * 3 * 256 + 256 * 512
""",
    "exercise-shapes": """\
shapes = {
    "features.0": (64, 16, 16),
    "features.2": (256, 4, 4),
    "features.5": (512, 4, 4),
    "head.0": (512, 1, 1),
}
""",
    "exercise-averages": """\
target_of_right_class = 0.9 + 0.1 / 100
initial_share = 100 * 0.995**352
""",
    "exercise-blind": """\
blind_near_misses = 100 * 4 / 99
""",
    "exercise-variant": """\
my_variant = Variant(
    "batches of 64",
    partial(cifar_lab.SmallCIFARNet, num_classes),
    replace(short_recipe, batch_size=64),
)
my_prediction = 2.0
""",
    "exercise-mynet": """\
class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, x):
        return x + self.layers(x)


def widen(before, after):
    return [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


class MyNet(nn.Module):
    def __init__(self, num_classes=num_classes):
        super().__init__()
        self.normalize = cifar_lab.Normalize(cifar_lab.CIFAR100_MEAN, cifar_lab.CIFAR100_STD)
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Residual(64),
            *widen(64, 192),
            nn.MaxPool2d(2),
            Residual(192),
            *widen(192, 384),
            nn.MaxPool2d(2),
            Residual(384),
            Residual(384),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, num_classes)
        )

    def forward(self, images):
        return self.head(self.features(self.normalize(images)))
""",
    "exercise-recipe": """\
my_recipe = replace(recipe, label_smoothing=0.05)
""",
    "words-mistakes": """\
**Your words**

Girls, women and babies end up in each other's bins. More detail would be needed to see an age,
so I would pool one stage later and let the first blocks work at full resolution.
""",
    "words-variant": """\
**Your words**

Twice as many updates from the same pictures, so I bet on a gain. It came out higher than my
guess, which tells me that this short run is starved of updates rather than of capacity.
""",
    "words-idea": """\
**Your words**

Skip connections around narrower separable layers. Gradients reach the stem directly, therefore
I hope for three points although I spend a third fewer weights.
""",
    "words-result": """\
**Your words**

It learns faster in the beginning and ends slightly above. Next I would spend the unused budget
on a fourth stage.
""",
    "words-architecture": """\
**Your words**

I built a ladder of three stages with 64, 192 and 384 feature maps, where every stage owns at
least one skip connection around a separable layer. Widening happens in cheap one-by-one layers
between stages. Two thirds of all weights live in the last stage, at sixteen positions, because
detail matters less there. Without skips the same ladder trailed by more than two standard
errors.
""",
    "words-hyperparameters": """\
**Your words**

I kept a thousandth as peak step size after seeing that tripling it made early losses jump, and
that a third of it left my curve unfinished. Smaller batches of 64 looked better in the quick
trial but doubled my waiting time, so 128 remained. Fifty passes fit comfortably into the hour
that we may use.
""",
    "words-regularisation": """\
**Your words**

Cropping and flipping stay, since both describe true freedom of photographs. I halved the
smoothing: my smaller model never reached certainty on its training pictures, hence it had
nothing to be punished for. Channel dropout is gone for the same reason, and the gap between
both curves remained narrow.
""",
    "words-optimizer": """\
**Your words**

Adam with decoupled decay copes with stages whose gradients differ by orders of magnitude,
without any tuning of mine. I tried Nesterov at a tenth as well; it needed a longer rise to
remain stable and then finished level, within noise. The averaged copy won a little over the
live one in each trial.
""",
    "words-validation": """\
**Your words**

Five thousand photographs were set aside once by the fixed seed and picked the epoch, one
variant and my stage widths. Three picks out of a handful cannot inflate the figure by much, and
indeed the final exam on unseen photographs landed within one standard error. Ten folds would
have cost ten evenings.
""",
}
