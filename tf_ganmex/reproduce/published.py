"""The numbers that the GANMEX paper published, as data: Shih et al., arXiv:2011.06015, appendices A to E."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "Shih et al., arXiv:2011.06015"
Place = tuple[str, str]  # method, baseline, as in an evaluation table; method "" for the baseline itself

METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "occlusion")
# The published code is a modified DeepExplain, whose DeepLIFT has no rule for max pooling and softmax.
COMPLETE = "deeplift_complete"
METHOD_OPTIONS: dict[str, dict[str, str]] = {
    "deeplift": {"rules": "deepexplain"},
    COMPLETE: {"method": "deeplift", "rules": "complete"},
}
BASELINES = ("zero", "nearest", "ganmex")
COLUMNS: tuple[Place, ...] = (
    *(("integrated_gradients", baseline) for baseline in BASELINES),
    ("expected_gradients", "samples"),
    *(("deeplift", baseline) for baseline in BASELINES),
    *(("occlusion", baseline) for baseline in BASELINES),
)
OURS: tuple[Place, ...] = tuple((COMPLETE, baseline) for baseline in BASELINES)  # columns that the paper has not
_METHOD_LABELS = {
    "integrated_gradients": "IG",
    "expected_gradients": "EG",
    "deeplift": "DeepLIFT",
    "deepshap": "DeepSHAP",
    COMPLETE: "DeepLIFT complete",
}
_BASELINE_LABELS = {"nearest": "MDTS", "random_sample": "random", "ganmex": "GANMEX"}


def label(place: Place) -> str:
    """What the paper calls a column: ``IG MDTS``."""
    method, baseline = place
    words = [_METHOD_LABELS.get(method, method.capitalize()), _BASELINE_LABELS.get(baseline, baseline)]
    return words[0] if baseline == "samples" else " ".join(filter(None, words))


def column(name: str) -> Place:
    """The column that the paper calls so."""
    return {label(place): place for place in COLUMNS}[name]


@dataclass(frozen=True)
class Data:
    """What the paper tells about a dataset (appendix A, Table 2 and Table 4).

    Attributes:
        title: its name there.
        test_images: how many.
        accuracy: of the classifier on them.
        steps: of the training of GANMEX.
        hours: that it took.
        classes: how many.
    """

    title: str
    test_images: int
    accuracy: float
    steps: int
    hours: float
    classes: int = 10


DATASETS = {
    "mnist": Data("MNIST", 10_000, 0.993, 100_000, 5.2),
    "svhn_cropped": Data("SVHN", 26_032, 0.903, 300_000, 18.2),
    "cifar10": Data("CIFAR-10", 10_000, 0.878, 400_000, 23.8),
}
# The published code builds TF-GAN's StarGAN; how wide it was for each dataset the paper does not say.
GENERATOR = {"filters": 64, "blocks": 6}

# Table 2 (appendix B): mean L2 distances.
_DISTANCES = ("D_intra", "D_inter", "ganmex", "nearest", "random_sample", "zero")
TABLE_2: dict[str, dict[str, float]] = {
    "mnist": dict(zip(_DISTANCES, (8.96, 10.32, 7.17, 7.18, 10.32, 9.28), strict=True)),
    "svhn_cropped": dict(zip(_DISTANCES, (14.42, 14.48, 3.42, 5.94, 15.44, 26.52), strict=True)),
    "cifar10": dict(zip(_DISTANCES, (18.28, 19.06, 6.89, 10.54, 19.01, 29.04), strict=True)),
}

ROAR, SPARSITY = "aoroarc", "sparsity"
# Table 3 (appendix C), in the order of COLUMNS.
_ROWS: dict[str, dict[str, tuple[float, ...]]] = {
    "mnist": {
        "aopc_100": (0.614, 1.249, 1.421, 1.260, 0.505, 0.639, 0.724, 0.705, 1.050, 1.221),
        "aopc_all": (0.889, 1.098, 1.263, 1.13, 0.859, 0.933, 0.992, 0.877, 1.019, 1.114),
        ROAR: (0.176, 0.295, 0.249, 0.211, 0.209, 0.294, 0.293, 0.196, 0.303, 0.327),
        SPARSITY: (0.909, 0.911, 0.919, 0.827, 0.047, 0.047, 0.046, 0.062, 0.058, 0.058),
        "faithfulness": (0.182, 0.224, 0.280, 0.407, 0.075, 0.003, 0.031, 0.257, 0.254, 0.291),
        "monotonicity": (0.118, 0.196, 0.264, 0.357, 0.087, 0.150, 0.206, 0.244, 0.239, 0.280),
    },
    "svhn_cropped": {
        "aopc_100": (0.346, 0.861, 0.921, 0.878, 0.377, 0.634, 0.621, 0.317, 0.547, 0.549),
        "aopc_all": (0.564, 0.844, 0.822, 0.626, 0.649, 0.750, 0.751, 0.528, 0.586, 0.585),
        SPARSITY: (0.606, 0.713, 0.783, 0.615, 0.131, 0.133, 0.139, 0.168, 0.139, 0.144),
        "faithfulness": (0.017, 0.265, 0.270, 0.548, -0.041, 0.075, 0.017, 0.007, 0.306, 0.243),
        "monotonicity": (0.129, 0.212, 0.248, 0.340, 0.095, 0.150, 0.182, 0.057, 0.210, 0.211),
        "inverse_localization": (0.268, 0.128, 0.113, 0.217, 0.268, 0.156, 0.123, 0.268, 0.144, 0.100),
    },
    "cifar10": {
        "aopc_100": (0.298, 0.485, 0.494, 0.516, 0.323, 0.464, 0.451, 0.441, 0.492, 0.440),
        "aopc_all": (0.696, 0.788, 0.808, 0.789, 0.726, 0.780, 0.794, 0.628, 0.694, 0.706),
        SPARSITY: (0.565, 0.639, 0.626, 0.522, 0.164, 0.171, 0.169, 0.325, 0.260, 0.223),
        "faithfulness": (0.005, 0.028, 0.027, 0.054, 0.003, 0.017, 0.017, 0.288, 0.285, 0.225),
        "monotonicity": (0.008, 0.050, 0.042, 0.058, 0.004, 0.044, 0.033, 0.175, 0.140, 0.087),
    },
}
# One published row, two measures of ours: see the note below the table.
OF_OURS = {ROAR: (ROAR, "aoroarc_abs"), SPARSITY: ("gini", "gini_shifted")}

TABLE_3: dict[str, dict[tuple[str, Place], float]] = {
    name: {
        (ours, place): value
        for metric, values in rows.items()
        for ours in OF_OURS.get(metric, (metric,))
        for place, value in zip(COLUMNS, values, strict=True)
    }
    for name, rows in _ROWS.items()
}

# Table 4 (appendix E): seconds for the whole test set on one Tesla V100, MDTS on its processor. EG's baselines are
# the paper's estimate.
_TIMES = (
    *((method, "") for method in METHODS),
    ("", "samples"),
    ("", "ganmex"),
    ("", "nearest"),
)
TABLE_4: dict[str, dict[Place, float]] = {
    "mnist": dict(zip(_TIMES, (43.5, 64.1, 0.6, 75.7, 20.6, 92.5, 850.8), strict=True)),
    "svhn_cropped": dict(zip(_TIMES, (557.3, 658.9, 1.9, 4917.0, 101.6, 399.8, 3674.4), strict=True)),
    "cifar10": dict(zip(_TIMES, (239.4, 294.8, 30.0, 1532.1, 55.3, 959.7, 1085.8), strict=True)),
}
