"""Measures a classifier and its GANMEX on test images: ``python -m tf_ganmex.reproduce.pretrained --help``.

Every test image is set against a random other class; baselines are compared by how often the classifier gives them the
target class, by their distance to the image, by the Fréchet distance to real images of the target classes, and by the
area over the perturbation curve of their IG maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tf_ganmex import attributions, baselines, metrics
from tf_ganmex.classifier import Classifier, load_classifier
from tf_ganmex.datasets import load_dataset
from tf_ganmex.draws import other_classes
from tf_ganmex.files import write_text
from tf_ganmex.gan import load_ganmex

# Tables 2 and 3, MNIST
PAPER = {"zero": "9.28, 0.614", "random": "10.32", "MDTS": "7.18, 1.249", "GANMEX": "7.17, 1.421"}
BLOCK = 500


def measure(
    clf: Classifier,
    x: np.ndarray,
    y: np.ndarray,
    compared: dict[str, Callable],
    *,
    real: Callable,
    steps: int,
    flips: int,
    seed: int,
    explained: int | None = None,
) -> list[dict[str, Any]]:
    """One row a baseline: share classified as the target, mean L2 distance, Fréchet distance, mean AOPC of IG.

    Args:
        clf: the classifier.
        x: test images (n, h, w, c).
        y: their labels (n,).
        compared: the baselines by name.
        real: (x, target) to real images of the target classes, which baselines are set against as a whole.
        steps: of integrated gradients.
        flips: L of AOPC_L.
        seed: of the targets: a uniformly random class other than the label.
        explained: how many images, the first that the classifier gets right, AOPC is taken over; None: all.

    Returns:
        The rows. AOPC is taken over the images that the classifier gets right, of which it is the predicted class.
    """
    target = other_classes(y, clf.num_classes, seed)
    right = np.flatnonzero(clf.predict(x) == y)[:explained]
    features, wanted = metrics.penultimate_features(clf), real(x, target)
    rows = []
    with Progress(transient=True) as progress:
        for name, baseline in compared.items():
            images = np.asarray(baseline(x, target))
            areas = []
            for start in progress.track(range(0, len(right), BLOCK), description=name):
                rows_here = right[start : start + BLOCK]
                part = (x[rows_here], y[rows_here], target[rows_here])
                maps = attributions.integrated_gradients(clf, *part, images[rows_here], steps=steps)
                curve = metrics.perturbation_curve(clf, part[0], maps, part[1], part[2], flips=flips)
                areas.append(metrics.aopc(curve, flips))
            rows.append(
                {
                    "baseline": name,
                    "classified as target": float((clf.predict(images) == target).mean()),
                    "L2 distance": float(np.sqrt(((images - x) ** 2).sum((1, 2, 3))).mean()),
                    "FID": metrics.fid(wanted, images, features),
                    "AOPC": float(np.concatenate(areas).mean()),
                }
            )
    return rows


def report(rows: Sequence[dict], accuracy: float, count: int, settings: str, *, paper: bool) -> str:
    """The rows as a markdown table, with the paper's figures where they are comparable."""
    distances = {row["baseline"]: row["L2 distance"] for row in rows}
    lines = [
        f"Classifier accuracy {accuracy:.2%} on {count} test images. {settings}",
        "",
        "| baseline | classified as target | L2 distance | of MDTS's | FID | AOPC_100 of IG |"
        + (" paper: L2, AOPC_100 |" if paper else ""),
        "| --- | --- | --- | --- | --- | --- |" + (" --- |" if paper else ""),
    ]
    for row in rows:
        name = row["baseline"]
        line = (
            f"| {name} | {row['classified as target']:.2%} | {row['L2 distance']:.3f} "
            f"| {row['L2 distance'] / distances['MDTS']:.3f} "
            f"| {row['FID']:.3g} | {row['AOPC']:.3f} |"
        )
        lines.append(line + (f" {PAPER[name]} |" if paper else ""))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, help="a directory with classifier.keras and ganmex/")
    parser.add_argument("dataset", help="what they were trained on: a name or a path")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="these classes only, in this order")
    parser.add_argument("--limit", type=int, help="how many test images (default: all)")
    parser.add_argument("--explained", type=int, help="of how many of them maps are made, for AOPC (default: all)")
    parser.add_argument("--steps", type=int, default=200, help="of integrated gradients (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the targets (default: 0)")
    parser.add_argument("--out", type=Path, help="where to write the table")
    options = parser.parse_args(arguments)

    data = load_dataset(
        options.dataset, data_dir=options.data_dir, image_size=options.image_size, classes=options.classes
    )
    clf = load_classifier(options.models / "classifier.keras", class_names=data.class_names)
    x, y = data.x_test[: options.limit], data.y_test[: options.limit]
    compared: dict[str, Callable] = {
        "zero": baselines.zero(),
        "random": baselines.random_sample(data.x_train, data.y_train, seed=options.seed),
        "MDTS": baselines.nearest(data.x_train, data.y_train),
        "GANMEX": load_ganmex(options.models / "ganmex", clf).generate,
    }
    real = baselines.random_sample(data.x_train, data.y_train, seed=options.seed + 1)
    rows = measure(
        clf,
        x,
        y,
        compared,
        real=real,
        steps=options.steps,
        flips=100,
        seed=options.seed,
        explained=options.explained,
    )
    settings = (
        f"Targets: a random other class, seed {options.seed}; IG with {options.steps} steps, midpoint rule"
        f"{f', AOPC of {options.explained} images' if options.explained else ''}. FID: the "
        "Fréchet distance, in what the classifier's last layer sees, to as many random training images of the target "
        "classes, of which those of the row 'random' are another draw."
    )
    accuracy = float((clf.predict(x) == y).mean())
    text = report(rows, accuracy, len(x), settings, paper=data.name == "mnist")
    print(text)
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()
