# The public names, and where each of them is: `__init__.py` loads them from here on first use.
from . import (
    benchmark,
    cli,
    cluster,
    data,
    evaluation,
    experiments,
    grading,
    models,
    reporting,
    training,
    utils,
)
from .cli.doctor import doctor
from .data import augment
from .data.batches import Batches
from .data.cifar import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    CIFAR100_MEAN,
    CIFAR100_STD,
    CIFAR100_SUPERCLASSES,
)
from .data.datasets import load, load_or_stand_in, load_or_synthetic
from .data.image_set import Data, ImageSet, Role, split, to_unit_interval
from .evaluation import (
    accuracy_under_shift,
    confusion_matrix,
    evaluate,
    most_confused,
    predict,
    superclass_confusion,
    test_accuracy,
)
from .experiments import exercises, published, variants
from .experiments.budget import T4_HOUR_FLOPS, check_budget
from .experiments.catalog import ASSIGNMENT_A_RECIPE, EXPERIMENTS, Experiment
from .experiments.facts import GROUPS
from .experiments.ingredients import leave_one_out
from .experiments.pretrained import load_pretrained
from .experiments.published import (
    load_measured,
    load_measured_run,
    load_published,
    load_published_run,
)
from .experiments.results import Result, find_results, load_result, to_frame
from .experiments.run import run
from .experiments.run_many import RunsFailedError, run_many
from .experiments.submission import submit
from .experiments.variants import Variant
from .grading.sessions.self_check import check_submission
from .models import (
    MODELS,
    BottleneckResBlock,
    BottleneckResNet,
    ConvNet,
    DSConvBlock,
    MBConvBlock,
    MBConvNet,
    Normalize,
    SharedStage,
    SimpleMLP,
    SkeletonConvNet,
    SmallCIFARNet,
    SqueezeExcitation,
    Stage,
    TinyNet,
    WhitenedResNet,
    Whitening,
    WideResNet,
    build_model,
    resnet_small,
    resnet_wide,
)
from .models.counting import count_macs, count_parameters, count_training_flops
from .reporting import discussion, plots, tables
from .training.checkpoint import load_weights, save_weights
from .training.history import EpochRecord, History
from .training.loop import fit, train_epoch
from .training.optimizers import build_optimizer
from .training.prepare import compute_whitening
from .training.progress import Progress
from .training.recipe import Recipe
from .utils.devices import best_device
from .utils.errors import (
    CorruptedDataError,
    DatasetUnavailableError,
    LeakedTestImagesError,
    TrainingDivergedError,
)
from .utils.seeding import seed_everything

__version__: str

__all__ = [
    "ASSIGNMENT_A_RECIPE",
    "Batches",
    "BottleneckResBlock",
    "BottleneckResNet",
    "CIFAR100_MEAN",
    "CIFAR100_STD",
    "CIFAR100_SUPERCLASSES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "ConvNet",
    "CorruptedDataError",
    "DSConvBlock",
    "Data",
    "DatasetUnavailableError",
    "EXPERIMENTS",
    "EpochRecord",
    "Experiment",
    "GROUPS",
    "History",
    "ImageSet",
    "LeakedTestImagesError",
    "MBConvBlock",
    "MBConvNet",
    "MODELS",
    "Normalize",
    "Progress",
    "Recipe",
    "Result",
    "Role",
    "RunsFailedError",
    "SharedStage",
    "SimpleMLP",
    "SkeletonConvNet",
    "SmallCIFARNet",
    "SqueezeExcitation",
    "Stage",
    "T4_HOUR_FLOPS",
    "TinyNet",
    "TrainingDivergedError",
    "Variant",
    "WhitenedResNet",
    "Whitening",
    "WideResNet",
    "accuracy_under_shift",
    "augment",
    "best_device",
    "build_model",
    "build_optimizer",
    "check_budget",
    "check_submission",
    "compute_whitening",
    "confusion_matrix",
    "count_macs",
    "count_parameters",
    "count_training_flops",
    "discussion",
    "doctor",
    "evaluate",
    "exercises",
    "find_results",
    "fit",
    "leave_one_out",
    "load",
    "load_measured",
    "load_measured_run",
    "load_or_stand_in",
    "load_or_synthetic",
    "load_pretrained",
    "load_published",
    "load_published_run",
    "load_result",
    "load_weights",
    "most_confused",
    "plots",
    "predict",
    "published",
    "resnet_small",
    "resnet_wide",
    "run",
    "run_many",
    "save_weights",
    "seed_everything",
    "split",
    "submit",
    "superclass_confusion",
    "tables",
    "test_accuracy",
    "to_frame",
    "to_unit_interval",
    "train_epoch",
    "variants",
]
