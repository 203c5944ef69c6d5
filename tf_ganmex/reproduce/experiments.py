"""The figures of the GANMEX paper that need more than the models at hand: randomized classifiers, other generators."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex import attributions, baselines, plotting
from tf_ganmex.draws import other_classes
from tf_ganmex.files import replaced
from tf_ganmex.misclassification import explain_misclassified, plot_misclassified
from tf_ganmex.reproduce.problem import Problem
from tf_ganmex.training import Recipe, in_value_range
from tf_ganmex.training.scan import WEIGHTS, plot_scan, scan_table, scan_weights, scanned_images, write_scan

# Similarity as in appendix D, whose figure gives no values for the others.
SCANNED = {
    "classification": (1.0, 5.0, 20.0, 100.0),
    "similarity": (0.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    "reconstruction": (0.0, 10.0, 100.0),
}
_RANDOMIZED, _SCAN_IMAGES, _MISCLASSIFIED = 100, 1000, 8  # images at most


def misclassified(problem: Problem, folder: Path) -> list[Path]:
    """Why the wrong class and not the right one: the paper's figure 2.B."""
    clf, data = problem.clf, problem.data
    found = explain_misclassified(
        clf,
        in_value_range(data.x_test, clf.value_range),
        data.y_test,
        baseline=problem.ganmex.generate,
        options={"integrated_gradients": {"steps": problem.setup.steps}},
        limit=_MISCLASSIFIED,
    )
    return [plotting.save_figure(plot_misclassified(found), folder / "misclassified.png")]


def randomization(problem: Problem, folder: Path) -> list[Path]:
    """Cascading randomization, with GANMEX trained on at every stage: the paper's figure 3.G."""
    from tf_ganmex import sanity

    clf, data, setup = problem.clf, problem.data, problem.setup
    x, y = in_value_range(data.x_test, clf.value_range), data.y_test
    right = np.flatnonzero(clf.predict(x) == y)[: min(setup.limit or _RANDOMIZED, _RANDOMIZED)]
    x_train = in_value_range(data.x_train, clf.value_range)
    follows = sanity.ganmex_per_stage(
        problem.ganmex, data, folder=setup.keep / "randomized", steps=setup.stage_steps, seed=setup.seed
    )
    methods: dict[str, Any] = {
        "IG": partial(attributions.integrated_gradients, steps=setup.steps),
        "EG": partial(attributions.expected_gradients, steps=setup.steps, seed=setup.seed),
        "DeepLIFT": attributions.deeplift,
    }
    columns = [(method, name) for method in ("IG", "DeepLIFT") for name in ("zero", "MDTS", "GANMEX")]
    check = sanity.randomization_test(
        clf,
        x[right],
        y[right],
        other_classes(y, clf.num_classes, setup.seed)[right],
        methods=methods,
        baselines={
            "zero": baselines.zero().in_value_range(clf.value_range),
            "MDTS": baselines.nearest(x_train, data.y_train),
            "GANMEX": follows,
            "samples": baselines.random_sample(x_train, data.y_train, seed=setup.seed),
        },
        columns=[*columns, ("EG", "samples")],
        stages=sanity.cascading_randomization(clf, seed=setup.seed),
    )
    return check.save(folder / "randomization")


def scan(problem: Problem, folder: Path) -> list[Path]:
    """Generators over the weights of Eq. 9, the others as in the GANMEX at hand: the paper's figure 8."""
    clf, data, setup = problem.clf, problem.data, problem.setup
    options = problem.ganmex.options.as_dict()
    base = {name: float(options.pop(f"{name}_weight")) for name in WEIGHTS}
    seed = setup.seed
    options.pop("seed", None)
    limit = min(setup.limit or _SCAN_IMAGES, _SCAN_IMAGES)
    recipe = Recipe(steps=setup.scan_steps)
    trials = list(
        scan_weights(
            clf,
            data,
            setup.keep / "scan",
            SCANNED,
            base=base,
            recipe=recipe,
            limit=limit,
            seed=seed,
            verbose=0,
            **options,
        )
    )
    x, target = scanned_images(clf, data, limit, seed)
    shown = len(trials[0].baselines)
    names = [clf.class_names[label] for label in data.y_test[:shown]]
    titles = [f"{name} to {clf.class_names[t]}" for name, t in zip(names, target, strict=False)]
    figure = plot_scan(x[:shown], titles, trials, value_range=clf.value_range)
    heading = (
        f"`{setup.command}`: {len(x)} test images of {data.name}, each against a random other class; {recipe.steps} "
        f"steps each, seed {seed}; where not varied: {', '.join(f'{name} {value:g}' for name, value in base.items())}."
    )
    with replaced(folder / "scan.md") as temporary:
        temporary.write_text(f"{heading}\n\n{scan_table(trials)}", encoding="utf-8")
    write_scan(trials, folder / "scan.csv")
    return [folder / "scan.md", folder / "scan.csv", plotting.save_figure(figure, folder / "scan.png")]
