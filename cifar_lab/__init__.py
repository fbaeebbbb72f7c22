"""cifar_lab: a course's image classification experiments on CIFAR-10 and CIFAR-100.

    data = cifar_lab.load("cifar10")
    model = cifar_lab.build_model("convnet")
    history = cifar_lab.fit(model, data.train, cifar_lab.Recipe(...), test=data.test)
    print(cifar_lab.test_accuracy(model, data.test))

The modules, in the order in which data flows through them: `data`, `models`, `evaluation`,
`training`, `experiments`, `runs`, `reporting`.
"""

from cifar_lab.budget import check_budget
from cifar_lab.checkpoint import load_weights, save_weights
from cifar_lab.data import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    CIFAR100_MEAN,
    CIFAR100_STD,
    Data,
    ImageSet,
    Role,
    load,
    load_or_stand_in,
    split,
    to_unit_interval,
)
from cifar_lab.errors import (
    CorruptedDataError,
    DatasetUnavailableError,
    LeakedTestImagesError,
    TrainingDivergedError,
)
from cifar_lab.evaluation import (
    accuracy_under_shift,
    confusion_matrix,
    evaluate,
    most_confused,
    predict,
    test_accuracy,
)
from cifar_lab.experiments import ASSIGNMENT_A_RECIPE, EXPERIMENTS, GROUPS, Experiment
from cifar_lab.loading import Batches
from cifar_lab.measured import load_measured, load_measured_run
from cifar_lab.models import (
    MODELS,
    BottleneckResBlock,
    BottleneckResNet,
    ConvNet,
    DSConvBlock,
    MBConvNet,
    Normalize,
    SharedStage,
    SimpleMLP,
    SkeletonConvNet,
    SmallCIFARNet,
    TinyNet,
    WhitenedResNet,
    Whitening,
    WideResNet,
    build_model,
    resnet_small,
    resnet_wide,
)
from cifar_lab.models.size import count_macs, count_parameters, count_training_flops
from cifar_lab.optimizer import build_optimizer
from cifar_lab.pretrained import load_pretrained
from cifar_lab.recipe import Recipe
from cifar_lab.reproducibility import best_device, seed_everything
from cifar_lab.results import Result, find_results, load_result
from cifar_lab.runs import run
from cifar_lab.state import EpochRecord
from cifar_lab.submission import check_submission, submit
from cifar_lab.superclasses import CIFAR100_SUPERCLASSES, superclass_confusion
from cifar_lab.training import fit, train_epoch

__all__ = [
    "ASSIGNMENT_A_RECIPE",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "CIFAR100_MEAN",
    "CIFAR100_STD",
    "CIFAR100_SUPERCLASSES",
    "EXPERIMENTS",
    "GROUPS",
    "MODELS",
    "Batches",
    "BottleneckResBlock",
    "BottleneckResNet",
    "ConvNet",
    "CorruptedDataError",
    "DSConvBlock",
    "Data",
    "DatasetUnavailableError",
    "EpochRecord",
    "Experiment",
    "ImageSet",
    "LeakedTestImagesError",
    "MBConvNet",
    "Normalize",
    "Recipe",
    "Result",
    "Role",
    "SharedStage",
    "SimpleMLP",
    "SkeletonConvNet",
    "SmallCIFARNet",
    "TinyNet",
    "TrainingDivergedError",
    "WhitenedResNet",
    "Whitening",
    "WideResNet",
    "accuracy_under_shift",
    "best_device",
    "build_model",
    "build_optimizer",
    "check_budget",
    "check_submission",
    "confusion_matrix",
    "count_macs",
    "count_parameters",
    "count_training_flops",
    "evaluate",
    "find_results",
    "fit",
    "load",
    "load_measured",
    "load_measured_run",
    "load_or_stand_in",
    "load_pretrained",
    "load_result",
    "load_weights",
    "most_confused",
    "predict",
    "resnet_small",
    "resnet_wide",
    "run",
    "save_weights",
    "seed_everything",
    "split",
    "superclass_confusion",
    "submit",
    "test_accuracy",
    "to_unit_interval",
    "train_epoch",
]
