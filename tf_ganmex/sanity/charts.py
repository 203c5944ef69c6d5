"""Pictures of a sanity check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_ganmex import plotting
from tf_ganmex._panels import InlineFigure
from tf_ganmex.sanity.result import ORIGINAL, Column, SanityCheck

_COLOURS = ("#7f7f7f", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#222222")
_DASHES = ("-", "--", ":", "-.")
_PANEL = (3.6, 3.0)  # inches
_LOW_PANEL = 2.1  # inches, of several rows
_LABEL_LENGTH = 12  # of stages, above which they are drawn at an angle
_LINES = 8  # a panel, above which methods have panels of their own


def plot_curves(check: SanityCheck, measures: Sequence[str], *, title: str | None = None) -> InlineFigure:
    """See :meth:`SanityCheck.plot_curves`."""
    rows = _rows(check.columns)
    height = _PANEL[1] + 0.6 if len(rows) == 1 else _LOW_PANEL * len(rows) + 0.9
    figure = InlineFigure(
        figsize=(max(4.5, _PANEL[0] * len(measures)), height), layout="constrained", facecolor="white"
    )
    panels = figure.subplots(len(rows), len(measures), squeeze=False, sharey=True)
    looks = _looks(check.columns, by_method=len(rows) == 1)
    for method, row in zip(rows, panels, strict=True):
        for axes, measure in zip(row, measures, strict=True):
            for column in rows[method]:
                _draw_line(axes, check, column, measure, **looks[column])
            _finish(axes, (ORIGINAL, *check.stages))
        row[0].set_ylabel("similarity to the original maps" if len(rows) == 1 else method)
    for axes, measure in zip(panels[0], measures, strict=True):
        axes.set_title(measure.replace("_", ", "), fontsize=10)
    if title:
        figure.suptitle(title, fontsize=11, fontweight="bold")
    handles = {
        label: handle for axes in panels[:, 0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = max(1, 2 * len(measures))
    figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def _rows(columns: Sequence[Column]) -> dict[str, list[Column]]:
    """The columns of each row of panels: all in one, or a row a method, those of a single column in the first."""
    if len(columns) <= _LINES:
        return {"": list(columns)}
    rows: dict[str, list[Column]] = {}
    for column in columns:
        rows.setdefault(column[0], []).append(column)
    alone = [row[0] for row in rows.values() if len(row) == 1]
    rows = {method: row for method, row in rows.items() if len(row) > 1} or {"": []}
    rows[next(iter(rows))] += alone
    return rows


def _looks(columns: Sequence[Column], *, by_method: bool) -> dict[Column, dict[str, Any]]:
    """How each line is drawn and called; methods in rows of their own need no dashes, nor their names."""
    baselines = list(dict.fromkeys(baseline for _, baseline in columns))
    methods = list(dict.fromkeys(method for method, _ in columns))
    several = {method for method in methods if sum(column[0] == method for column in columns) > 1}
    looks = {}
    for method, baseline in columns:
        named = by_method or method not in several
        looks[method, baseline] = {
            "color": _COLOURS[baselines.index(baseline) % len(_COLOURS)],
            "linestyle": _DASHES[methods.index(method) % len(_DASHES) if by_method else 0],
            "label": " × ".join(filter(None, (method, baseline))) if named else baseline,
        }
    return looks


def _draw_line(axes: Axes, check: SanityCheck, column: Column, measure: str, **look: Any) -> None:
    found = [check.interval(stage, *column, measure) for stage in check.stages]
    places = range(len(found) + 1)
    axes.plot(places, [1.0, *(each.mean for each in found)], marker="o", markersize=3, linewidth=1.4, **look)
    low, high = [1.0, *(each.low for each in found)], [1.0, *(each.high for each in found)]
    axes.fill_between(places, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _finish(axes: Axes, stages: Sequence[str]) -> None:
    axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    angle: dict[str, Any] = {"rotation": 30, "ha": "right"} if len("".join(stages)) > 3 * _LABEL_LENGTH else {}
    axes.set_xticks(range(len(stages)), stages, **angle)


def plot_maps(check: SanityCheck, index: int, columns: Sequence[Column], *, title: str | None = None) -> Figure:
    """See :meth:`SanityCheck.plot_maps`."""
    stages = (ORIGINAL, *check.stages)
    rows: list[list[Any]] = []
    titles: list[str] = []
    for baseline in dict.fromkeys(baseline for _, baseline in columns):
        shown = [check.images.get((stage, baseline)) for stage in stages]
        images = [None if image is None else image[index] for image in shown]
        if any(image is not None and np.ptp(image) > 0 for image in images):  # a plain surface shows nothing
            rows.append([None, *images])
            titles.append(f"{baseline}: baseline")
        for method, other in columns:
            if other == baseline:
                rows.append([None, *(("map", check.maps[stage, method, baseline][index]) for stage in stages)])
                titles.append(" × ".join(filter(None, (method, baseline))))
    rows[0][0] = check.x[index]
    return plotting.plot_grid(rows, ["image", *stages], titles, value_range=check.value_range, title=title, cell=1.0)
