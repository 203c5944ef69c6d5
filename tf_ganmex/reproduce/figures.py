"""The figures of the GANMEX paper, drawn for the models at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tf_ganmex import attributions, baselines, plotting
from tf_ganmex.reproduce.baselines_figure import EG, choose, grid
from tf_ganmex.reproduce.experiments import misclassified, scan
from tf_ganmex.reproduce.problem import Problem
from tf_ganmex.reproduce.published import label
from tf_ganmex.reproduce.randomization import randomization
from tf_ganmex.reproduce.tables import measured_maps
from tf_ganmex.training import in_value_range

_METHODS_OF_TARGETS = ("integrated_gradients", "deeplift", "deepshap")
_ROWS_OF_TARGETS, _ROWS_OF_BASELINES = 3, 4  # images
_MOST_TARGETS = 10


def targets(problem: Problem, folder: Path) -> list[Path]:
    """Maps against every other class with zero and GANMEX baselines: the paper's figure 9."""
    clf, classes = problem.clf, list(range(min(problem.clf.num_classes, _MOST_TARGETS)))
    chosen = choose(clf, problem.data, min(_ROWS_OF_TARGETS, clf.num_classes * _ROWS_OF_TARGETS))
    images, origins = in_value_range(problem.data.x_test[chosen], clf.value_range), problem.data.y_test[chosen]
    x, origin = np.repeat(images, len(classes), 0), np.repeat(origins, len(classes))
    target = np.tile(classes, len(images))
    asked = np.flatnonzero(target != origin)  # a class is not compared with itself
    made = np.zeros_like(x)
    made[asked] = problem.ganmex.generate(x[asked], target[asked])
    compared = {"zero": baselines.zero().in_value_range(clf.value_range)(x), "ganmex": made}
    maps = {}
    for method in _METHODS_OF_TARGETS:
        options = {"steps": problem.setup.steps} if method == "integrated_gradients" else {}
        for name, images_of in compared.items():
            found = np.zeros_like(x)
            explain = getattr(attributions, method)
            found[asked] = explain(clf, x[asked], origin[asked], target[asked], images_of[asked], **options)
            maps[label((method, name))] = _by_target(found, len(classes))
    figure = plotting.plot_targets(
        images,
        origins,
        _by_target(made, len(classes)),
        maps,
        classes,
        class_names=clf.class_names,
        value_range=clf.value_range,
        average=True,
    )
    return [plotting.save_figure(figure, folder / "targets.png", dpi=110)]


def baselines_compared(problem: Problem, folder: Path) -> list[Path]:
    """Maps of IG and DeepLIFT with every baseline: the paper's figures 4 and 10."""
    clf, data, setup = problem.clf, problem.data, problem.setup
    chosen = choose(clf, data, _ROWS_OF_BASELINES)
    x, origin = in_value_range(data.x_test[chosen], clf.value_range), data.y_test[chosen]
    x_train = in_value_range(data.x_train, clf.value_range)
    compared: dict[str, Callable | None] = {
        "zero": baselines.zero().in_value_range(clf.value_range),
        "maximum": baselines.maximum().in_value_range(clf.value_range),
        "blurred": baselines.blurred(),
        "MDTS": baselines.nearest(x_train, data.y_train),
        EG: None,
        "GANMEX": problem.ganmex.generate,
    }
    drawn = baselines.random_sample(x_train, data.y_train, seed=setup.seed)

    def samples(images: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return drawn.draw(images, wanted, count=setup.steps, seed=setup.seed)

    target = (origin + 1) % clf.num_classes
    rows, titles = grid(clf, x, origin, target, compared, samples, steps=setup.steps, seed=setup.seed)
    figure = plotting.plot_grid(rows, ["image", *compared], titles, value_range=clf.value_range)
    return [plotting.save_figure(figure, folder / "baselines.png")]


def curves(problem: Problem, folder: Path) -> list[Path]:
    """Perturbation curves: the paper's figure 7.A-C."""
    return [plotting.save_figure(measured_maps(problem).plot_curves(), folder / "curves.png")]


def sparsity(problem: Problem, folder: Path) -> list[Path]:
    """Gini indices of all columns: the paper's figure 7.D-F."""
    figure = measured_maps(problem).plot_bars(metrics=["gini", "gini_shifted"])
    return [plotting.save_figure(figure, folder / "sparsity.png")]


def _by_target(maps: np.ndarray, classes: int) -> np.ndarray:
    return maps.reshape(-1, classes, *maps.shape[1:])


FIGURES: dict[str, Callable[[Problem, Path], list[Path]]] = {
    "targets": targets,
    "baselines": baselines_compared,
    "curves": curves,
    "sparsity": sparsity,
    "misclassified": misclassified,
    "randomization": randomization,
    "scan": scan,
}
