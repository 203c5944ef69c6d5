"""The paper's ablation on coloured MNIST: ``python -m tf_ganmex.reproduce.color_ablation --help``.

Four generators: with the similarity and the reconstruction term, with either, with none. The digits' colour says
nothing about their class, so a baseline that is near its image keeps it; the paper finds that only the two generators
with the similarity term do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex import plotting
from tf_ganmex.classifier import Classifier, load_classifier
from tf_ganmex.datasets import load_dataset
from tf_ganmex.draws import other_classes
from tf_ganmex.files import write_text
from tf_ganmex.training import Recipe, train_ganmex

# λ_sim and λ_rec of the paper's four arms, here with the weights of the command line and of StarGAN.
ARMS = {
    "similarity and reconstruction": (60.0, 10.0),
    "similarity": (60.0, 0.0),
    "reconstruction": (0.0, 10.0),
    "neither": (0.0, 0.0),
}
CLASSIFICATION_WEIGHT = 20.0
SHOWN = 10


def color_of(images: np.ndarray) -> np.ndarray:
    """The channel (n,) with the largest sum of images (n, h, w, 3)."""
    return images.sum((1, 2)).argmax(-1)


def measure(clf: Classifier, x: np.ndarray, made: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """What became of images that were to be of another class.

    Args:
        clf: the classifier.
        x: images (n, h, w, 3) in [0, 1].
        made: what the generator made of them, of the same shape.
        target: the class it was to make of each (n,).

    Returns:
        The share classified as the target, the share that keeps its colour, the share of the brightness that is in the
        image's own channel, and the mean L2 distance.
    """
    color = color_of(x)
    brightness = made.sum((1, 2))
    return {
        "classified as target": float((clf.predict(made) == target).mean()),
        "keeps its color": float((color_of(made) == color).mean()),
        "brightness in that channel": float(np.mean(brightness[np.arange(len(x)), color] / brightness.sum(-1))),
        "L2 distance": float(np.sqrt(((made - x) ** 2).sum((1, 2, 3))).mean()),
    }


def report(rows: dict[str, dict[str, float]], settings: str) -> str:
    """The rows as a markdown table."""
    columns = list(next(iter(rows.values())))
    lines = [settings, "", f"| terms | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [f"{value:.3f}" if name == "L2 distance" else f"{value:.2%}" for name, value in row.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is not trained yet, measures, prints the table and writes it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("classifier", type=Path, help="trained on colored_mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--training", type=Path, required=True, help="where generators are trained, and found again")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--limit", type=int, default=2000, help="how many test images (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of training and targets (default: 0)")
    parser.add_argument("--out", type=Path, help="where to write the table, .md; a picture goes beside it")
    options = parser.parse_args(arguments)

    data = load_dataset("colored_mnist", data_dir=options.data_dir)
    clf = load_classifier(options.classifier, class_names=data.class_names)
    x, y = data.x_test[: options.limit], data.y_test[: options.limit]
    sizes: dict[str, Any] = {"filters": options.filters, "blocks": options.blocks, "dtype": "mixed_bfloat16"}
    target = other_classes(y, clf.num_classes, options.seed)
    rows, pictures = {}, [list(x[:SHOWN])]
    for name, (similarity, reconstruction) in ARMS.items():
        gan = train_ganmex(
            clf,
            data,
            options.training / name.replace(" ", "_"),
            recipe=Recipe(steps=options.steps),
            every=min(250, options.steps),
            seed=options.seed,
            verbose=2,
            classification_weight=CLASSIFICATION_WEIGHT,
            similarity_weight=similarity,
            reconstruction_weight=reconstruction,
            **sizes,
        )
        made = gan.generate(x, target)
        rows[name] = measure(clf, x, made, target)
        pictures.append(list(made[:SHOWN]))
    settings = (
        f"{options.steps} steps each, {options.filters} filters, {options.blocks} blocks, seed {options.seed}; "
        f"{len(x)} test images, each against a random other class; classifier accuracy "
        f"{(clf.predict(x) == y).mean():.2%}."
    )
    text = report(rows, settings)
    print(text)
    if options.out:
        write_text(options.out, text)
        titles = [f"{clf.class_names[label]} to {clf.class_names[t]}" for label, t in zip(y, target, strict=True)]
        figure = plotting.plot_grid(pictures, titles[:SHOWN], ["image", *ARMS])
        plotting.save_figure(figure, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
