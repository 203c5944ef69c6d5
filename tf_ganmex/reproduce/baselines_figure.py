"""The paper's Figure 4, maps with every baseline: ``python -m tf_ganmex.reproduce.baselines_figure --help``.

For each image a row of baselines, a row of IG maps and a row of DeepLIFT maps: zero, maximum, blur, the nearest
training image of the other class, EG's many training images of it, and GANMEX.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex import attributions, baselines, plotting
from tf_ganmex.classifier import Classifier, load_classifier
from tf_ganmex.datasets import Dataset, load_dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.gan import load_ganmex
from tf_ganmex.training import in_value_range

EG = "EG"


def grid(
    clf: Classifier,
    x: np.ndarray,
    origin: np.ndarray,
    target: np.ndarray,
    compared: dict[str, Callable | None],
    samples: Callable,
    *,
    steps: int,
    seed: int,
) -> tuple[list[list[Any]], list[str]]:
    """The cells of the figure and the titles of its rows.

    Args:
        clf: the classifier.
        x: images (n, h, w, c).
        origin: the class of each (n,).
        target: the class each is compared with (n,).
        compared: the baselines by name; None for EG, whose baselines are ``samples``.
        samples: (x, target) to training images (n, k, h, w, c).
        steps: of IG and EG.
        seed: of EG.

    Returns:
        Three rows an image, of the image and then one cell a baseline.
    """
    images = {name: None if make is None else np.asarray(make(x, target)) for name, make in compared.items()}
    maps: dict[str, list] = {"IG": [], "DeepLIFT": []}
    for made in images.values():
        if made is None:
            drawn = attributions.expected_gradients(clf, x, origin, target, samples, steps=steps, seed=seed)
            maps["IG"].append(drawn)
            maps["DeepLIFT"].append(None)
        else:
            maps["IG"].append(attributions.integrated_gradients(clf, x, origin, target, made, steps=steps))
            maps["DeepLIFT"].append(attributions.deeplift(clf, x, origin, target, made))
    rows: list[list[Any]] = []
    titles = []
    for index in range(len(x)):
        said = f"{clf.class_names[origin[index]]}, not {clf.class_names[target[index]]}"
        rows.append([x[index], *(None if made is None else made[index] for made in images.values())])
        titles.append(said)
        for method, found in maps.items():
            rows.append([None, *(None if each is None else ("map", each[index]) for each in found)])
            titles.append(method)
    return rows, titles


def choose(clf: Classifier, data: Dataset, count: int) -> np.ndarray:
    """The first test images that the classifier gets right, as many of each class."""
    right = clf.predict(in_value_range(data.x_test, clf.value_range)) == data.y_test
    each = -(-count // clf.num_classes)
    rows = [np.flatnonzero(right & (data.y_test == c))[:each] for c in range(clf.num_classes)]
    chosen = np.concatenate(rows)[:count]
    if len(chosen) < count:
        raise OptionError(f"Expected {count} test images that the classifier gets right. Received: {len(chosen)}.")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the maps and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("classifier", type=Path)
    parser.add_argument("ganmex", type=Path)
    parser.add_argument("dataset", help="what they were trained on: a name or a path")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="these classes only, in this order")
    parser.add_argument("--count", type=int, default=4, help="how many test images (default: 4)")
    parser.add_argument("--indices", type=int, nargs="+", help="these instead of the first that are classified right")
    parser.add_argument("--steps", type=int, default=200, help="of IG and EG (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of EG (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="the picture, .png")
    options = parser.parse_args(arguments)

    data = load_dataset(
        options.dataset, data_dir=options.data_dir, image_size=options.image_size, classes=options.classes
    )
    clf = load_classifier(options.classifier, class_names=data.class_names)
    chosen = np.array(options.indices) if options.indices else choose(clf, data, options.count)
    x, origin = in_value_range(data.x_test[chosen], clf.value_range), data.y_test[chosen]
    x_train = in_value_range(data.x_train, clf.value_range)
    compared: dict[str, Callable | None] = {
        "zero": baselines.zero(),
        "maximum": baselines.maximum(),
        "blurred": baselines.blurred(),
        "MDTS": baselines.nearest(x_train, data.y_train),
        EG: None,
        "GANMEX": load_ganmex(options.ganmex, clf).generate,
    }

    def samples(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.stack([_drawn(x_train[data.y_train == t], options.steps, options.seed) for t in targets])

    target = (origin + 1) % clf.num_classes
    rows, titles = grid(clf, x, origin, target, compared, samples, steps=options.steps, seed=options.seed)
    figure = plotting.plot_grid(rows, ["image", *compared], titles, value_range=clf.value_range)
    print(plotting.save_figure(figure, options.out))


def _drawn(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most ``count`` of the images; all are as many times as there are where there are fewer."""
    order = np.random.default_rng(seed).permutation(len(images))
    return images[np.resize(order, count)]


if __name__ == "__main__":
    main()
