"""A student's answers for notebook 03, by the id of the cell that they take the place of."""

SOLUTIONS = {
    "exercise-convolution-weights": """\
full_weights = 3 * 3 * 64 * 64
separable_weights = 3 * 3 * 64 + 64 * 64
""",
    "exercise-whiten": """\
def whiten(patches, variances, directions):
    return patches @ directions / variances.sqrt()
""",
    "exercise-dirac": """\
row, column = 1, 1
""",
    "exercise-smoothing": """\
true_class_target = 0.9 + 0.1 / 10
other_class_target = 0.1 / 10
""",
    "exercise-batches": """\
prediction = "c"
""",
    "exercise-orthogonalize": """\
def orthogonalize(matrix):
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right
""",
    "exercise-shared": """\
entrance = 3 * 3 * 32 * 64 + 2 * 64
shared_convolutions = 2 * 3 * 3 * 64 * 64
norms_of_the_passes = 3 * 2 * 2 * 64
""",
    "exercise-seeds": """\
seeds_needed = math.ceil(2 * (2 * 0.72 / 0.62) ** 2)
""",
    "exercise-my-net": """\
class MyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.normalize = cifar_lab.Normalize(cifar_lab.CIFAR10_MEAN, cifar_lab.CIFAR10_STD)
        self.whitening = cifar_lab.Whitening()
        first = Stage(48, convs=1, passes=2, separable=True)
        second = Stage(96, convs=1, passes=2, pooled_passes=1, separable=True)
        self.features = nn.Sequential(
            nn.GELU(), cifar_lab.SharedStage(24, first), cifar_lab.SharedStage(48, second)
        )
        self.head = nn.Linear(96, 10, bias=False)

    def forward(self, images):
        features = self.features(self.whitening(self.normalize(images)))
        return self.head(features.amax(dim=(2, 3))) / 5


my_recipe = tiny.recipe.with_epochs(epochs)
""",
    "exercise-decided": """\
decided = True
""",
    "words-expectation": """\
**Your words**

Muon and the wide stages should matter most, since both let few steps count. Mirroring cannot pay
within three passes over the pictures: nothing is overfitted yet.
""",
    "words-comparison": """\
**Your words**

Muon held, mirroring did nothing visible, and I was wrong about larger batches. I would report
neither mirroring nor smoothing nor the shared passes from two seeds.
""",
    "words-idea": """\
**Your words**

Two separable stages with 48 and 96 channels: mixing channels takes most of the weights, looking
around is cheap, and one pair of layers in the second stage is used three times.
""",
    "words-result": """\
**Your words**

Almost three points over the line, several times what seeds differ by. Next I would try smaller
batches with the same network.
""",
    "words-takeaways": """\
**Your words**

Make every step count when there are few of them. Repeat a comparison before you believe it. A
weight is cheap to keep and expensive to use.
""",
}
