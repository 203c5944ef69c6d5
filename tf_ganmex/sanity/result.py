"""What a sanity check found: similarities by stage, method and baseline."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_ganmex.errors import OptionError
from tf_ganmex.files import replaced
from tf_ganmex.metrics.bootstrap import Interval, bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORIGINAL = "original"
Column = tuple[str, str]  # method, baseline; baseline "" for a method without
# What is measured on a baseline, and what its table is called.
OF_BASELINES = {
    "assigned": "share of baselines that the classifier of the stage calls the target",
    "distance": "L2 distance of a baseline to its image",
    "moved": "L2 distance of a baseline to the original one",
}


@dataclass(frozen=True)
class SimilarityRow:
    """One number of a sanity check.

    Attributes:
        stage: of the check.
        method: of the maps; "" where a baseline itself was measured.
        baseline: "" for a method without.
        measure: one of ``sanity.MEASURES``; or, of a baseline itself, ``"assigned"``, the share that the classifier of
            the stage calls the target, ``"distance"``, the L2 distance to the image, or ``"moved"``, that to the
            baseline of the original classifier.
        mean: over the images for which it is defined.
        low: lower end of the 95 % bootstrap interval over images.
        high: upper end.
        count: how many images it is the mean of.
        undefined: for how many it is not defined, which are left out.
    """

    stage: str
    method: str
    baseline: str
    measure: str
    mean: float
    low: float
    high: float
    count: int
    undefined: int


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """Similarities of maps to the original ones, and the first of the maps themselves.

    Attributes:
        stages: what was changed, in order; ``"original"``, with which all are compared, is not among them.
        columns: (method, baseline), baseline "" for a method without.
        similarities: by (stage, method, baseline), what :func:`tf_ganmex.sanity.similarity` returned.
        of_baselines: by (stage, baseline), ``"original"`` included, the measures (n,) of a baseline by name; no
            ``"assigned"`` where there is no target.
        x: the first images (m, h, w, c).
        maps: by (stage, method, baseline), ``"original"`` included, their maps (m, h, w, c).
        images: by (stage, baseline), ``"original"`` included, their baselines (m, h, w, c).
        value_range: lowest and highest value of an image.
    """

    stages: tuple[str, ...]
    columns: tuple[Column, ...]
    similarities: dict[tuple[str, str, str], dict[str, np.ndarray]]
    of_baselines: dict[tuple[str, str], dict[str, np.ndarray]]
    x: np.ndarray
    maps: dict[tuple[str, str, str], np.ndarray]
    images: dict[tuple[str, str], np.ndarray]
    value_range: tuple[float, float]

    def __repr__(self) -> str:
        """How large it is."""
        return f"SanityCheck({len(self.stages)} stages, {len(self.columns)} columns)"

    @property
    def measures(self) -> tuple[str, ...]:
        """The similarities that were measured."""
        return tuple(next(iter(self.similarities.values()), {}))

    def interval(self, stage: str, method: str, baseline: str, measure: str) -> Interval:
        """The mean of a similarity over images, with its bootstrap interval."""
        return self._intervals[stage, method, baseline, measure]

    @cached_property
    def _intervals(self) -> dict[tuple[str, str, str, str], Interval]:
        found = {
            (stage, *column, measure): bootstrap_interval(_rounded(self.similarities[stage, *column][measure]))
            for measure in self.measures
            for column in self.columns
            for stage in self.stages
        }
        for (stage, baseline), measured in self.of_baselines.items():
            found |= {(stage, "", baseline, name): bootstrap_interval(_rounded(v)) for name, v in measured.items()}
        return found

    def rows(self) -> list[SimilarityRow]:
        """All numbers."""
        return [
            SimilarityRow(*key, found.mean, found.low, found.high, found.count, found.undefined)
            for key, found in self._intervals.items()
        ]

    def to_markdown(self, measures: Sequence[str] | None = None) -> str:
        """A table for each measure: a row a column of the check, or of the baselines a baseline; a column a stage.

        Args:
            measures: those of :attr:`measures`, and of the baselines ``"assigned"``, ``"distance"`` and ``"moved"``;
                None: all that were measured.

        Raises:
            OptionError: for one that was not measured.
        """
        of_baselines = {name for measured in self.of_baselines.values() for name in measured}
        known = [*self.measures, *(name for name in OF_BASELINES if name in of_baselines)]
        unknown = [name for name in measures or () if name not in known]
        if unknown:
            raise OptionError(f"Expected measures among {known}. Received: {unknown[0]!r}.")
        cells = {(row.measure, row.method, row.baseline, row.stage): row for row in self.rows()}
        baselines = list(dict.fromkeys(("", baseline) for _, baseline in self.of_baselines))
        parts = []
        for name in known if measures is None else measures:
            if name in OF_BASELINES:
                parts.append(_table(OF_BASELINES[name], baselines, (ORIGINAL, *self.stages), cells, name))
            else:
                parts.append(_table(f"{name}, with the original maps", self.columns, self.stages, cells, name))
        return "\n\n".join(parts) + "\n"

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes one line a number; returns the path."""
        path = Path(path)
        with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(SimilarityRow)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows())
        return path

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes sanity.md, sanity.csv, curves.png, and maps_0.png and so on; returns the paths."""
        from tf_ganmex.plotting import save_figure

        folder = Path(folder)
        with replaced(folder / "sanity.md") as temporary:
            temporary.write_text(self.to_markdown(), encoding="utf-8")
        paths = [folder / "sanity.md", self.to_csv(folder / "sanity.csv")]
        paths.append(save_figure(self.plot_curves(), folder / "curves.png"))
        return paths + [
            save_figure(self.plot_maps(index), folder / f"maps_{index}.png") for index in range(len(self.x))
        ]

    def plot_curves(self, measures: Sequence[str] | None = None, *, title: str | None = None) -> Figure:
        """The similarities by stage, a panel a measure, a line a method and baseline, with 95 % intervals.

        Many lines are parted: a row of panels for each method with several baselines; the others are in the first row.

        Args:
            measures: which; None: all.
            title: a line above the figure.

        Raises:
            OptionError: for an unknown measure.
        """
        from tf_ganmex.sanity.charts import plot_curves

        unknown = sorted(set(measures or ()) - set(self.measures))
        if unknown:
            raise OptionError(f"Expected measures among {self.measures}. Received: {unknown[0]!r}.")
        return plot_curves(self, measures or self.measures, title=title)

    def plot_maps(self, index: int = 0, *, columns: Sequence[Column] | None = None, title: str | None = None) -> Figure:
        """One image's maps, a row a method and baseline, a column a stage; above them baselines that are not plain.

        Args:
            index: which of the images that were kept.
            columns: (method, baseline) to draw, in this order; None: all.
            title: a line above the figure.

        Raises:
            OptionError: for an image that was not kept, or an unknown column.

        Reference:
            GANMEX paper, Figure 3.G.
        """
        from tf_ganmex.sanity.charts import plot_maps

        if not 0 <= index < len(self.x):
            raise OptionError(f"Expected index below {len(self.x)}, the images kept. Received: index={index}.")
        unknown = [column for column in columns or () if tuple(column) not in self.columns]
        if unknown:
            raise OptionError(f"Expected columns among {list(self.columns)}. Received: {unknown[0]}.")
        return plot_maps(self, index, self.columns if columns is None else columns, title=title)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values that differ by rounding alone made equal, for there is no interval to make of them; not booleans."""
    return values if values.dtype == bool else np.round(values, 9)


def _table(
    title: str,
    lines: Sequence[Column],
    stages: Sequence[str],
    cells: dict[tuple[str, str, str, str], SimilarityRow],
    measure: str,
) -> str:
    head = ["method × baseline" if any(method for method, _ in lines) else "baseline", *stages]
    body = [f"**{title}**", "", _line(head), _line(["---"] * len(head))]
    for method, baseline in lines:
        found = [cells.get((measure, method, baseline, stage)) for stage in stages]
        body.append(_line([" × ".join(filter(None, (method, baseline))), *map(_text, found)]))
    return "\n".join(body)


def _text(row: SimilarityRow | None) -> str:
    if row is None or math.isnan(row.mean):
        return "–"
    interval = "" if math.isnan(row.low) else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.mean:.3f}{interval}" + (f", {row.undefined} undefined" if row.undefined else "")


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"
