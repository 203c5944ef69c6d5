"""Pictures of an evaluation: perturbation curves and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from tf_ganmex._panels import InlineFigure, Texts
from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation.columns import SAMPLES, WITHOUT_BASELINE
from tf_ganmex.evaluation.options import check_names
from tf_ganmex.evaluation.table import REFERENCES, Curve, EvaluationTable, Row, heading

_COLOURS = {
    "zero": "#7f7f7f", "maximum": "#bcbd22", "blurred": "#56b4e9", "nearest": "#e69f00", "random_sample": "#cc79a7",
    "ganmex": "#0072b2", SAMPLES: "#222222", WITHOUT_BASELINE: "#a65628",
}  # fmt: skip
_OTHERS = ("#009e73", "#d55e00", "#984ea3", "#17becf", "#f0e442")
_WITHOUT_CLASS = ("zero", "maximum", "blurred")  # dashed, as in the paper
_NORMAL_95 = 1.96
_PANEL = (3.9, 2.9)  # inches
_PLOTTED = 0.8  # of a panel's width, without the numbers at its side
_MOST_PANELS = 3  # side by side
_TICK_SIZE = 7  # points


def plot_curves(table: EvaluationTable, *, title: str | None = None) -> InlineFigure:
    """Mean score delta by the number of flipped features, a panel a method, a line a baseline.

    Methods without a baseline are in every panel. Bands are 95 % intervals of the mean over images, from its standard
    error; baselines that do not depend on the target are dashed.

    Args:
        table: with curves, that is, evaluated for a metric ``aopc_L``.
        title: a line above the figure.

    Returns:
        The figure.

    Raises:
        OptionError: if the table has no curves.

    Reference:
        GANMEX paper, figure 7.A-C.
    """
    if not table.curves:
        raise OptionError("Expected a table with curves. Received: none. Evaluate aopc_100 or aopc_all too.")
    alone = {key: curve for key, curve in table.curves.items() if key[1] in (SAMPLES, WITHOUT_BASELINE)}
    methods = list(dict.fromkeys(method for method, _ in table.curves.keys() - alone.keys()))
    methods = [method for method in dict.fromkeys(m for m, _ in table.curves) if method in methods] or [""]
    figure, panels = _figure(len(methods), title, sharey=True)
    colours = _colours([baseline for _, baseline in table.curves])
    for axes, method in zip(panels, methods, strict=True):
        for (other, baseline), curve in table.curves.items():
            if other == method or (other, baseline) in alone:
                _draw_curve(axes, curve, _label(other, baseline), colours[baseline], dashed=baseline in _WITHOUT_CLASS)
        axes.set_title(method or "methods without a baseline", fontsize=10)
        axes.set_xlabel("features flipped")
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    panels[0].set_ylabel(f"score delta ({table.settings['score']})")
    _legend(figure, panels)
    return figure


def plot_bars(
    table: EvaluationTable, *, metrics: Sequence[str] | None = None, title: str | None = None
) -> InlineFigure:
    """All means with their intervals, a panel a metric; metrics of maps first, in groups by method.

    Args:
        table: what to draw.
        metrics: which, in this order; None: all.
        title: a line above the figure.

    Returns:
        The figure.

    Raises:
        OptionError: for no metric, or one that the table does not hold.

    Reference:
        GANMEX paper, figure 7.D-F.
    """
    panels_of = {(row.metric, bool(row.method)): None for row in table.rows}
    known = {metric for metric, _ in panels_of}
    if metrics is not None:
        check_names(metrics, "metrics", f"names among {', '.join(sorted(known))}")
    unknown = set(metrics or ()) - known
    if unknown or not known or (metrics is not None and not metrics):
        received = ", ".join(sorted(unknown)) or "none"
        raise OptionError(f"Expected metrics among {', '.join(sorted(known))}. Received: {received}.")
    wanted = [panel for panel in panels_of if metrics is None or panel[0] in metrics]
    if metrics is not None:
        wanted.sort(key=lambda panel: list(metrics).index(panel[0]))
    figure, panels = _figure(len(wanted), title)
    colours = _colours([row.baseline for row in table.rows if row.baseline not in REFERENCES])
    for axes, (metric, of_maps) in zip(panels, wanted, strict=True):
        rows = [row for row in table.rows if row.metric == metric and bool(row.method) == of_maps]
        _draw_bars(axes, rows, colours)
        axes.set_title(heading(metric) + ("" if of_maps else ", of baselines"), fontsize=10)
    _legend(figure, panels)
    return figure


def _draw_curve(axes: Axes, curve: Curve, label: str, colour: str, *, dashed: bool) -> None:
    flips = np.arange(len(curve.mean))
    axes.plot(flips, curve.mean, color=colour, linewidth=1.4, linestyle="--" if dashed else "-", label=label)
    half = _NORMAL_95 * curve.error
    axes.fill_between(flips, curve.mean - half, curve.mean + half, color=colour, alpha=0.18, linewidth=0)


def _draw_bars(axes: Axes, rows: Sequence[Row], colours: dict[str, str]) -> None:
    groups = list(dict.fromkeys(row.method for row in rows))
    place, ticks = 0.0, []
    for group in groups:
        mine = [row for row in rows if row.method == group]
        places, names = place + np.arange(len(mine)), [row.baseline for row in mine]
        for x, row in zip(places, mine, strict=True):
            colour = colours.get(row.baseline, "#dddddd")
            label = _label(row.method, row.baseline) if row.baseline in colours else None
            axes.bar(x, row.mean, width=0.85, color=colour, label=label)
            if np.isfinite(row.low) and np.isfinite(row.high):
                axes.vlines(x, row.low, row.high, color="#222222", linewidth=1.1)
        ticks += [(places.mean(), _short(group))] if group else [*zip(places, map(_short, names), strict=True)]
        place = places[-1] + 1.8
    _label_ticks(axes, ticks)
    axes.axhline(0, color="#222222", linewidth=0.6)


def _label_ticks(axes: Axes, ticks: Sequence[tuple[float, str]]) -> None:
    """Upright where neighbours have room beside each other, otherwise slanting, on one line each."""
    places, names = [x for x, _ in ticks], [name for _, name in ticks]
    low, high = axes.get_xlim()
    inches = _PANEL[0] * _PLOTTED / (high - low)
    font = FontProperties(size=_TICK_SIZE)
    widths = np.array([Texts([name.split("\n")], font).width for name in names])
    if np.all(np.diff(places) * inches >= (widths[1:] + widths[:-1]) / 2):
        axes.set_xticks(places, names, fontsize=_TICK_SIZE)
    else:
        flat = [name.replace("\n", " ") for name in names]
        axes.set_xticks(places, flat, fontsize=_TICK_SIZE, rotation=35, ha="right", rotation_mode="anchor")


def _label(method: str, baseline: str) -> str:
    """What the legend calls a column: its baseline, or its method where that has none to choose."""
    return method if method and baseline in (SAMPLES, WITHOUT_BASELINE) else baseline


def _short(name: str) -> str:
    """A name on lines of its words, to stand under a bar."""
    return name if name in REFERENCES else name.replace("_", "\n")


def _figure(count: int, title: str | None, **options: Any) -> tuple[InlineFigure, list[Axes]]:
    columns = min(count, _MOST_PANELS)
    lines = -(-count // columns)
    figure = InlineFigure(
        figsize=(_PANEL[0] * columns, _PANEL[1] * lines + 0.5), layout="constrained", facecolor="white"
    )
    panels = list(figure.subplots(lines, columns, squeeze=False, **options).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    if title:
        figure.suptitle(title, fontsize=11, fontweight="bold")
    return figure, panels[:count]


def _legend(figure: InlineFigure, panels: Sequence[Axes]) -> None:
    """One for all panels, below them."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)


def _colours(baselines: Sequence[str]) -> dict[str, str]:
    names = list(dict.fromkeys(baselines))
    unknown = [name for name in names if name not in _COLOURS]
    return {name: _COLOURS.get(name) or _OTHERS[unknown.index(name) % len(_OTHERS)] for name in names}
