"""The scan over the weights of Eq. 9: what each does to the baselines (GANMEX, appendix D)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_ganmex import plotting
from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.draws import other_classes
from tf_ganmex.errors import OptionError
from tf_ganmex.files import replaced
from tf_ganmex.training.ganmex import Recipe, in_value_range, train_ganmex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS = ("classification", "similarity", "reconstruction")
_SYMBOLS = {"classification": "λ_cls", "similarity": "λ_sim", "reconstruction": "λ_rec"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One generator of a scan, measured on test images that were each brought to a random other class.

    Attributes:
        weight: which of :data:`WEIGHTS` was varied.
        value: its value.
        assigned: whether the classifier gives a baseline the target class (n,).
        distances: L2, of the baselines to their images (n,).
        baselines: those of the first images (m, h, w, c).
    """

    weight: str
    value: float
    assigned: np.ndarray
    distances: np.ndarray
    baselines: np.ndarray

    @property
    def share(self) -> float:
        """The share of baselines that the classifier gives the target class, in [0, 1]."""
        return float(self.assigned.mean())

    @property
    def distance(self) -> float:
        """The mean L2 distance of a baseline to its image."""
        return float(self.distances.mean())


def scan_weights(
    clf: Classifier,
    data: Dataset,
    directory: str | os.PathLike[str],
    values: Mapping[str, Sequence[float]],
    *,
    base: Mapping[str, float],
    recipe: Recipe | None = None,
    limit: int | None = None,
    shown: int = 8,
    every: int = 500,
    seed: int = 0,
    verbose: int | str = "auto",
    **options: Any,
) -> Iterator[Trial]:
    """Trains a GANMEX for every value of a weight, the others at their base, and measures its baselines.

    Generators are trained from the same initial weights on the same batches. They are kept in ``directory``: an
    interrupted scan goes on where it stopped, and a value added later trains that one alone.

    Args:
        clf: the classifier to explain.
        data: its data; baselines are made for its first test images.
        directory: where the generators are trained, one folder each.
        values: for some of :data:`WEIGHTS`, the values to try.
        base: all of :data:`WEIGHTS`, where they are not varied.
        recipe: steps, batches and learning rates.
        limit: how many test images; None: all.
        shown: how many baselines to keep for the picture.
        every: steps between checkpoints.
        seed: of training, and of the targets.
        verbose: as in ``keras.Model.fit``.
        **options: of :class:`tf_ganmex.GANMEX`.

    Yields:
        The trials, as they are done.

    Raises:
        OptionError: for an unknown weight, a missing base, or options that GANMEX refuses.

    Reference:
        Shih et al., "GANMEX: One-vs-One Attributions using GAN-based Model Explainability", appendix D.
    """
    unknown = sorted({*values, *base} - set(WEIGHTS)) or sorted(set(WEIGHTS) - set(base))
    if unknown:
        raise OptionError(f"Expected weights {', '.join(WEIGHTS)}, all of them in base. Received: {unknown[0]!r}.")
    x, target = scanned_images(clf, data, limit, seed)
    for weight, tried in values.items():
        for value in dict.fromkeys(float(value) for value in tried):
            weights = {name: float(number) for name, number in base.items()} | {weight: value}
            losses: dict[str, Any] = {f"{name}_weight": number for name, number in weights.items()}
            gan = train_ganmex(
                clf,
                data,
                Path(directory) / "_".join(f"{name}{weights[name]:g}" for name in WEIGHTS),
                recipe=recipe,
                every=every,
                seed=seed,
                verbose=verbose,
                **losses,
                **options,
            )
            made = gan.generate(x, target)
            yield Trial(
                weight,
                value,
                assigned=clf.predict(made) == target,
                distances=np.sqrt(np.square(made - x, dtype=np.float64).sum((1, 2, 3))),
                baselines=made[:shown],
            )


def scanned_images(clf: Classifier, data: Dataset, limit: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The test images of a scan in the value range, and the classes that their baselines are to have."""
    return in_value_range(data.x_test[:limit], clf.value_range), other_classes(
        data.y_test[:limit], clf.num_classes, seed
    )


def scan_table(trials: Iterable[Trial]) -> str:
    """A markdown table, a row a trial."""
    lines = ["| weight | value | classified as target | L2 distance |", "| --- | --- | --- | --- |"]
    lines += [f"| {_SYMBOLS[t.weight]} | {t.value:g} | {t.share:.2%} | {t.distance:.3f} |" for t in trials]
    return "\n".join(lines) + "\n"


def write_scan(trials: Iterable[Trial], path: Path) -> None:
    """The trials as CSV."""
    with replaced(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["weight", "value", "classified_as_target", "l2_distance"])
        writer.writerows([t.weight, t.value, t.share, t.distance] for t in trials)


def plot_scan(
    images: np.ndarray, titles: Sequence[str], trials: Sequence[Trial], *, value_range: tuple[float, float] = (0.0, 1.0)
) -> Figure:
    """A column an image, a row a trial, as in the paper's Figure 8.

    Args:
        images: the first images (m, h, w, c).
        titles: of the images, such as ``"4 to 9"``.
        trials: the trials.
        value_range: the values of black and white.
    """
    rows = [list(images), *(list(trial.baselines) for trial in trials)]
    names = ["image", *(f"{_SYMBOLS[trial.weight]} = {trial.value:g}" for trial in trials)]
    return plotting.plot_grid(rows, titles, names, value_range=value_range)
