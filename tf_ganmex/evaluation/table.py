"""The result of an evaluation."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation.questions import per_image
from tf_ganmex.files import replaced, write_text
from tf_ganmex.metrics.bootstrap import Interval, bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Which way is better; no arrow where neither is.
ARROWS = {
    "gini": "↑", "gini_shifted": "↑", "faithfulness": "↑", "monotonicity": "↑", "inverse_localization": "↓",
    "assigned": "↑", "fid": "↓", "run_time": "↓",
}  # fmt: skip
REFERENCES: tuple[str, str] = ("D_intra", "D_inter")  # rows of distances that are of no baseline
UNITS = {"run_time": "s/image"}
_WITHOUT_SCALE = ("run_time", "fid")  # three digits, wherever they are
_WIDTH_OF_FILES = 140  # characters, where the output is no terminal
Key = tuple[str, str, str]  # metric, method, baseline


@dataclass(frozen=True)
class Row:
    """One number of the table.

    Attributes:
        metric: its name.
        method: the method of the maps; "" for a metric of the baselines themselves.
        baseline: the baseline.
        mean: over the images for which the metric is defined.
        low: lower end of the 95 % bootstrap interval over images; NaN where there is none.
        high: upper end.
        count: how many images it is the mean of.
        undefined: for how many it is not defined, which are left out.
    """

    metric: str
    method: str
    baseline: str
    mean: float
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    undefined: int = 0

    @classmethod
    def of(cls, key: Key, interval: Interval) -> Row:
        """The row of an interval."""
        return cls(*key, interval.mean, interval.low, interval.high, interval.count, interval.undefined)

    def text(self) -> str:
        """The mean, and the interval where there is one: ``0.614 [0.602, 0.626]``."""
        return self._mean() if math.isnan(self.low) else f"{self._mean()} [{self.low:.3f}, {self.high:.3f}]"

    def short(self) -> str:
        """The mean and below it half the width of the interval, in a narrow column."""
        return self._mean() if math.isnan(self.low) else f"{self._mean()}\n±{(self.high - self.low) / 2:.3f}"

    def _mean(self) -> str:
        if math.isnan(self.mean):
            return "–"
        return f"{self.mean:.3g}" if self.metric in _WITHOUT_SCALE else f"{self.mean:.3f}"


@dataclass(frozen=True, eq=False)
class Curve:
    """The perturbation curve of a column: the mean score delta after 0, 1, ... flips.

    Attributes:
        mean: over images (flips + 1,).
        error: its standard error.
    """

    mean: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class EvaluationTable:
    """Metrics × methods × baselines, with confidence intervals.

    Attributes:
        rows: one a number.
        curves: perturbation curves by (method, baseline).
        values: by (metric, method, baseline) the numbers of the single maps, (n,), of baselines (n,); for paired
            comparisons. Monotonicity may be measured on the first of them only.
        image: which test image each is of (n,).
        origin: its predicted class (n,).
        target: the class that it was compared with (n,).
        settings: what was asked for.
        notes: what a reader of the numbers has to know.
    """

    rows: tuple[Row, ...]
    curves: dict[tuple[str, str], Curve]
    values: dict[Key, np.ndarray]
    image: np.ndarray
    origin: np.ndarray
    target: np.ndarray
    settings: dict[str, Any]
    notes: tuple[str, ...]

    def __getitem__(self, key: Key) -> Row:
        """The row of (metric, method, baseline); method "" for a metric of the baselines themselves."""
        rows = {(row.metric, row.method, row.baseline): row for row in self.rows}
        if key not in rows:
            raise KeyError(_absent(key, rows))
        return rows[key]

    def compare(self, metric: str, first: tuple[str, str], second: tuple[str, str]) -> Interval:
        """How much greater a metric is for one column than for another, image by image.

        The columns are measured on the same images, so that the interval of their difference is narrower than those of
        the two means tell: where it does not hold 0, they differ.

        Args:
            metric: its name; any but run_time and fid, which have no number for each image.
            first: (method, baseline); method "" for a metric of the baselines themselves.
            second: what is subtracted.

        Returns:
            The mean of the differences over images, those of several targets entering with their mean, with its 95 %
            bootstrap interval; images for which the metric is not defined in both are left out and counted.

        Raises:
            OptionError: for a metric or column that the table does not hold for each image.
        """
        columns = []
        for column in (first, second):
            key = (metric, *column)
            if key not in self.values:
                raise OptionError(_absent(key, self.values))
            columns.append(self.values[key])
        return bootstrap_interval(per_image(columns[0] - columns[1], self.image))

    def to_dataframe(self) -> Any:
        """The rows as a pandas.DataFrame, with a column for each attribute of :class:`Row`.

        Raises:
            OptionError: where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise OptionError(
                f"Expected pandas. Received: {error}. Install it (pip install pandas), or take to_csv."
            ) from error
        return pd.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])

    def __repr__(self) -> str:
        """How large it is."""
        return f"EvaluationTable({len(self.rows)} rows, {len(np.unique(self.image))} images)"

    def to_markdown(self) -> str:
        """Two tables, of maps and of baselines, and the notes."""
        parts = [_markdown(*table) for table in self.tables()]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes one line a number; returns the path."""
        path = Path(path)
        with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _blank(value) for name, value in asdict(row).items()} for row in self.rows)
        return path

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Writes rows, curves, settings and notes; returns the path."""
        path = Path(path)
        content = {
            "settings": self.settings,
            "notes": self.notes,
            "rows": [{name: _null(value) for name, value in asdict(row).items()} for row in self.rows],
            "curves": [
                {"method": method, "baseline": baseline, "mean": curve.mean.tolist(), "error": curve.error.tolist()}
                for (method, baseline), curve in self.curves.items()
            ],
        }
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False))
        return path

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes table.md, .csv and .json, and the plots that there is something for; returns the paths."""
        from tf_ganmex.plotting import save_figure

        folder = Path(folder)
        write_text(folder / "table.md", self.to_markdown())
        paths = [folder / "table.md", self.to_csv(folder / "table.csv"), self.to_json(folder / "table.json")]
        if self.curves:
            paths.append(save_figure(self.plot_curves(), folder / "curves.png"))
        paths.append(save_figure(self.plot_bars(), folder / "bars.png"))
        return paths

    def show(self) -> None:
        """Prints the tables and the notes to the terminal; intervals as half of their width."""
        from rich import box
        from rich.console import Console
        from rich.table import Column, Table

        console = Console()
        if not console.is_terminal:
            console = Console(width=_WIDTH_OF_FILES)
        for title, head, lines in self.tables():
            names = len(lines[0][0])
            columns = [Column(" × ".join(head[:names]), no_wrap=True)]
            columns += [Column(name.replace("_", " "), justify="right") for name in head[names:]]
            table = Table(*columns, title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
            for words, rows in lines:
                table.add_row("\n× ".join(words), *("" if row is None else row.short() for row in rows))
            console.print(table)
        for note in self.notes:
            console.print(f"- {note}", highlight=False, markup=False)

    def plot_curves(self, **options: Any) -> Figure:
        """Perturbation curves, a panel a method (see :func:`tf_ganmex.evaluation.charts.plot_curves`)."""
        from tf_ganmex.evaluation import charts

        return charts.plot_curves(self, **options)

    def plot_bars(self, **options: Any) -> Figure:
        """All means with their intervals, a panel a metric (see :func:`tf_ganmex.evaluation.charts.plot_bars`)."""
        from tf_ganmex.evaluation import charts

        return charts.plot_bars(self, **options)

    def tables(self) -> list[tuple[str, list[str], list[tuple[list[str], list[Row | None]]]]]:
        """What is printed: for each table its title, its head, and lines of words and of numbers."""
        of_maps = [row for row in self.rows if row.method]
        of_baselines = [row for row in self.rows if not row.method]
        found = []
        for title, rows, names in (
            ("maps", of_maps, ["method", "baseline"]),
            ("baselines", of_baselines, ["baseline"]),
        ):
            if rows:
                metrics = list(dict.fromkeys(row.metric for row in rows))
                lines = list(dict.fromkeys((row.method, row.baseline) for row in rows))
                by_place = {(row.metric, row.method, row.baseline): row for row in rows}
                body = [
                    ([*place][-len(names) :], [by_place.get((metric, *place)) for metric in metrics]) for place in lines
                ]
                found.append((title, [*names, *map(heading, metrics)], body))
        return found


def heading(metric: str) -> str:
    """A metric's name, with an arrow to the better side, and its unit."""
    arrow = "↑" if metric.startswith("aopc_") else ARROWS.get(metric, "")
    return " ".join(part for part in (metric, UNITS.get(metric, ""), arrow) if part)


def _absent(key: Any, keys: Collection[Key]) -> str:
    """Says what there is instead: of the metric where it is known, the columns; otherwise the metrics."""
    metric = key[0] if isinstance(key, tuple) and key else key
    columns = [" × ".join(filter(None, known[1:])) for known in keys if known[0] == metric]
    metrics = dict.fromkeys(known[0] for known in keys)
    there = f"{metric} of {', '.join(columns)}" if columns else f"metrics {', '.join(metrics)}"
    return f"Expected (metric, method, baseline) of the table. Received: {key!r}. It holds {there}."


def _markdown(title: str, head: Sequence[str], lines: Sequence[tuple[list[str], list[Row | None]]]) -> str:
    body = [f"**{title}**", "", _line(head), _line(["---"] * len(head))]
    body += [_line([*words, *("" if row is None else row.text() for row in rows)]) for words, rows in lines]
    return "\n".join(body)


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"


def _blank(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
